"""How the time grows with the work: files, bytes, instances and jobs, beside a peer where one does the same.

Goals are on the last step alone: ten times the work may take ten times as long, and hardly more.
"""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.fan_out import hosts, spent
from benchmarks.ground import Door, local_cloud, new_folder
from benchmarks.jobs import batch, wall_of
from benchmarks.options import Options, as_script
from benchmarks.timing import Number
from benchmarks.transfers import Line, interleaved, noise, prepare, server_in, tree_of
from spot_connect.core.reporting import Silent

_FILES = (1, 10, 100, 1000, 10_000, 50_000)
_MEGABYTES = (1, 4, 16, 64, 256, 1024)
_INSTANCES = (1, 5, 20, 100)
_JOBS = (10, 100, 1000, 4000)
_WORKERS = 8
_MOST = 1.1
"""The exponent: 1 is as much longer as there is more to do."""

Course = Mapping[int, float]
"""Seconds by size."""


def measure(options: Options) -> list[Number]:
    """One course for each kind of work."""
    return [*_transfers(options), _instances(options.rounds or 3), _jobs(options)]


def _transfers(options: Options) -> Iterator[Number]:
    folder = new_folder()
    try:
        with server_in(folder / "server") as door:
            yield _files(door, folder, options.rounds or 3)
            yield _bytes(door, folder, options.rounds or 3)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _files(door: Door, folder: Path, rounds: int) -> Number:
    def source(count: int) -> Path:
        return tree_of(folder / f"files{count}", files=count, folders=min(count, 200))

    return _number("files of 1 to 8 KB up", "files", _courses(door, _FILES, source, rounds))


def _bytes(door: Door, folder: Path, rounds: int) -> Number:
    def source(count: int) -> Path:
        return noise(folder / f"bytes{count}", count)

    return _number("one file up", "MB", _courses(door, _MEGABYTES, source, rounds))


def _courses(door: Door, counts: Sequence[int], source: Callable[[int], Path], rounds: int) -> Mapping[str, Course]:
    found: dict[str, dict[int, float]] = {}
    for count in counts:
        line = Line(door, source(count), door.key_file.parent / "target")
        sides = {name: side for name, side in line.up().items() if name in ("spot-connect", "rsync -a")}
        for sample in interleaved(sides, rounds, partial(prepare, line.target, None)):
            found.setdefault(sample.label, {})[count] = min(sample.seconds)
    return found


def _instances(rounds: int) -> Number:
    with hosts(max(_INSTANCES)) as doors:
        course = {count: min(spent("spot-connect", doors[:count])[0] for _ in range(rounds)) for count in _INSTANCES}
    return _number("`true` on instances", "instances", {"spot-connect": course})


def _jobs(options: Options) -> Number:
    from spot_connect.instance_manager import InstanceManager

    with local_cloud(options):
        manager = InstanceManager(local=True, reporter=Silent())
        course = {count: wall_of(batch(manager, f"grow{count}", "true", count, _WORKERS)) for count in _JOBS}
    return _number(f"scripts that do nothing on {_WORKERS} instances", "jobs", {"spot-connect": course})


def _number(what: str, unit: str, courses: Mapping[str, Course]) -> Number:
    ours, *peers = (_exponent(course) for course in courses.values())
    told, *others = (f"{_told(course)} {name}" for name, course in courses.items())
    return Number(
        f"{what}, by {unit}",
        told,
        "; ".join(others),
        f"exponent {ours:.2f}" + "".join(f", peer {one:.2f}" for one in peers),
        f"<= {_MOST:g}",
        ours <= _MOST,
        figures={"exponent": ours},
        courses={name: sorted(course.items()) for name, course in courses.items()},
    )


def _exponent(course: Course) -> float:
    """Of the power of the size that the time grows with, from the last size but one to the last."""
    (size, seconds), (larger, longer) = sorted(course.items())[-2:]
    return math.log(longer / seconds) / math.log(larger / size)


def _told(course: Course) -> str:
    return ", ".join(f"{size:,}: {seconds:.2f} s" for size, seconds in sorted(course.items()))


if __name__ == "__main__":
    sys.exit(as_script(__doc__, measure))
