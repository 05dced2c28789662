"""Python's search for garbage, put off while long lists are made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collecting_later() -> Iterator[None]:
    """Make tens of thousands of objects that all stay: each search among them would find nothing, and takes long.

    Example:
        >>> with collecting_later():
        ...     squares = [(number, number**2) for number in range(100_000)]
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
