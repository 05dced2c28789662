"""A server that is not known for certain yet: when it turns out to be another one, every line to it ends."""

from __future__ import annotations

import threading
from typing import Protocol
from weakref import WeakSet

from spot_connect.core.errors import SshError


class Line(Protocol):
    """A line that can be dropped from any thread."""

    def drop(self) -> bool:
        """End it at once; whether it was up."""


class Doubt:
    """What may yet be found out about a server; all lines to it share it.

    Example:
        >>> doubt = Doubt()
        >>> doubt.check()
        >>> doubt.confirm(SshError("the line to vm1 was dropped"))
        False
        >>> doubt.check()
        Traceback (most recent call last):
        ...
        spot_connect.core.errors.SshError: the line to vm1 was dropped
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: WeakSet[Line] = WeakSet()
        self._found: SshError | None = None

    @property
    def found(self) -> SshError | None:
        """What was found, as an error to raise; nothing as long as there is none."""
        # Several threads raise it, and each adds its own traceback.
        return type(self._found)(*self._found.args) if self._found else None

    def watch(self, line: Line) -> None:
        """Drop the line, too, when there is something to find."""
        with self._lock:
            self._lines.add(line)

    def confirm(self, error: SshError) -> bool:
        """Drop all lines; from now on every use of one raises ``error``. Whether one was up."""
        with self._lock:
            self._found = error
            lines = list(self._lines)
        dropped = [line.drop() for line in lines]
        return any(dropped)

    def check(self) -> None:
        """Raise what was found, if anything was."""
        found = self.found
        if found:
            raise found
