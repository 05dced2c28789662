"""What commands and scripts promise, whatever server is at the other end."""

from __future__ import annotations

import io
import os
import signal
import threading
from pathlib import Path

import pytest

from spot_connect.core.errors import UsageError
from spot_connect.ssh.command import run, run_commands, run_script
from spot_connect.ssh.connection import Connection

MEGABYTE = 1024 * 1024


@pytest.mark.parametrize("status", [0, 1, 37, 255])
def test_the_commands_own_status_comes_back(connection: Connection, status: int) -> None:
    assert run(connection, f"exit {status}").exit_status == status


@pytest.mark.parametrize(("name", "status"), [("KILL", 137), ("TERM", 143), ("SEGV", 139), ("INT", 130)])
def test_a_signal_is_128_and_its_number(connection: Connection, name: str, status: int) -> None:
    assert run(connection, f"kill -s {name} $$").exit_status == status


def test_both_streams_arrive_apart_and_as_bytes(connection: Connection) -> None:
    finished = run(connection, r"printf 'gr\303\274n\0\n'; printf '\377' >&2")
    assert finished.stdout == "grün\0\n".encode()
    assert finished.stderr == b"\xff"


def test_pieces_are_heard_while_the_command_runs(connection: Connection) -> None:
    ours, theirs = os.pipe()
    heard: list[bytes] = []

    def hear(piece: bytes) -> None:
        heard.append(piece)
        if piece == b"first\n":
            os.write(theirs, b"go on\n")
            os.close(theirs)

    with os.fdopen(ours, "rb") as source:
        finished = run(connection, "echo first; read it; echo $it", stdin=source, on_stdout=hear, capture=False)
    assert b"".join(heard) == b"first\ngo on\n"
    assert finished.stdout == b""


def test_fifty_megabytes_on_both_streams_do_not_deadlock(connection: Connection) -> None:
    amount = {"out": 0, "err": 0}

    def count(stream: str, piece: bytes) -> None:
        amount[stream] += len(piece)

    size = 50 * MEGABYTE
    finished = run(
        connection,
        f"head -c {size} /dev/zero >&2 & head -c {size} /dev/zero; wait",
        on_stdout=lambda piece: count("out", piece),
        on_stderr=lambda piece: count("err", piece),
        capture=False,
    )
    assert finished.exit_status == 0
    assert amount == {"out": size, "err": size}


@pytest.mark.parametrize("size", [0, 1, 40 * MEGABYTE])
def test_input_arrives_whole(connection: Connection, size: int) -> None:
    data = os.urandom(size)
    assert run(connection, "cat", stdin=data).stdout == data
    assert run(connection, "cat", stdin=io.BytesIO(data)).stdout == data


def test_without_input_the_command_reads_its_end(connection: Connection) -> None:
    assert run(connection, "cat; echo done").stdout == b"done\n"


def test_input_that_nobody_reads_does_not_matter(connection: Connection) -> None:
    assert run(connection, "exec 0<&-; exit 3", stdin=b"x" * 8 * MEGABYTE).exit_status == 3


def test_the_environment_arrives_as_it_is(connection: Connection) -> None:
    value = "a b'c\"$HOME`x`\\n\n*ü"
    assert run(connection, 'printf %s "$IT"', environment={"IT": value}).stdout == value.encode()


def test_a_name_that_is_no_variable_is_refused(connection: Connection) -> None:
    with pytest.raises(UsageError):
        run(connection, "true", environment={"A=1; rm -rf": "x"})


def test_commands_share_one_shell(connection: Connection) -> None:
    finished = run_commands(connection, "cd /\r\nit=5\r\npwd\r\n  echo $it\r\nfalse")
    assert finished.stdout == b"/\n5\n"
    assert finished.exit_status == 1


def test_commands_may_be_longer_than_an_argument(connection: Connection) -> None:
    finished = run_commands(connection, "x=1\n" * 100_000 + "cat; exit 9", stdin=b"in")
    assert finished.exit_status == 9, finished.stderr
    assert finished.stdout == b"in"


def test_a_script_with_windows_line_ends_runs(connection: Connection, tmp_path: Path) -> None:
    script = tmp_path / "it's a script.sh"
    script.write_bytes(b'\xef\xbb\xbf#!/bin/bash\r\nif true; then\r\n  echo "$1|$#"\r\nfi\r\nexit 37\r\n')
    finished = run_script(connection, script, arguments=["a b$HOME", "-x"])
    assert (finished.exit_status, finished.stdout) == (37, b"a b$HOME|2\n"), finished.stderr


