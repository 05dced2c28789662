"""Python functions as distributed jobs: calls go out in files, and answers come back in files."""

from __future__ import annotations

import json
import math
import pickle
import secrets
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise, repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spot_connect.core.errors import NotAuthentic, ScriptFailed, UsageError
from spot_connect.core.untrusted import printable
from spot_connect.crew.sealing import (
    ANSWERS,
    BYTES,
    CALL,
    PLAIN,
    RAISED,
    Forged,
    answer_place,
    call_place,
    part,
    seal,
    told,
    unseal,
)
from spot_connect.jobs.crew import Crew
from spot_connect.jobs.run import JobRun
from spot_connect.store import run_keys
from spot_connect.store.state import State

SCRIPT = 'exec "$SPOT_CONNECT_PYTHON" -m spot_connect.crew.calling\n'
"""The script of each job. The program's own Python has what it needs; the items are read where the job lies."""
_JOBS_PER_SLOT = 4
_KEY_BYTES = 32


class MapRun(JobRun):
    """The calls of :meth:`spot_connect.instance_manager.InstanceManager.map`."""

    def __init__(self, run_id: str, crew: Crew, key: bytes | None = None) -> None:
        super().__init__(run_id, crew)
        self._key = key

    def gather(self, timeout: float | None = None, *, raw: bool = False) -> list[Any]:
        """Wait for all answers; what the function returned, in the order of the items.

        Every answer is known by the key of the run, or none is looked into. Bytes and what JSON can tell travel as
        that; anything else is unpickled here, so the code of your function, and whoever gets into an instance of the
        run, may have this computer do anything. ``raw=True`` unpickles nothing.

        Args:
            timeout: seconds.
            raw: the function returns :class:`bytes`, and so does this.

        Raises:
            Exception: the first that the function raised, as it raised it there.
            NotAuthentic: what a job brought was not made with the key of the run, or for another place.
            ScriptFailed: a job brought no answer, and its log says why; with ``raw``, a call has raised.
            UsageError: with ``raw``, the function has returned something else.
            DeadlinePassed: some have not ended within ``timeout`` seconds; they go on.

        Example:
            >>> manager.map(render, frames, "c6i.large").gather(raw=True)  # doctest: +SKIP
            [b'...', b'...']
        """
        record = self.stay(timeout)
        if self._key is None:
            # It began on another computer.
            self._key = self._crew.ask_one("jobs-key", {"run": self.id}).octets("key")
        with TemporaryDirectory(prefix="spot-connect-") as place:
            self.results(place)
            count = len(record.jobs)
            answers = [(job, one) for job in range(count) for one in self._answers(self._key, job, count, Path(place))]
        # Only now: all of them are known to be ours.
        return [self._value(job, one, raw=raw) for job, one in answers]

    def _answers(self, key: bytes, job: int, jobs: int, place: Path) -> list[bytes]:
        path = place / str(job) / ANSWERS
        if path.is_symlink() or not path.is_file():
            said = self.logs(job).decode("utf-8", "replace")
            raise ScriptFailed(f"job {job} of {self.id} brought no answers", 1, said, said.strip()[-500:])
        try:
            found = part(path.read_bytes())
            if not found:
                raise Forged("there are none, and each job has items")
            places = [answer_place(self.id, job, jobs, item, len(found)) for item in range(len(found))]
            return list(map(unseal, repeat(key), places, found))
        except Forged as error:
            raise NotAuthentic(
                f"the answers of job {job} of {self.id} are not taken", str(error), "Find out who has written them."
            ) from error

    def _value(self, job: int, answer: bytes, *, raw: bool) -> Any:
        kind, content = answer[:1], answer[1:]
        if kind == BYTES:
            return content
        if kind == RAISED:
            said, packed = told(content)
            if raw:
                raise ScriptFailed(f"a call in job {job} of {self.id} has raised {printable(said)}", 1, said)
            raise _cloudpickle().loads(packed)
        if raw:
            raise UsageError(
                f"a call in job {job} of {self.id} has not returned bytes",
                advice="Have the function return bytes, or gather without raw=True.",
            )
        return json.loads(content) if kind == PLAIN else _cloudpickle().loads(content)


def new_key() -> bytes:
    """A key for the calls and the answers of one run."""
    return secrets.token_bytes(_KEY_BYTES)


def keep_key(state: State, run_id: str, key: bytes) -> None:
    """Keep it on this computer, for who gathers the answers later."""
    run_keys.keep(state, run_id, key)


def kept_key(state: State, run_id: str) -> bytes | None:
    """The key of a run that began on this computer."""
    return run_keys.kept(state, run_id)


def write_calls(
    function: Callable[[Any], Any], items: Iterable[Any], count: int, place: Path, *, run_id: str, key: bytes
) -> list[Path]:
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
        path = place / str(number) / CALL
        path.parent.mkdir()
        path.touch(mode=0o600)
        content = pickle.dumps((tuple(sys.version_info[:2]), len(shares), packed, share))
        path.write_bytes(seal(key, call_place(run_id, number), content))
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


def _cloudpickle() -> Any:
    try:
        import cloudpickle
    except ImportError as error:
        raise UsageError(
            "cannot send Python functions", str(error), "pip install 'spot-connect[jobs]', or use scripts."
        ) from error
    return cloudpickle
