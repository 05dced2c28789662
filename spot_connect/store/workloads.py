"""Workloads split into files, one for each job."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from spot_connect.core.errors import UsageError
from spot_connect.store.state import State


def even_ranges(length: int, parts: int) -> list[range]:
    """``min(length, parts)`` ranges that cover ``length`` items in order; their sizes differ by one at the most.

    Example:
        >>> [len(part) for part in even_ranges(10, 3)]
        [4, 3, 3]
    """
    count = min(length, parts)
    bounds = [-(-length * index // count) for index in range(count)] + [length]
    return [range(first, last) for first, last in pairwise(bounds)]


def split_to_files(n_jobs: int, workload: Any, directory: Path, name: str) -> list[str]:
    """Pickle the workload in even chunks to ``<directory>/<name>_0.pickle`` and so on; the paths in order.

    A list, tuple, array or data frame gives slices of its own kind, a dictionary gives dictionaries, anything else
    that can be iterated gives lists.

    Raises:
        UsageError: ``n_jobs`` is not a positive whole number, or an item cannot be pickled.
        StateError: a file cannot be written.
    """
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, int) or n_jobs < 1:
        raise UsageError(f"{n_jobs!r} is not a number of jobs", advice="Give a whole number of at least 1.")
    files = State(directory.absolute(), is_users=True)
    items = _sliceable(workload)
    chunks = (items[part.start : part.stop] for part in even_ranges(len(items), n_jobs))
    made = []
    for index, chunk in enumerate(chunks):
        path = files.path(f"{name}_{index}.pickle")
        files.write_atomic(path, _pickled(dict(chunk) if isinstance(workload, Mapping) else chunk), mode=0o600)
        made.append(str(path))
    return made


def _sliceable(workload: Any) -> Any:
    if isinstance(workload, Mapping):
        return list(workload.items())
    is_own_kind = isinstance(workload, Sequence) or (hasattr(workload, "shape") and hasattr(workload, "__getitem__"))
    try:
        return workload if is_own_kind else list(workload)
    except TypeError as error:
        raise UsageError(f"{workload!r} cannot be split", advice="Give a list of work items.") from error


def _pickled(chunk: Any) -> bytes:
    try:
        return pickle.dumps(chunk)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UsageError("an item of the workload cannot be pickled", str(error), "Give plain data.") from error
