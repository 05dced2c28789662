"""When a holder starts, whom it serves, and when it goes."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from spot_connect.holding import frames
from spot_connect.holding.calling import begin, part
from spot_connect.holding.frames import Request, Wire
from spot_connect.holding.place import connected, socket_of
from spot_connect.store.pins import Pins
from spot_connect.store.ssh_aliases import SshAliases
from spot_connect.store.state import State
from tests.boundary.holding.conftest import NAME, SECONDS, Seat, seat_at
from tests.boundary.ssh.servers import make_key, openssh
from tests.holders import end_holder, until_gone

_NOBODY = 65534
ASKED_AWS = 4
"""Without an account that is where a command ends for which the machine has to be looked up."""


def test_one_of_two_that_start_at_once_stays(seat: Seat) -> None:
    both = [seat.starts("echo hello") for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=SECONDS)
        assert (out, process.returncode) == (b"hello\n", 0), err
    holder = seat.holder
    assert holder
    assert seat.runs("echo again").stdout == b"again\n"
    assert seat.holder == holder


def test_it_ends_when_nobody_uses_it(seat: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOT_CONNECT_HOLD", "0.01")
    process = seat.starts("echo begun; read it", stdin=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    holder = seat.holder
    assert holder
    process.communicate(b"\n", timeout=SECONDS)
    assert process.returncode == 0
    until_gone(holder)
    assert not seat.where.exists()


def test_it_ends_when_the_line_breaks(far_seat: Seat, proxy) -> None:
    far_seat.runs("true")
    holder = far_seat.holder
    assert holder
    proxy.cut()
    until_gone(holder)
    assert not far_seat.where.exists()


def test_it_ends_when_its_machine_was_terminated_here(seat: Seat) -> None:
    seat.runs("true")
    holder = seat.holder
    assert holder
    part(str(seat.root), NAME)
    assert seat.holder == holder, "the name still means the machine"
    SshAliases(State(seat.root)).forget(NAME, seat.alias.instance_id)
    part(str(seat.root), NAME)
    until_gone(holder)


def test_a_name_that_means_another_machine_by_now_never_reaches_the_old_one(seat: Seat) -> None:
    assert seat.runs("echo old").stdout == b"old\n"
    holder = seat.holder
    assert holder
    seat.knows(instance_id="i-0fedcba9876543210")
    result = seat.runs("echo old")
    assert (result.stdout, result.returncode) == (b"", ASKED_AWS)
    until_gone(holder)


@pytest.mark.parametrize("wrong", ["unverified", "another"])
def test_a_host_key_that_nobody_has_vouched_for_is_not_enough(seat: Seat, tmp_path: Path, wrong: str) -> None:
    pins = Pins(State(seat.root))
    pins.forget(seat.alias.instance_id)
    key = make_key(tmp_path / "other")
    server_key = Path(seat.alias.known_hosts).read_text().split()[1:3] if wrong == "unverified" else None
    algorithm, blob = server_key or (key.algorithm, key.blob)
    pins.pin(seat.alias.instance_id, algorithm, blob, verified=wrong == "another")
    assert seat.runs("echo in").returncode == ASKED_AWS


def test_a_machine_that_does_not_answer_is_looked_up(seat: Seat) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    seat.knows(port=port)
    assert seat.runs("echo in").returncode == ASKED_AWS


def test_a_name_never_reached_is_looked_up(seat: Seat) -> None:
    SshAliases(State(seat.root)).forget(NAME, seat.alias.instance_id)
    assert seat.runs("echo in").returncode == ASKED_AWS


def test_none_is_started_when_lines_are_not_to_be_held(seat: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOT_CONNECT_HOLD", "0")
    assert seat.runs("echo in").returncode == ASKED_AWS
    assert seat.holder is None


def test_a_time_that_is_none_is_refused(seat: Seat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOT_CONNECT_HOLD", "long")
    result = seat.runs("echo in")
    assert result.returncode == 2
    assert b"SPOT_CONNECT_HOLD" in result.stderr


def test_a_socket_that_nobody_listens_at_is_replaced(seat: Seat) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(seat.where))
    assert seat.runs("echo in").stdout == b"in\n"
    assert seat.holder


def test_one_that_was_killed_is_replaced(seat: Seat) -> None:
    seat.runs("true")
    holder = seat.holder
    assert holder
    os.kill(holder, signal.SIGKILL)
    until_gone(holder)
    assert seat.where.exists()
    assert seat.runs("echo in").stdout == b"in\n"
    assert seat.holder != holder


@pytest.mark.parametrize("said", [Request(NAME, 600, "echo in", version="1.9").to_bytes(), b"\xff of another kind"])
def test_one_of_another_version_steps_back_at_once_and_lets_its_commands_end(seat: Seat, said: bytes) -> None:
    process = seat.starts("echo begun; read it; echo $it", stdin=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    holder = seat.holder
    line = connected(str(seat.where))
    assert line
    assert holder
    with Wire(line) as wire:
        wire.send(frames.REQUEST, said)
        assert wire.receive()[0] == frames.UNUSED
    assert seat.runs("echo in").stdout == b"in\n"
    assert seat.holder != holder
    out, _ = process.communicate(b"to the end\n", timeout=SECONDS)
    assert out == b"to the end\n"
    until_gone(holder)


def test_a_line_can_be_opened_ahead(seat: Seat) -> None:
    begin(str(seat.root), Request(NAME, 600))
    seat.runs("true")
    holder = seat.holder
    assert holder
    begin(str(seat.root), Request(NAME, 600))
    assert seat.holder == holder


def test_only_this_user_can_reach_it(seat: Seat) -> None:
    seat.runs("true")
    assert stat.S_IMODE(seat.where.stat().st_mode) == 0o600
    assert stat.S_IMODE(seat.where.parent.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_not_served_even_if_the_modes_let_him_in(seat: Seat) -> None:
    seat.runs("true")
    where = seat.where
    try:
        where.parent.chmod(0o711)
        where.chmod(0o666)
        assert _first_answer_to(os.geteuid(), where) == frames.BEGUN
        assert _first_answer_to(_NOBODY, where) == b""
    finally:
        where.parent.chmod(0o700)


def _first_answer_to(user: int, where: Path) -> bytes:
    """The kind of the frame that a process of the user is answered with; empty when it is hung up on."""
    payload = Request(NAME, 600, "true").to_bytes()
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            # Whatever is above the directory keeps strangers out, too.
            os.chdir(where.parent)
            os.setuid(user)
            line = socket.socket(socket.AF_UNIX)
            line.connect(where.name)
            os.write(theirs, b"connected ")
            line.sendall(frames.REQUEST + len(payload).to_bytes(4, "big") + payload)
            os.write(theirs, line.recv(1))
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as answer:
        said = answer.read()
    os.waitpid(child, 0)
    assert said.startswith(b"connected ")
    return said.removeprefix(b"connected ")


def test_a_directory_that_others_can_enter_is_not_used(seat: Seat) -> None:
    seat.where.parent.chmod(0o755)
    assert socket_of(str(seat.root), NAME) is None
    assert seat.runs("echo in").returncode == ASKED_AWS


def opened_by(process: int) -> Iterator[str]:
    for path in Path(f"/proc/{process}/fd").iterdir():
        # It may close a file while we look.
        with suppress(FileNotFoundError):
            yield os.readlink(path)  # noqa: PTH115


def test_it_keeps_neither_the_files_nor_the_directory_of_who_has_started_it(seat: Seat, tmp_path: Path) -> None:
    with (tmp_path / "locked").open("w") as file:
        seat.runs("true", pass_fds=[file.fileno()], cwd=tmp_path)
    holder = seat.holder
    assert os.readlink(f"/proc/{holder}/cwd") == "/"  # noqa: PTH115
    assert str(tmp_path / "locked") not in set(opened_by(holder or 0))
    assert os.getsid(holder or 0) == holder


def test_where_the_server_opens_no_more_sessions_another_line_is_opened(runtime: Path, tmp_path: Path) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    with openssh(folder, sessions=2) as server:
        seat = seat_at(server, Path(os.environ["SPOT_CONNECT_HOME"]))
        try:
            running = [seat.starts("echo $SSH_CONNECTION; read it", stdin=subprocess.PIPE) for _ in range(5)]
            lines = [process.stdout.readline() for process in running if process.stdout]
            ends = [process.communicate(b"\n", timeout=SECONDS) for process in running]
            assert [process.returncode for process in running] == [0] * 5, ends
            assert len(set(lines)) >= 3
        finally:
            end_holder(seat.root, NAME)
