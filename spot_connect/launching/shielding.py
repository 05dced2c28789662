"""Calls whose answer must not be lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TypeVar

from spot_connect.aws.consistency import until

T = TypeVar("T")


def to_the_end(call: Callable[[], T]) -> T:
    """What ``call`` returns; a Ctrl-C in the meantime is raised when it has ended, and not before.

    A request that is under way cannot be taken back: who leaves before the answer does not know what was launched.
    One that AWS has refused, because it may not have heard of what it names, is not repeated then. A second Ctrl-C
    leaves at once.

    Example:
        >>> to_the_end(lambda: 42)
        42
    """
    left = Event()

    def heedful() -> T:
        with until(left.is_set):
            return call()

    with ThreadPoolExecutor(max_workers=1) as pool:
        # A thread that Ctrl-C meets while it starts would not be waited for, so it is started with nothing to do.
        pool.submit(int).result()
        try:
            return pool.submit(heedful).result()
        except KeyboardInterrupt:
            left.set()
            raise
