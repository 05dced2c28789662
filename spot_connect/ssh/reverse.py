"""A port of an instance that leads to one of this computer."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

from spot_connect.core.errors import SpotConnectError
from spot_connect.core.models import Address
from spot_connect.ssh._pairs import Pairs, begin
from spot_connect.ssh.connection import Connection

if TYPE_CHECKING:
    import paramiko

_LOOK_SECONDS = 2.0


class Reverse:
    """While this is open, who connects to :attr:`port` on the instance's loopback talks to ``target`` on this computer.

    When the line breaks it is opened again, with the same port.

    Args:
        connection: the line to the instance, for this alone; it is closed at the end.
        target: where this computer connects to.

    Raises:
        SshError: the server allows no forwarding; and all that opening a connection raises.

    Example:
        >>> with Reverse(connection.another(), Address("127.0.0.1", 8786)) as way:  # doctest: +SKIP
        ...     way.port
        41231
    """

    def __init__(self, connection: Connection, target: Address) -> None:
        self._connection = connection
        self._target = target
        self._pairs = Pairs()
        self._over = threading.Event()
        self.port = 0

    def __enter__(self) -> Reverse:
        self.port = self._connection.let_in(0, self._called)
        begin(self._keep)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._pairs.close()
        self._connection.close()

    def _keep(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            if not self._connection.is_open:
                # The server may hold the port until it, too, has seen that the line broke.
                with contextlib.suppress(SpotConnectError):
                    self._connection.let_in(self.port, self._called)

    def _called(self, far: paramiko.Channel) -> None:
        begin(self._serve, far)

    def _serve(self, far: paramiko.Channel) -> None:
        try:
            near = socket.create_connection((self._target.host, self._target.port))
        except OSError:
            # The line may be gone as well.
            with contextlib.suppress(OSError, EOFError):
                far.close()
            return
        self._pairs.carry(near, far)
