"""A TCP connection that is made beside other work."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from spot_connect.ssh.dialling import Dialling
from tests.boundary.ssh.servers import free_port

_SECONDS = 10.0


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(_SECONDS)
        yield server


def test_brings_the_connection(listener: socket.socket) -> None:
    with closing(Dialling(*listener.getsockname(), _SECONDS).connected()) as near, closing(listener.accept()[0]) as far:
        near.sendall(b"hello")
        assert far.recv(5) == b"hello"


def test_raises_why_there_is_none() -> None:
    with pytest.raises(ConnectionRefusedError):
        Dialling("127.0.0.1", free_port(), _SECONDS).connected()


def test_raises_what_a_name_that_cannot_be_one_brings() -> None:
    with pytest.raises(UnicodeError):
        Dialling("a" * 64 + ".example", 22, _SECONDS).connected()


def test_hangs_up_what_is_made(listener: socket.socket) -> None:
    dialling = Dialling(*listener.getsockname(), _SECONDS)
    dialling.connected()
    dialling.hang_up()
    assert was_hung_up(listener)


def test_hangs_up_what_is_made_only_then(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    real, gate = socket.create_connection, threading.Event()

    def late(*arguments: object) -> socket.socket:
        gate.wait(_SECONDS)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "create_connection", late)
    dialling = Dialling(*listener.getsockname(), _SECONDS)
    dialling.hang_up()
    gate.set()
    assert was_hung_up(listener)


def was_hung_up(listener: socket.socket) -> bool:
    with closing(listener.accept()[0]) as far:
        far.settimeout(_SECONDS)
        return far.recv(1) == b""
