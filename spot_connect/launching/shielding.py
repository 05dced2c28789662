"""Calls whose answer must not be lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def to_the_end(call: Callable[[], T]) -> T:
    """What ``call`` returns; a Ctrl-C in the meantime is raised when it has ended, and not before.

    A request that is under way cannot be taken back: who leaves before the answer does not know what was launched.
    A second Ctrl-C leaves at once.

    Example:
        >>> to_the_end(lambda: 42)
        42
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        # A thread that Ctrl-C meets while it starts would not be waited for, so it is started with nothing to do.
        pool.submit(int).result()
        return pool.submit(call).result()
