"""The same work on many things at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from spot_connect.core.errors import PartlyFailed, SpotConnectError

T = TypeVar("T")
R = TypeVar("R")
AT_ONCE = 100


def side_by_side(work: Callable[[T], R], items: Mapping[str, T], at_once: int = AT_ONCE) -> dict[str, R]:
    """What ``work`` makes of each item, by its name; all are tried, whatever becomes of the others.

    Raises:
        PartlyFailed: some failed, of several; the error has what the others made, and why each failed. The failure of
            a single item is raised as it is.

    Example:
        >>> side_by_side(len, {"a": "one", "b": "three"})
        {'a': 3, 'b': 5}
    """
    if len(items) == 1:
        return {name: work(item) for name, item in items.items()}
    succeeded: dict[str, R] = {}
    failed: dict[str, SpotConnectError] = {}
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        futures = {name: pool.submit(work, item) for name, item in items.items()}
        for name, future in futures.items():
            try:
                succeeded[name] = future.result()
            except SpotConnectError as error:
                failed[name] = error
    if failed:
        raise PartlyFailed(succeeded, failed)
    return succeeded
