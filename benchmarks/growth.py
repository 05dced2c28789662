"""How the time grows with the work: files, bytes, instances and jobs, beside a peer where one does the same.

Goals are on the last step alone: ten times the work may take ten times as long, and hardly more.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.fan_out import command_on_each
from benchmarks.ground import Door, door_of, local_cloud, new_folder
from benchmarks.jobs import batch, wall_of
from benchmarks.options import Options, as_script
from benchmarks.timing import Number, timed
from benchmarks.transfers import Line, server_in, tree_of
from spot_connect.core.reporting import Silent

if TYPE_CHECKING:
    from spot_connect.instance_manager import InstanceManager

_FILES = (1, 10, 100, 1000, 10_000, 50_000)
_MEGABYTES = (1, 4, 16, 64, 256, 1024)
_INSTANCES = (1, 5, 20, 100)
_JOBS = (10, 100, 1000, 4000)
_WORKERS = 8
_MOST = 1.1
"""The exponent: 1 is as much longer as there is more to do."""

Course = Mapping[float, float]


def measure(options: Options) -> list[Number]:
    """One course for each kind of work."""
    return [*_transfers(options), *_cloud(options)]


def _transfers(options: Options) -> Iterator[Number]:
    folder = new_folder()
    try:
        with server_in(folder) as door:
            yield _files(door, folder, options.rounds or 3)
            yield _bytes(door, folder, options.rounds or 3)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _files(door: Door, folder: Path, rounds: int) -> Number:
    courses: dict[str, dict[float, float]] = {}
    for count in _FILES:
        source = tree_of(folder / f"files{count}", files=count, folders=min(count, 200))
        _both(courses, count, Line(door, source, folder / "target"), rounds)
        shutil.rmtree(source)
    return _number("files of 1 to 8 KB up", "files", courses)


def _bytes(door: Door, folder: Path, rounds: int) -> Number:
    courses: dict[str, dict[float, float]] = {}
    for count in _MEGABYTES:
        source = folder / f"bytes{count}"
        with source.open("wb") as file:
            for _ in range(count):
                file.write(os.urandom(1024 * 1024))
        _both(courses, count, Line(door, source, folder / "target"), rounds)
        source.unlink()
    return _number("one file up", "MB", courses)


def _both(courses: dict[str, dict[float, float]], count: int, line: Line, rounds: int) -> None:
    for name in ("spot-connect", "rsync -a"):
        taken = [_fresh(line, line.up()[name]) for _ in range(rounds)]
        courses.setdefault(name, {})[count] = min(taken)


def _fresh(line: Line, work: Callable[[], object]) -> float:
    shutil.rmtree(line.target, ignore_errors=True)
    line.target.mkdir()
    return timed(work)


def _cloud(options: Options) -> Iterator[Number]:
    from spot_connect.instance_manager import InstanceManager

    with local_cloud(options):
        manager = InstanceManager(local=True, reporter=Silent())
        yield _instances(manager, options.rounds or 3)
        manager.terminate(list(manager.instances))
        yield _jobs(manager)


def _instances(manager: InstanceManager, rounds: int) -> Number:
    machines = manager.launch_instances([f"one{number}" for number in range(max(_INSTANCES))], profile="t2.micro")
    doors = [door_of(machine.instance, machine.kp_dir) for machine in machines]
    for machine in machines:
        machine.close()
    course = {
        float(count): min(timed(partial(command_on_each, doors[:count])) for _ in range(rounds)) for count in _INSTANCES
    }
    return _number("`true` on instances", "instances", {"spot-connect": course})


def _jobs(manager: InstanceManager) -> Number:
    course = {float(count): wall_of(batch(manager, f"grow{count}", "true", count, _WORKERS)) for count in _JOBS}
    return _number(f"scripts that do nothing on {_WORKERS} instances", "jobs", {"spot-connect": course})


def _number(what: str, unit: str, courses: Mapping[str, Course]) -> Number:
    ours, *peers = courses.values()
    exponent = _exponent(ours)
    return Number(
        what,
        _told(ours, unit),
        "; ".join(f"{_told(course, unit)} {name}" for name, course in list(courses.items())[1:]),
        f"exponent {exponent:.2f}" + "".join(f", peer {_exponent(course):.2f}" for course in peers),
        f"<= {_MOST:g}",
        exponent <= _MOST,
        figures={"exponent": exponent},
        courses={f"{unit}: {what}, {name}": sorted(course.items()) for name, course in courses.items()},
    )


def _exponent(course: Course) -> float:
    """Of the power of the size that the time grows with, from the last size but one to the last."""
    (size, seconds), (larger, longer) = sorted(course.items())[-2:]
    return math.log(longer / seconds) / math.log(larger / size)


def _told(course: Course, unit: str) -> str:
    return ", ".join(f"{size:,.0f} {unit} {seconds:.2f} s" for size, seconds in sorted(course.items()))


if __name__ == "__main__":
    sys.exit(as_script(__doc__, measure))
