"""TCP connections that are made while everything else is still being loaded; so this loads next to nothing."""

from __future__ import annotations

import socket
import threading


class Dialling:
    """Begins to connect at once, in a thread that keeps nobody from leaving.

    Args:
        host: a name, an IPv4 or an IPv6 address.
        port: of TCP.
        seconds: the longest that it may take for each address of the name.

    Example:
        >>> with socket.create_server(("127.0.0.1", 0)) as server:
        ...     Dialling(*server.getsockname(), seconds=5).connected().close()
    """

    def __init__(self, host: str, port: int, seconds: float) -> None:
        self._place = host, port
        self._seconds = seconds
        self._lock = threading.Lock()
        self._is_wanted = True
        self._outcome: socket.socket | BaseException = TimeoutError("the connection is not made yet")
        self._thread = threading.Thread(target=self._dial, daemon=True, name="ssh-dial")
        self._thread.start()

    def connected(self) -> socket.socket:
        """Wait for the connection, which is the caller's from then on.

        Raises:
            OSError: there is none.
        """
        self._thread.join()
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome

    def hang_up(self) -> None:
        """Close the connection, or have it closed when it is made; nobody waits for that."""
        with self._lock:
            self._is_wanted = False
            if isinstance(self._outcome, socket.socket):
                self._outcome.close()

    def _dial(self) -> None:
        try:
            connected = socket.create_connection(self._place, self._seconds)
        except BaseException as error:  # noqa: BLE001 - raised again where the connection is asked for
            self._outcome = error
            return
        with self._lock:
            self._outcome = connected
            if not self._is_wanted:
                connected.close()


class Dialled:
    """A TCP connection that is there already, in the place of one that is being made.

    Args:
        connected: the connection.
        seconds: the longest that the other side may be silent.
    """

    def __init__(self, connected: socket.socket, seconds: float) -> None:
        connected.settimeout(seconds)
        self._connected = connected

    def connected(self) -> socket.socket:
        """The connection, which is the caller's from then on."""
        return self._connected

    def hang_up(self) -> None:
        """Close the connection."""
        self._connected.close()
