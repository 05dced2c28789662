"""The TCP connection under a transport."""

from __future__ import annotations

import contextlib
import socket
import sys
import time

_READ = 256 * 1024
_LENGTH = 4
_DEAD_MILLISECONDS = 60_000


class Line(socket.socket):
    """A connected TCP socket that acknowledges at once and reads in large pieces."""

    def __init__(self, connected: socket.socket) -> None:
        super().__init__(connected.family, connected.type, connected.proto, fileno=connected.detach())
        self._have = b""
        self._at = 0
        self.heard = time.time()
        """When the other side was heard last, by the clock on the wall: others stand still while a laptop sleeps."""
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if sys.platform == "linux":
            # Unanswered keepalives would otherwise take a quarter of an hour to end a dead line.
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_MILLISECONDS)

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """At most ``size`` bytes, asking the kernel only when nothing is left of its last answer."""
        if self._at >= len(self._have):
            self._have = super().recv(max(size, _READ), flags)
            self._at = 0
            self.heard = time.time()
            self._acknowledge()
        piece = self._have[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def whole_packet(self, tag: int) -> memoryview | None:
        """The next packet, whose length comes first and whose tag of so many bytes last, if all of it is here."""
        here = memoryview(self._have)[self._at :]
        end = _LENGTH + int.from_bytes(here[:_LENGTH], "big") + tag
        if len(here) < end:
            return None
        self._at += end
        return here[:end]

    def close(self) -> None:
        """End the line, and wake up whoever waits for what comes on it."""
        with contextlib.suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)
        super().close()

    def _acknowledge(self) -> None:
        # Linux forgets the option after every use; without it small answers wait 40 ms for each other.
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
