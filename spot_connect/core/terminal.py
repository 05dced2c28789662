"""Who draws on the terminal, and who has to have it alone for a moment: a question would be drawn over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


Question = Callable[[], str]
"""Asks a person something at the terminal, and returns what they type."""

_askers: list[Callable[[Question], str]] = []


@contextmanager
def asked_by(asker: Callable[[Question], str]) -> Iterator[None]:
    """Whatever thread has a question hands it to ``asker`` for as long as the context is open.

    Ctrl-C reaches the main thread alone: a question that another thread puts would leave a terminal without echo.
    """
    _askers.append(asker)
    try:
        yield
    finally:
        _askers.remove(asker)


def put(question: Question) -> str:
    """The answer to ``question``, put by whoever asks for all just now, or else by this thread; nobody draws meanwhile.

    Example:
        >>> put(lambda: "123456")
        '123456'
    """
    if _askers:
        return _askers[-1](question)
    with alone():
        return question()
