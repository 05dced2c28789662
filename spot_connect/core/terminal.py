"""Who draws on the terminal, and who has to have it alone for a moment: a question would be drawn over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Protocol
from weakref import WeakSet


class Drawing(Protocol):
    """Something that draws on the terminal again and again."""

    def paused(self) -> AbstractContextManager[None]:
        """Nothing is drawn for as long as the context is open."""


_drawings: WeakSet[Drawing] = WeakSet()


def register(drawing: Drawing) -> None:
    """From now on ``drawing`` pauses while somebody has the terminal alone; until it is collected."""
    _drawings.add(drawing)


@contextmanager
def alone() -> Iterator[None]:
    """Nobody else draws on the terminal for as long as the context is open.

    Example:
        >>> with alone():
        ...     pass
    """
    with ExitStack() as paused:
        for drawing in list(_drawings):
            paused.enter_context(drawing.paused())
        yield
