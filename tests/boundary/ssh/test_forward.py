"""A port of this computer that leads elsewhere through SSH."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from spot_connect.core.models import Address
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.ssh.connection import Connection
from spot_connect.ssh.forward import Forward

PATIENCE = 30


@pytest.fixture
def echo() -> Iterator[Address]:
    """A server that says back what it hears, until it hears no more."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(heard: socket.socket) -> None:
        with heard:
            while piece := heard.recv(65536):
                heard.sendall(piece)

    def accept() -> None:
        while True:
            try:
                heard, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(heard,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield Address("127.0.0.1", listener.getsockname()[1])
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def dialled(way: Forward) -> socket.socket:
    return socket.create_connection((way.address.host, way.address.port), PATIENCE)


def all_from(near: socket.socket) -> bytes:
    pieces = []
    while piece := near.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def test_bytes_go_both_ways_at_once_and_the_end_goes_too(connection: Connection, echo: Address) -> None:
    sent = os.urandom(20_000_000)
    with Forward(connection, echo) as way, dialled(way) as near:

        def send() -> None:
            near.sendall(sent)
            near.shutdown(socket.SHUT_WR)

        threading.Thread(target=send, daemon=True).start()
        assert all_from(near) == sent


def test_several_may_use_it_at_the_same_time(connection: Connection, echo: Address) -> None:
    with Forward(connection, echo) as way, dialled(way) as one, dialled(way) as other:
        other.sendall(b"other")
        one.sendall(b"one")
        assert (one.recv(10), other.recv(10)) == (b"one", b"other")


def test_only_this_computer_can_use_it(connection: Connection, echo: Address) -> None:
    with Forward(connection, echo) as way:
        assert way._listener.getsockname()[0] == "127.0.0.1"


def test_where_nobody_listens_the_connection_is_closed_and_told_why(connection: Connection) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with Forward(connection, Address("127.0.0.1", port)) as way, dialled(way) as near:
        assert near.recv(1) == b""
        assert str(port) in str(way.trouble)


def test_when_the_line_breaks_so_does_what_goes_over_it(connection: Connection, echo: Address) -> None:
    with Forward(connection, echo) as way:
        with dialled(way) as near:
            near.sendall(b"x")
            assert near.recv(1) == b"x"
            connection._transport.sock.close()
            assert near.recv(1) == b""
        with dialled(way) as again:
            again.sendall(b"y")
            assert again.recv(1) == b"y"


def test_afterwards_nothing_is_left_of_it(connection: Connection, echo: Address) -> None:
    with Forward(connection, echo) as way:
        near = dialled(way)
        near.sendall(b"x")
        assert near.recv(1) == b"x"
    with near:
        assert near.recv(1) == b""
    with pytest.raises(OSError, match="refused"):
        dialled(way)

    def left() -> Seen[bool]:
        threads = [thread for thread in threading.enumerate() if thread.name == "ssh-forward"]
        return Seen(not threads or None, str(threads))

    wait_for("end of its threads", left, seconds=PATIENCE, every=0.05)
