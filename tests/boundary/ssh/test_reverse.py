"""A port of an instance that leads to this computer."""

from __future__ import annotations

import socket
import time

import pytest

from spot_connect.core.models import Address
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.ssh.connection import Connection
from spot_connect.ssh.reverse import Reverse
from tests.boundary.ssh.servers import free_port
from tests.boundary.ssh.test_forward import echo  # noqa: F401 - a fixture

PATIENCE = 30


def answer(port: int, seconds: float = PATIENCE) -> bytes:
    """What comes back through the port of the instance, which in tests is this computer's, too."""
    with socket.create_connection(("127.0.0.1", port), seconds) as there:
        there.sendall(b"x")
        return there.recv(1)


def test_who_connects_there_talks_to_this_computer(connection: Connection, echo: Address) -> None:  # noqa: F811
    with Reverse(connection.another(), echo) as way:
        assert (answer(way.port), answer(way.port)) == (b"x", b"x")

    def look() -> Seen[bool]:
        try:
            socket.create_connection(("127.0.0.1", way.port), 1).close()
        except ConnectionRefusedError:
            return Seen(value=True)
        except OSError as error:
            return Seen(None, str(error))
        return Seen(None, "open")

    wait_for("end of the port", look, seconds=PATIENCE, every=0.2)


def test_one_after_the_other_is_answered(connection: Connection, echo: Address) -> None:  # noqa: F811
    with Reverse(connection.another(), echo) as way:
        # The server gives the number of a channel that has ended to a later one.
        for _ in range(20):
            assert answer(way.port) == b"x"
            time.sleep(0.05)


def test_where_nobody_listens_here_the_connection_is_closed_there(connection: Connection) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with Reverse(connection.another(), Address("127.0.0.1", port)) as way:
        assert answer(way.port) == b""


def test_after_the_line_broke_the_port_is_there_again(connection: Connection, echo: Address) -> None:  # noqa: F811
    line = connection.another()
    with Reverse(line, echo) as way:
        assert answer(way.port) == b"x"
        line._transport.sock.close()

        def look() -> Seen[bool]:
            try:
                # The server may not have noticed yet that the line is broken.
                return Seen(answer(way.port, 1) == b"x" or None)
            except OSError as error:
                return Seen(None, str(error))

        wait_for("the port", look, seconds=PATIENCE, every=0.2)


def test_who_calls_where_nobody_listens_is_let_go_when_the_line_is_lost_too(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_: object) -> None:
        raise EOFError

    way = Reverse(connection, Address("127.0.0.1", free_port()))
    channel = connection.channel()
    # What a line says that nobody has noticed yet is lost; that moment cannot be had by cutting one.
    monkeypatch.setattr(connection._transport, "_send_user_message", lost)
    way._serve(channel)
    assert channel.closed
