"""A port of this computer that leads to one that an instance reaches."""

from __future__ import annotations

import contextlib
import socket

from spot_connect.core.errors import SpotConnectError
from spot_connect.core.models import Address
from spot_connect.ssh._pairs import Pairs, begin
from spot_connect.ssh.connection import Connection

_HERE = "127.0.0.1"
_WAKE_SECONDS = 1.0


class Forward:
    """While this is open, whoever connects to :attr:`address` on this computer talks to ``target``.

    The port is open to this computer alone. A connection that breaks is closed on both sides; the next one opens the
    line again if need be.

    Args:
        connection: the line to the instance.
        target: where the instance connects to.

    Attributes:
        address: where to connect to, on this computer.
        trouble: why the last connection could not be made; ``None`` while all can.

    Example:
        >>> with Forward(connection, Address("172.31.5.9", 8786)) as way:  # doctest: +SKIP
        ...     socket.create_connection((way.address.host, way.address.port))
    """

    def __init__(self, connection: Connection, target: Address) -> None:
        self._connection = connection
        self._target = target
        self._listener = socket.create_server((_HERE, 0))
        self._pairs = Pairs()
        self._is_over = False
        self.address = Address(_HERE, self._listener.getsockname()[1])
        self.trouble: SpotConnectError | None = None

    def __enter__(self) -> Forward:
        self._acceptor = begin(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        # On Linux, closing a socket wakes nobody who waits for it.
        with contextlib.suppress(OSError):
            socket.create_connection((self.address.host, self.address.port), _WAKE_SECONDS).close()
            # While it waits in accept(), the port stays open whatever is closed here.
            self._acceptor.join(_WAKE_SECONDS)
        self._listener.close()
        self._pairs.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._is_over:
                near.close()
                return
            begin(self._serve, near)

    def _serve(self, near: socket.socket) -> None:
        try:
            far = self._connection.way_to(self._target)
        except SpotConnectError as error:
            self.trouble = error
            near.close()
            return
        self.trouble = None
        self._pairs.carry(near, far)
