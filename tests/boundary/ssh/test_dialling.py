"""A TCP connection that is made beside other work."""

from __future__ import annotations

import socket
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


@pytest.mark.parametrize("is_made", [True, False])
def test_hangs_up_what_is_made_and_what_is_not_yet(listener: socket.socket, is_made: bool) -> None:
    dialling = Dialling(*listener.getsockname(), _SECONDS)
    if is_made:
        dialling.connected()
    dialling.hang_up()
    with closing(listener.accept()[0]) as far:
        far.settimeout(_SECONDS)
        assert far.recv(1) == b""
