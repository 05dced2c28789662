"""What the library tells while it works; the console decides how it looks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Transfer(Protocol):
    """A progress bar under way."""

    def advance(self, done: int) -> None:
        """``done`` more bytes have arrived."""


class Reporter(Protocol):
    """Hears what happens. Nothing it does may change what happens."""

    def note(self, text: str) -> None:
        """Something the user should know: one line."""

    def warn(self, text: str) -> None:
        """Something the user should act on: one line."""

    def step(self, text: str) -> AbstractContextManager[None]:
        """Something that may take a while, for as long as the context is open."""

    def transfer(self, name: str, total: int) -> AbstractContextManager[Transfer]:
        """``total`` bytes of the file ``name`` are about to move."""


class _NoTransfer:
    def advance(self, done: int) -> None:
        """Tell nobody."""


class Silent:
    """A reporter that tells nobody."""

    def note(self, text: str) -> None:
        """Tell nobody."""

    def warn(self, text: str) -> None:
        """Tell nobody."""

    def step(self, text: str) -> AbstractContextManager[None]:
        """Tell nobody."""
        return nullcontext()

    def transfer(self, name: str, total: int) -> AbstractContextManager[Transfer]:
        """Tell nobody."""
        return nullcontext(_NoTransfer())


class Named:
    """What one of several does, told with its name."""

    def __init__(self, reporter: Reporter, name: str) -> None:
        self._reporter = reporter
        self._name = name

    def note(self, text: str) -> None:
        """One line."""
        self._reporter.note(f"{self._name}: {text}")

    def warn(self, text: str) -> None:
        """One line to act on."""
        self._reporter.warn(f"{self._name}: {text}")

    def step(self, text: str) -> AbstractContextManager[None]:
        """Something that may take a while."""
        return self._reporter.step(f"{self._name}: {text}")

    def transfer(self, name: str, total: int) -> AbstractContextManager[Transfer]:
        """Bytes that are about to move."""
        return self._reporter.transfer(f"{self._name}: {name}", total)


class Share(Silent):
    """What one of several does of a work that has one progress bar.

    Args:
        bar: of all together.
        size: bytes of it that may be this one's to move.
        hear: hears what is to be noted of this one.
    """

    def __init__(self, bar: Transfer, size: int, hear: Callable[[str], None]) -> None:
        self._bar = bar
        self._left = size
        self._hear = hear

    def note(self, text: str) -> None:
        """One line."""
        self._hear(text)

    def transfer(self, name: str, total: int) -> AbstractContextManager[Transfer]:
        """Tell the bar of all."""
        return nullcontext(self)

    def advance(self, done: int) -> None:
        """``done`` more bytes have arrived."""
        self._left -= done
        self._bar.advance(done)

    def end(self) -> None:
        """All is there; what did not have to move counts, too."""
        self.advance(self._left)
