"""What commands and scripts promise, whatever server is at the other end."""

from __future__ import annotations

import io
import os
import shlex
import signal
import threading
from pathlib import Path

import pytest

from spot_connect.core.errors import SshLost, UsageError
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.ssh.command import run, run_commands
from spot_connect.ssh.connection import Connection
from tests.boundary.ssh.servers import Proxy, Server

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


@pytest.mark.parametrize("name", ["-", "--", "a b", "it's", "$HOME", "~", "ü\udcff", "new\nline"])
def test_commands_may_begin_in_a_directory(connection: Connection, name: str) -> None:
    made = run(connection, f"mkdir -p -- {shlex.quote(f'./{name}')}")
    assert made.exit_status == 0, made.stderr
    for directory in (f"./{name}", f"~/{name}", name.replace("~", "./~")):
        finished = run_commands(connection, 'printf %s "${PWD##*/}"', directory=directory)
        assert finished.stdout == name.encode(errors="surrogateescape"), finished.stderr


def test_a_directory_is_not_looked_for_elsewhere(connection: Connection) -> None:
    assert run(connection, "mkdir -p other/apart apart").exit_status == 0
    finished = run_commands(connection, 'echo "${PWD##*/}"', environment={"CDPATH": "other"}, directory="apart")
    assert finished.stdout == b"apart\n"


def test_without_the_directory_no_command_is_run(connection: Connection) -> None:
    finished = run_commands(connection, "echo ran", directory="no such place")
    assert (finished.exit_status, finished.stdout) == (1, b"")
    assert b"no such place" in finished.stderr


def test_commands_may_be_longer_than_an_argument(connection: Connection) -> None:
    finished = run_commands(connection, "x=1\n" * 100_000 + "cat; exit 9", stdin=b"in")
    assert finished.exit_status == 9, finished.stderr
    assert finished.stdout == b"in"


# Too long for an argument.
LONG = "# a comment\n" * 10_000


def test_long_commands_read_their_input_and_leave_nothing_behind(connection: Connection) -> None:
    ours, theirs = os.pipe()

    def answer(piece: bytes) -> None:
        if b"name?" in piece:
            os.write(theirs, b"you\n")
            os.close(theirs)

    with os.fdopen(ours, "rb") as source:
        text = LONG + 'echo name?; read name; echo hello $name; echo "$0"; exit 5'
        finished = run_commands(connection, text, stdin=source, on_stdout=answer)
    *words, copy = finished.stdout.decode().splitlines()
    assert (finished.exit_status, words) == (5, ["name?", "hello you"]), finished.stderr
    assert run(connection, f"ls -d '{copy}' '{Path(copy).parent}'").stdout == b""


GONE = """for pid in {pids}; do
  for _ in $(seq 200); do
    grep -qs '^State:.[^Z]' /proc/$pid/status || break
    sleep 0.05
  done
  grep -qs '^State:.[^Z]' /proc/$pid/status && echo $pid
done
for _ in $(seq 200); do [ -e {folder} ] || break; sleep 0.05; done; ls -d {folder}"""


def _interrupted(connection: Connection, text: str) -> tuple[bytes, list[bytes]]:
    """The whole output when Ctrl-C comes after its line "ready", and the processes that are left."""
    heard: list[bytes] = []

    def hear(piece: bytes) -> None:
        before = b"".join(heard)
        heard.append(piece)
        if b"ready" in before + piece and b"ready" not in before:
            # From another thread, so that it meets the wait for output rather than this call.
            threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        run_commands(connection, text, on_stdout=hear)
    words = b"".join(heard).split(b"ready")[0].split()
    left = run(connection, GONE.format(pids=" ".join(word.decode() for word in words[1:]), folder=words[0].decode()))
    return b"".join(heard), left.stdout.split()


@pytest.mark.parametrize("trap", ["", "trap 'echo bye; exit 1' INT", "trap '' INT", "trap '' INT TERM"])
def test_ctrl_c_ends_the_remote_command_and_its_children(connection: Connection, trap: str) -> None:
    text = f"{trap}\necho $(dirname $0) $$\n(sleep 1000; sleep 1000) & echo $!\necho ready\nwait; wait; sleep 1000"
    heard, left = _interrupted(connection, LONG + text)
    assert left == []
    assert (b"bye" in heard) == ("bye" in trap)


def test_ctrl_c_lets_python_clean_up(connection: Connection) -> None:
    code = (
        "import os, time\nprint('/nowhere', os.getpid())\n"
        "try:\n    print('ready')\n    time.sleep(1000)\nexcept KeyboardInterrupt:\n    print('saved')\n"
    )
    heard, left = _interrupted(connection, f"exec python3 -c {shlex.quote(code)}")
    assert left == []
    assert heard.endswith(b"saved\n")


@pytest.mark.parametrize(
    "busy",
    [
        "echo ready; while :; do :; done",
        "(: ; (echo $BASHPID; echo ready; while :; do :; done); :); :",
        "echo ready; while :; do (:); done",
    ],
)
def test_ctrl_c_ends_a_command_that_has_started_no_program(connection: Connection, busy: str) -> None:
    _, left = _interrupted(connection, f"echo /nowhere $$; {busy}")
    assert left == []


def test_the_line_is_good_after_ctrl_c(connection: Connection, tmp_path: Path) -> None:
    def interrupt(_: bytes) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(connection, "echo x; sleep 1000", on_stdout=interrupt)
    assert run(connection, "echo fine").stdout == b"fine\n"


def test_the_first_command_may_have_ended_before_its_session_is_known_to_be_open(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = Connection._settle

    def late(self: Connection, early: object) -> None:
        if self._ahead and early.was_called:  # type: ignore[attr-defined]
            first = self._ahead.unopened
            wait_for("end of the command", lambda: Seen(first.closed or None), seconds=20, every=0.01)
        settle(self, early)  # type: ignore[arg-type]

    monkeypatch.setattr(Connection, "_settle", late)
    with server.connection() as connection:
        assert run(connection, "echo first; exit 3").exit_status == 3
        assert run(connection, "echo second").stdout == b"second\n"


def test_a_server_that_hangs_up_at_a_command_that_comes_early_is_given_time_at_the_next(server: Server) -> None:
    class Wrong(Connection):
        def _settle(self, early: object) -> None:
            if early.was_called:  # type: ignore[attr-defined]
                raise SshLost("a session was lost", "too early")

    connection = Wrong(server.address, server.username, server.key_file, verify=lambda key: None)
    with connection:
        ran = [_status(connection, "exit 4") for _ in range(3)]
    assert ran[-1] == 4
    assert None not in ran[1:]


def _status(connection: Connection, command: str) -> int | None:
    try:
        return run(connection, command).exit_status
    except SshLost:
        return None


def test_a_server_gives_a_sign_of_life_and_a_closed_line_gives_none(connection: Connection) -> None:
    connection.open()
    assert connection.answers(20)
    assert connection.answers(0, unless_heard_within=100)
    connection.close()
    assert not connection.answers(20)


def test_a_line_that_only_looks_alive_is_found_out(server: Server, proxy: Proxy) -> None:
    with server.connection(address=proxy.address) as connection:
        assert run(connection, "echo hello").stdout == b"hello\n"
        proxy.mute()
        assert connection.is_open
        assert not connection.answers(0.5)