def test_a_script_without_an_interpreter_is_bash(connection: Connection, tmp_path: Path) -> None:
    (tmp_path / "s").write_text("a=(1 2); echo ${a[1]}; pwd; echo ~")
    finished = run_script(connection, tmp_path / "s")
    lines = finished.stdout.split()
    assert lines[0] == b"2"
    assert lines[1] == lines[2]


def test_a_python_script_needs_no_first_line(connection: Connection, tmp_path: Path) -> None:
    (tmp_path / "b.py").write_text("print('py', 1 + 1)\n")
    finished = run_script(connection, tmp_path / "b.py")
    assert (finished.exit_status, finished.stdout) == (0, b"py 2\n"), finished.stderr


def test_a_python_script_streams_and_reads_its_input(connection: Connection, tmp_path: Path) -> None:
    script = tmp_path / "x.py"
    script.write_text("#!/usr/bin/env python3\nprint('name?')\nprint('hello', input())\nraise SystemExit(5)\n")
    ours, theirs = os.pipe()

    def answer(piece: bytes) -> None:
        if b"name?" in piece:
            os.write(theirs, b"you\n")
            os.close(theirs)

    with os.fdopen(ours, "rb") as source:
        finished = run_script(connection, script, stdin=source, on_stdout=answer)
    assert (finished.exit_status, finished.stdout) == (5, b"name?\nhello you\n"), finished.stderr


def test_a_missing_interpreter_is_told(connection: Connection, tmp_path: Path) -> None:
    (tmp_path / "s").write_text("#!/no/such/thing -x y\n")
    finished = run_script(connection, tmp_path / "s")
    assert finished.exit_status == 127
    assert b"/no/such/thing" in finished.stderr


def test_a_script_leaves_nothing_behind(connection: Connection, tmp_path: Path) -> None:
    script = tmp_path / "s"
    script.write_text('echo "$0"; exit 3')
    finished = run_script(connection, script)
    copy = finished.stdout.decode().strip()
    assert run(connection, f"ls -d '{copy}' '{Path(copy).parent}'").stdout == b""


def test_a_missing_script_is_refused(connection: Connection, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the script"):
        run_script(connection, tmp_path / "none")


GONE = """for pid in {pids}; do
  for _ in $(seq 200); do
    grep -qs '^State:.[^Z]' /proc/$pid/status || break
    sleep 0.05
  done
  grep -qs '^State:.[^Z]' /proc/$pid/status && echo $pid
done; ls -d {folder}"""


def _interrupted(connection: Connection, script: Path) -> tuple[bytes, list[bytes]]:
    """The script's whole output when Ctrl-C comes after its line "ready", and the processes that are left."""
    heard: list[bytes] = []

    def hear(piece: bytes) -> None:
        before = b"".join(heard)
        heard.append(piece)
        if b"ready" in before + piece and b"ready" not in before:
            # From another thread, so that it meets the wait for output rather than this call.
            threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        run_script(connection, script, on_stdout=hear)
    words = b"".join(heard).split(b"ready")[0].split()
    left = run(connection, GONE.format(pids=" ".join(word.decode() for word in words[1:]), folder=words[0].decode()))
    return b"".join(heard), left.stdout.split()


@pytest.mark.parametrize("trap", ["", "trap 'echo bye; exit 1' INT", "trap '' INT", "trap '' INT TERM"])
def test_ctrl_c_ends_the_remote_command_and_its_children(connection: Connection, tmp_path: Path, trap: str) -> None:
    script = tmp_path / "s"
    script.write_text(
        f"{trap}\necho $(dirname $0) $$\n(sleep 1000; sleep 1000) & echo $!\necho ready\nwait; wait; sleep 1000"
    )
    heard, left = _interrupted(connection, script)
    assert left == []
    assert (b"bye" in heard) == ("bye" in trap)


def test_ctrl_c_lets_python_clean_up(connection: Connection, tmp_path: Path) -> None:
    script = tmp_path / "s.py"
    script.write_text(
        "#!/usr/bin/env python3\nimport os, sys, time\nprint(os.path.dirname(sys.argv[0]), os.getpid())\n"
        "try:\n    print('ready')\n    time.sleep(1000)\nexcept KeyboardInterrupt:\n    print('saved')\n"
    )
    heard, left = _interrupted(connection, script)
    assert left == []
    assert heard.endswith(b"saved\n")


def test_the_line_is_good_after_ctrl_c(connection: Connection, tmp_path: Path) -> None:
    def interrupt(_: bytes) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(connection, "echo x; sleep 1000", on_stdout=interrupt)
    assert run(connection, "echo fine").stdout == b"fine\n"
