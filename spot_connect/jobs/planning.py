"""From what a user gives to a plan, before anything costs money."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spot_connect.core.errors import UsageError
from spot_connect.core.jobs import Job, Plan
from spot_connect.core.runs import Script
from spot_connect.ssh.command import unix_text

Uploads = str | Path | Sequence[str | Path]


def plan(n_jobs: int, scripts: str | Path | Sequence[str | Path], uploads: Sequence[Uploads] | None) -> Plan:
    """The jobs: one for each script, or ``n_jobs`` of the one script there is.

    A string is the text of a script, a :class:`~pathlib.Path` the file of one.

    Raises:
        UsageError: the numbers do not go together, or a file is not there.
    """
    given = [scripts] if isinstance(scripts, str | Path) else list(scripts)
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, int) or n_jobs < 1:
        raise UsageError(f"cannot run {n_jobs!r} jobs", advice="Give a whole number from 1 up.")
    if len(given) != 1 and len(given) < n_jobs:
        raise UsageError(
            f"cannot run {n_jobs} jobs",
            f"there are {len(given)} scripts",
            "Give one script for each job, or one for all of them.",
        )
    count = max(n_jobs, len(given))
    if uploads is not None and (isinstance(uploads, str | Path) or len(uploads) != count):
        raise UsageError(f"cannot run {count} jobs", "uploads does not have one entry for each", "Nothing was sent.")
    texts: dict[str | Path, Script] = {}
    for number, one in enumerate(given):
        if one not in texts:
            texts[one] = _script(one, number)
    places = {one: place for place, one in enumerate(texts)}
    jobs = tuple(
        Job(places[given[number if len(given) > 1 else 0]], _existing(uploads[number]) if uploads else ())
        for number in range(count)
    )
    return Plan(tuple(texts.values()), jobs)


def _script(given: str | Path, number: int) -> Script:
    if isinstance(given, str):
        return Script(f"script-{number}", given.encode())
    path = given.expanduser()
    if not path.is_file():
        raise UsageError(f"cannot run {path}", "it is not a file", "Nothing was sent.")
    return Script(path.name, unix_text(path.read_bytes()))


def _existing(given: Uploads) -> tuple[Path, ...]:
    paths = tuple(Path(one).expanduser() for one in ([given] if isinstance(given, str | Path) else given))
    missing = next((path for path in paths if not path.exists()), None)
    if missing:
        raise UsageError(f"cannot read {missing}", "no such file or directory", "Nothing was sent.")
    return paths
