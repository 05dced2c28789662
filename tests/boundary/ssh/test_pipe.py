"""A program's streams in our hands, and what becomes of them when the line breaks."""

from __future__ import annotations

import pytest

from spot_connect.core.errors import SshLost
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.ssh.command import run
from spot_connect.ssh.connection import Connection
from spot_connect.ssh.pipe import Pipe

MUCH = "head -c 50000000 /dev/zero"


def cut(connection: Connection) -> None:
    """Break the line with data still to be read."""
    assert connection._transport is not None
    connection._transport.sock.close()


def test_a_line_that_breaks_while_room_for_more_is_told_is_said_to_be_lost(connection: Connection) -> None:
    with Pipe(connection, MUCH) as pipe:
        stream = pipe._channel.in_buffer
        # More than is read at once, and enough of it that the server must be told of the room.
        wait_for("much", lambda: Seen(len(stream._pieces) > 40 or None), seconds=30, every=0.05)
        cut(connection)
        with pytest.raises(SshLost, match="broke"):
            pipe.read(50_000_000)


def test_so_is_that_of_a_command(connection: Connection) -> None:
    with pytest.raises(SshLost):
        run(connection, MUCH, on_stdout=lambda _: cut(connection), capture=False)
