"""Notes, waits and progress bars, on standard error."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO
from weakref import WeakValueDictionary

from spot_connect.core.masking import masked
from spot_connect.core.reporting import Transfer
from spot_connect.core.untrusted import printable

if TYPE_CHECKING:
    from spot_connect.screen.display import Display


# Reporters of one terminal share its display, for as long as one of them lives: two would draw over one another.
_displays: WeakValueDictionary[int, Display] = WeakValueDictionary()
_first = threading.Lock()


class Screen:
    """A reporter that writes lines, and draws spinners and bars where a terminal can show them.

    Whatever a text says, it is one line, and gives the terminal no commands.

    Args:
        local: every line says LOCAL, so that nobody takes a rehearsal for the real thing.
        stream: where to write; standard error by default, so that standard output carries data alone.
    """

    def __init__(self, *, local: bool = False, stream: TextIO | None = None) -> None:
        self._mark = "LOCAL " if local else ""
        self._stream = stream
        self._kept: Display | None = None

    @property
    def stream(self) -> TextIO:
        """Where lines go; looked up late, because notebooks and tests replace it."""
        stream = self._stream or sys.stderr
        # While rich draws it puts something of its own in the place of standard error.
        return getattr(stream, "rich_proxied_file", stream)

    def note(self, text: str) -> None:
        """Write one line."""
        line = self._line(text)
        stream = self.stream
        with _first:
            display = _displays.get(id(stream))
            if display is None:
                stream.write(f"{line}\n")
                stream.flush()
                return
        display.note(line)

    def warn(self, text: str) -> None:
        """Write one line that stands out."""
        self.note(f"warning: {text}")

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Show ``text`` with a spinner for as long as the context is open; one line without a terminal."""
        if not self._draws:
            self.note(f"{text} ...")
            yield
            return
        with self._display().step(self._line(text)):
            yield

    @contextmanager
    def transfer(self, name: str, total: int) -> Iterator[Transfer]:
        """Show a bar for ``total`` bytes; one line without a terminal."""
        if not self._draws:
            self.note(f"{name}: {total:,} bytes")
            yield _Unseen()
            return
        with self._display().transfer(self._line(name), total) as bar:
            yield bar

    def _line(self, text: str) -> str:
        return f"{self._mark}{printable(masked(text))}"

    @property
    def _draws(self) -> bool:
        return self.stream.isatty()

    def _display(self) -> Display:
        from spot_connect.screen.display import Display

        stream = self.stream
        with _first:
            self._kept = display = _displays.get(id(stream)) or Display(stream)
            _displays[id(stream)] = display
        return display


class _Unseen:
    def advance(self, done: int) -> None:
        pass
