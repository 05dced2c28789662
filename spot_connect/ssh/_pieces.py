"""What a channel has received, as a queue."""

from __future__ import annotations

import threading
from collections import deque


class Pieces:
    """Takes the place of paramiko's BufferedPipe, which moves all it holds in memory at every read.

    Several may share one ``changed``, so that one thread can wait for all of them.
    """

    def __init__(self, changed: threading.Condition) -> None:
        self._changed = changed
        self._pieces: deque[bytes] = deque()
        self._at = 0
        self._held = 0
        self._awaited = 1
        self.closed = False

    def read_ready(self) -> bool:
        """Whether ``read`` has something to give."""
        return bool(self._pieces)

    def feed(self, data: bytes) -> None:
        """Take a piece from paramiko's thread."""
        with self._changed:
            if data:
                self._pieces.append(data)
                self._held += len(data)
            if self._held >= self._awaited:
                self._changed.notify_all()

    def close(self) -> None:
        """Nothing more will come."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def gather(self, size: int, seconds: float) -> None:
        """Let ``size`` bytes come together, for so long at the most: one is woken once then, not for each piece."""
        with self._changed:
            self._awaited = size
            self._changed.wait_for(lambda: self._held >= size or self.closed, seconds)
            self._awaited = 1

    def read(self, size: int, timeout: float | None = None) -> bytes:
        """At most ``size`` bytes; empty when nothing more will come, or nothing came within ``timeout``."""
        with self._changed:
            self._changed.wait_for(lambda: self._pieces or self.closed, timeout)
            return self._take(size)

    def _take(self, size: int) -> bytes:
        taken = []
        while self._pieces and size:
            first = self._pieces[0]
            piece = first[self._at : self._at + size] if self._at or size < len(first) else first
            taken.append(piece)
            size -= len(piece)
            self._held -= len(piece)
            self._at += len(piece)
            if self._at >= len(first):
                self._pieces.popleft()
                self._at = 0
        return taken[0] if len(taken) == 1 else b"".join(taken)
