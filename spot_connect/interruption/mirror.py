"""A log that is written here and kept elsewhere, too."""

from __future__ import annotations

import os
import time
from pathlib import Path

_EVERY = 0.2
_PIECE = 1024 * 1024
_TRIES = 3


class Mirror:
    """Copies what is added to ``source`` to ``target``; does nothing when they are the same file.

    Whatever the other side does, the source is never touched: a target that is full or away is tried again later, and
    ``failure`` says what stands in the way.
    """

    def __init__(self, source: Path, target: Path) -> None:
        self._source = source
        self._target = target
        self._next = 0.0
        self.failure = ""

    def copy(self) -> None:
        """Copy what is new, five times a second at most."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _EVERY
            self._copy()

    def finish(self) -> None:
        """Copy the rest."""
        for _ in range(_TRIES):
            self._copy()
            if not self.failure:
                return

    def _copy(self) -> None:
        if self._source == self._target:
            return
        try:
            self._append()
            self.failure = ""
        except OSError as error:
            self.failure = f"{self._target}: {error.strerror or error}"

    def _append(self) -> None:
        try:
            source = self._source.open("rb")
        except FileNotFoundError:
            return
        with source, self._target.open("ab") as target:
            # After a full disk the target may end in the middle of what was being written.
            source.seek(os.fstat(target.fileno()).st_size)
            grown = False
            while True:
                piece = source.read(_PIECE)
                if not piece:
                    break
                target.write(piece)
                grown = True
            if grown:
                target.flush()
                os.fsync(target.fileno())
