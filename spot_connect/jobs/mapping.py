"""Python functions as distributed jobs: calls go out in files, and answers come back in files."""

from __future__ import annotations

import math
import pickle
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spot_connect.core.errors import ScriptFailed, UsageError
from spot_connect.jobs.run import JobRun

CALL = 'exec "$SPOT_CONNECT_PYTHON" -m spot_connect.crew.calling\n'
"""The script of each job. The program's own Python has what it needs; the items are read where the job lies."""
_JOBS_PER_SLOT = 4


class MapRun(JobRun):
    """The calls of :meth:`spot_connect.instance_manager.InstanceManager.map`."""

    def gather(self, timeout: float | None = None) -> list[Any]:
        """Wait for all answers; what the function returned, in the order of the items.

        Raises:
            Exception: the first that the function raised, as it raised it there.
            ScriptFailed: a job brought no answer; its log says why.
            DeadlinePassed: some have not ended within ``timeout`` seconds; they go on.
        """
        record = self.stay(timeout)
        with TemporaryDirectory(prefix="spot-connect-") as place:
            self.results(place)
            answers = [answer for job in record.jobs for answer in self._answers(job.number, Path(place))]
        return [_value(went_well, packed) for went_well, packed in answers]

    def _answers(self, number: int, place: Path) -> list[tuple[bool, bytes]]:
        path = place / str(number) / "answers.pkl"
        if not path.exists():
            said = self.logs(number).decode("utf-8", "replace")
            raise ScriptFailed(f"job {number} of {self.id} brought no answers", 1, said, said.strip()[-500:])
        with path.open("rb") as file:
            found: list[tuple[bool, bytes]] = pickle.load(file)  # noqa: S301 - it comes from our own machines
        return found


def write_calls(function: Callable[[Any], Any], items: Iterable[Any], count: int, place: Path) -> list[Path]:
    """A file for each of at most ``count`` jobs, with the function and a share of the items.

    Raises:
        UsageError: there are no items, or one of them or the function cannot be sent.
    """
    cloudpickle = _cloudpickle()
    given = list(items)
    if not given:
        raise UsageError("there is nothing to call the function on", advice="Give at least one item.")
    try:
        packed = cloudpickle.dumps(function)
        shares = [cloudpickle.dumps(share) for share in _shares(given, count)]
    except (TypeError, pickle.PicklingError, AttributeError) as error:
        raise UsageError("the function or an item cannot be sent", str(error)) from error
    paths = []
    for number, share in enumerate(shares):
        path = place / str(number) / "call.pkl"
        path.parent.mkdir()
        path.write_bytes(pickle.dumps((tuple(sys.version_info[:2]), packed, share)))
        paths.append(path)
    return paths


def jobs_for(items: int, n_instances: int, slots: int, chunks: int | str) -> int:
    """How many jobs: few enough that each is worth its start, and enough that no slot is idle for long.

    Example:
        >>> jobs_for(1000, n_instances=8, slots=1, chunks="auto"), jobs_for(1000, 8, 1, chunks=10)
        (32, 100)
    """
    if chunks == "auto":
        return min(items, _JOBS_PER_SLOT * n_instances * max(1, slots))
    if isinstance(chunks, bool) or not isinstance(chunks, int) or chunks < 1:
        raise UsageError(f"chunks cannot be {chunks!r}", advice="Give how many items a job is to have, or auto.")
    return math.ceil(items / chunks)


def _shares(items: Sequence[Any], count: int) -> list[Sequence[Any]]:
    parts = min(count, len(items))
    bounds = [len(items) * part // parts for part in range(parts + 1)]
    return [items[first:last] for first, last in pairwise(bounds)]


def _value(went_well: bool, packed: bytes) -> Any:
    found = _cloudpickle().loads(packed)
    if not went_well:
        raise found
    return found


def _cloudpickle() -> Any:
    try:
        import cloudpickle
    except ImportError as error:
        raise UsageError(
            "cannot send Python functions", str(error), "pip install 'spot-connect[jobs]', or use scripts."
        ) from error
    return cloudpickle
