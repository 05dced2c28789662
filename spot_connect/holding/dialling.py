"""A TCP connection that is made while everything else is still being loaded."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

# TCP asks again after one second. Where nobody answers soon, the machine is looked up and its door is opened.
_CONNECT_SECONDS = 2.5


def begin_to_dial(host: str, port: int) -> Callable[[], socket.socket]:
    """Begin to connect; what is returned waits for the connection, and raises ``OSError`` when there is none."""
    outcome: list[socket.socket | OSError] = []

    def dial() -> None:
        try:
            outcome.append(socket.create_connection((host, port), _CONNECT_SECONDS))
        except OSError as error:
            outcome.append(error)

    def wait() -> socket.socket:
        thread.join()
        if isinstance(outcome[0], OSError):
            raise outcome[0]
        return outcome[0]

    thread = threading.Thread(target=dial, daemon=True, name="dial")
    thread.start()
    return wait
