"""What `spot_connect -n NAME -c COMMAND` promises over a held line; nothing here could reach AWS."""

from __future__ import annotations

import os
import signal
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from spot_connect.core.waiting import Seen, wait_for
from tests.boundary.holding.conftest import SECONDS, Seat

LOST = b"may still be running"


@pytest.mark.parametrize(("command", "status"), [("true", 0), ("exit 37", 37), ("exit 255", 255), ("kill -9 $$", 137)])
def test_the_commands_own_status_comes_back(seat: Seat, command: str, status: int) -> None:
    for _ in ("a holder is started", "and met"):
        assert seat.runs(command).returncode == status


def test_both_streams_arrive_apart_and_as_bytes(seat: Seat) -> None:
    for _ in ("a holder is started", "and met"):
        result = seat.runs(r"printf 'gr\303\274n\0\n'; printf '\377' >&2")
        assert result.stdout == "grün\0\n".encode()
        assert result.stderr == b"\xff"


def test_commands_share_one_line(seat: Seat) -> None:
    lines = {seat.runs("echo $SSH_CONNECTION").stdout for _ in range(3)}
    assert len(lines) == 1
    assert seat.holder


def test_output_comes_while_the_command_runs(seat: Seat) -> None:
    process = seat.starts("echo first; read it; echo $it", stdin=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"first\n"
    rest, _ = process.communicate(b"go on\n", timeout=SECONDS)
    assert rest == b"go on\n"


@pytest.mark.parametrize("size", [0, 1, 20_000_000])
def test_input_arrives_whole(seat: Seat, size: int) -> None:
    data = os.urandom(size)
    for _ in ("a holder is started", "and met"):
        assert seat.runs("sha256sum", stdin=data).stdout.split()[0].decode() == sha256(data).hexdigest()


def test_what_goes_in_comes_out_while_it_goes_in(seat: Seat) -> None:
    data = os.urandom(20_000_000)
    assert seat.runs("cat", stdin=data).stdout == data


def test_input_that_nobody_reads_does_not_matter(seat: Seat) -> None:
    assert seat.runs("exec 0<&-; exit 3", stdin=b"x" * 8_000_000).returncode == 3


def test_without_standard_streams_it_runs_all_the_same(seat: Seat) -> None:
    line = 'exec "$@" <&-'
    result = subprocess.run(
        ["sh", "-c", line, "sh", *seat.starts("true").args[:-1], "cat; echo done"],
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert result.stdout == b"done\n", result.stderr


def test_commands_of_several_lines_and_any_length(seat: Seat) -> None:
    assert seat.runs("cd /\nx=5\npwd\necho $x").stdout == b"/\n5\n"
    # Longer than Linux lets an argument be there.
    long = "# a comment\n" * 10_000 + "cat; exit 9"
    for _ in ("a holder is started", "and met"):
        result = seat.runs(long, stdin=b"in")
        assert (result.returncode, result.stdout) == (9, b"in"), result.stderr


def test_many_commands_at_once(seat: Seat) -> None:
    running = [seat.starts(f"sleep 0.2; echo {number}; exit {number}") for number in range(12)]
    for number, process in enumerate(running):
        out, _ = process.communicate(timeout=SECONDS)
        assert (out, process.returncode) == (f"{number}\n".encode(), number)


def interrupt(process: subprocess.Popen[bytes]) -> None:
    """Ctrl-C while it waits: Python heeds a signal that comes just before a system call only when that has ended."""

    def waits() -> bool:
        return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"

    wait_for("the wait", lambda: Seen(waits() or None), seconds=SECONDS, every=0.01)
    process.send_signal(signal.SIGINT)


def test_ctrl_c_ends_the_command_and_lets_its_last_words_through(seat: Seat) -> None:
    for _ in ("a holder is started", "and met"):
        process = seat.starts("trap 'echo bye; exit 7' INT; echo $$; sleep 100 & wait", start_new_session=True)
        assert process.stdout
        remote = process.stdout.readline()
        interrupt(process)
        out, err = process.communicate(timeout=SECONDS)
        assert out == b"bye\n"
        assert err == b"spot_connect: interrupted\n"
        assert process.returncode == 130
        assert seat.runs(f"kill -0 {int(remote)}").returncode == 1


def test_ctrl_c_is_heard_while_input_waits_for_a_command_that_reads_none(seat: Seat) -> None:
    with open("/dev/zero", "rb") as endless:  # noqa: PTH123
        process = seat.starts("echo $$; exec sleep 100", stdin=endless, start_new_session=True)
        assert process.stdout
        remote = process.stdout.readline()
        interrupt(process)
        process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert seat.runs(f"kill -0 {int(remote)}").returncode == 1


def test_a_command_whose_reader_has_gone_ends(seat: Seat) -> None:
    process = seat.starts("echo $$; exec yes")
    assert process.stdout
    remote = process.stdout.readline()
    process.stdout.close()
    assert process.wait(SECONDS) == 141
    _until_gone_there(seat, remote)


def test_a_command_whose_caller_was_killed_loses_its_streams(seat: Seat) -> None:
    process = seat.starts("echo $$; while echo still here; do sleep 0.1; done")
    assert process.stdout
    remote = process.stdout.readline()
    process.kill()
    process.communicate()
    _until_gone_there(seat, remote)


def _until_gone_there(seat: Seat, remote: bytes) -> None:
    def look() -> Seen[bool]:
        return Seen(seat.runs(f"kill -0 {int(remote)}").returncode == 1 or None)

    wait_for("end of the command", look, seconds=SECONDS, every=0.1)


def test_neither_boto3_nor_paramiko_is_loaded(seat: Seat) -> None:
    loud = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    for _ in ("a holder is started", "and met"):
        result = seat.runs("true", env=loud)
        assert b"spot_connect.holding.calling" in result.stderr
        for heavy in (b"boto", b"paramiko", b"cryptography", b"pathlib", b"rich"):
            loaded = [line for line in result.stderr.splitlines() if line.rpartition(b"|")[2].strip().startswith(heavy)]
            # An editable installation loads pathlib before we are asked.
            assert not loaded or heavy == b"pathlib", loaded


def test_the_line_breaks_during_a_command(far_seat: Seat, proxy) -> None:
    process = far_seat.starts("echo begun; sleep 100")
    assert process.stdout
    assert process.stdout.readline() == b"begun\n"
    proxy.cut()
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 5
    assert LOST in err


def test_a_line_that_broke_between_commands_is_opened_again(far_seat: Seat, proxy) -> None:
    first = far_seat.runs("echo $SSH_CONNECTION").stdout
    proxy.cut()
    second = far_seat.runs("echo $SSH_CONNECTION")
    assert second.returncode == 0, second.stderr
    assert second.stdout not in (b"", first)


def test_a_holder_that_dies_during_a_command_is_told_of_and_nothing_runs_twice(seat: Seat) -> None:
    process = seat.starts("echo ran >> once; echo begun; sleep 100")
    assert process.stdout
    assert process.stdout.readline() == b"begun\n"
    holder = seat.holder
    assert holder
    os.kill(holder, signal.SIGKILL)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 5
    assert LOST in err
    assert seat.runs("cat once; rm once").stdout == b"ran\n"
