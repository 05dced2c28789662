"""One question for all who ask at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Shared(Generic[K, V]):
    """Answers keys by ``ask``, which is called by one thread at a time and takes the keys of all that wait meanwhile.

    Whoever asks alone is answered at once. An answer is never older than the question.

    Args:
        ask: tells of each key; one that it leaves out raises :class:`KeyError`. What it raises is raised to all who
            have shared the question.

    Example:
        >>> squares = Shared(lambda numbers: {number: number * number for number in numbers})
        >>> squares(3)
        9
    """

    def __init__(self, ask: Callable[[Collection[K]], Mapping[K, V]]) -> None:
        self._ask = ask
        self._turn = threading.Lock()
        self._joining = threading.Lock()
        self._next: _Question[K, V] = _Question()

    def __call__(self, key: K) -> V:
        """The answer to ``key``."""
        with self._joining:
            question = self._next
            question.keys[key] = None
        with self._turn:
            if not question.is_answered:
                with self._joining:
                    # Whoever comes from now on may know more than the answer will.
                    self._next = _Question()
                question.put(self._ask)
        return question.answer(key)


class _Question(Generic[K, V]):
    def __init__(self) -> None:
        self.keys: dict[K, None] = {}
        self.is_answered = False
        self._answers: Mapping[K, V] = {}
        self._error: Exception | None = None

    def put(self, ask: Callable[[Collection[K]], Mapping[K, V]]) -> None:
        # Ctrl-C ends whoever has put the question; the next of them puts it again.
        try:
            self._answers = ask(list(self.keys))
        except Exception as error:  # noqa: BLE001 - it is raised to everyone by `answer`
            self._error = error
        self.is_answered = True

    def answer(self, key: K) -> V:
        if self._error is not None:
            raise self._error
        return self._answers[key]
