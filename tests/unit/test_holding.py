"""Frames, requests and places of held lines."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from spot_connect.console.commanding import _says_only_a_name
from spot_connect.console.parser import main_parser
from spot_connect.core.errors import UsageError
from spot_connect.core.ssh_config import alias_of
from spot_connect.holding import calling, frames
from spot_connect.holding.frames import Request, Wire
from spot_connect.holding.place import hold_seconds, socket_of


@pytest.fixture
def ends():
    here, there = socket.socketpair()
    with Wire(here) as ours, there:
        yield ours, there


def test_frames_arrive_whole_however_they_are_cut(ends):
    ours, there = ends
    for byte in b"o\0\0\0\3abc" + b"x\0\0\0\0":
        there.sendall(bytes([byte]))
    assert ours.receive() == (frames.OUT, b"abc")
    assert ours.receive() == (frames.ENDED, b"")


def test_the_end_in_the_middle_of_a_frame_is_the_end(ends):
    ours, there = ends
    there.sendall(b"o\0\0\0\3ab")
    there.close()
    with pytest.raises(EOFError):
        ours.receive()


def test_what_is_no_frame_takes_no_memory(ends):
    ours, there = ends
    there.sendall(b"o\xff\xff\xff\xff")
    with pytest.raises(ConnectionError):
        ours.receive()


@pytest.mark.parametrize("command", ["true", "a\nb \0c", "caf\udce9", " ", None])
def test_a_request_arrives_as_it_was_meant(command):
    sent = Request("my vm\n1", 12.5, command)
    got = Request.from_bytes(sent.to_bytes())
    assert (got.name, got.seconds, got.command, got.version) == (sent.name, 12.5, command, sent.version)
    assert not got.is_farewell
    assert Request.from_bytes(Request("vm1", is_farewell=True).to_bytes()).is_farewell


@pytest.mark.parametrize("data", [b"", b"1.0", b"1.0 run soon vm1\0true", b"{}"])
def test_what_is_no_request_is_told_from_one(data):
    with pytest.raises(ValueError, match=r"."):
        Request.from_bytes(data)


def test_a_line_is_held_for_ten_minutes_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv("SPOT_CONNECT_HOLD", raising=False)
    assert hold_seconds() == 600
    monkeypatch.setenv("SPOT_CONNECT_HOLD", "2m")
    assert hold_seconds() == 120
    monkeypatch.setenv("SPOT_CONNECT_HOLD", "-1")
    with pytest.raises(UsageError, match="SPOT_CONNECT_HOLD"):
        hold_seconds()


def test_each_name_and_each_state_directory_has_a_place_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    roots = [tmp_path / "a", tmp_path / "b"]
    for root in roots:
        root.mkdir()
    places = {socket_of(str(root), name) for root in roots for name in ("vm1", "vm2")}
    assert len(places) == 4
    assert None not in places


def test_a_long_path_is_replaced_by_one_that_a_socket_can_have(tmp_path, monkeypatch):
    short = tmp_path / "run"
    short.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short))
    root = tmp_path / ("x" * 90)
    root.mkdir()
    place = socket_of(str(root), "vm1")
    assert place
    assert place.startswith(f"{short}/spot-connect-")
    assert Path(place).parent.lstat().st_mode & 0o777 == 0o700


def test_a_directory_that_is_not_ours_alone_is_no_place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    place = socket_of(str(tmp_path), "vm1")
    assert place
    folder = Path(place).parent
    folder.chmod(0o750)
    assert socket_of(str(tmp_path), "vm1") is None
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "elsewhere")
    assert socket_of(str(tmp_path), "vm1") is None


def test_without_a_state_directory_there_is_no_place_and_none_is_made(tmp_path):
    assert socket_of(str(tmp_path / "home"), "vm1") is None
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("words", [["-n", "vm1"], ["vm1"], ["vm1", "--local"], ["vm1", "-a", "False"]])
def test_a_name_alone_needs_no_look_at_aws(words):
    assert _says_only_a_name(main_parser().parse_args([*words, "-c", "true"]))


@pytest.mark.parametrize(
    "more",
    [
        *(["-p", "t2.micro"], ["-s", "a.sh"], ["-u", "a"], ["-d", "a"], ["--sync", "."], ["-a", "True"], ["-fw", "x"]),
        *(["-reg", "eu-west-1"], ["-un", "me"], ["-kd", "/keys"], ["-f", "data"], ["vm2"], ["-em", "False"]),
    ],
)
def test_whatever_else_is_said_of_it_has_to_be_looked_up(more):
    assert not _says_only_a_name(main_parser().parse_args(["-n", "vm1", "-c", "true", *more]))


@pytest.mark.parametrize("words", [["-c", ""], ["-c", " \n"], ["-c", "a", "-c", "b"], ["-c"]])
def test_a_command_says_something_and_there_is_one(words):
    with pytest.raises(UsageError):
        main_parser().parse_args(["-n", "vm1", *words])


def test_a_file_that_says_nothing_of_a_machine_leads_nowhere():
    assert alias_of("") is None
    assert alias_of('Host "vm1"\n    Port many\n') is None


def test_a_holder_that_wakes_up_too_late_cannot_take_the_command_on(ends, monkeypatch):
    ours, there = ends
    monkeypatch.setattr(calling, "_BEGIN_SECONDS", 0.01)
    told = []
    assert not calling._begun(ours, Request("vm1", 600, "true"), told.append)
    assert told
    with pytest.raises(BrokenPipeError):
        there.sendall(frames.BEGUN + bytes(4))


def test_a_holder_is_told_nothing_of_aws(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert "secret" not in calling._environment().values()
    assert "SPOT_CONNECT_HOME" in calling._environment()
