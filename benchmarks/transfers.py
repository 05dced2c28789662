"""Files up and down, and a first command, against scp, rsync, sftp and ssh, over lines of 0 to 150 ms.

One sshd of OpenSSH's own for all, on this computer, in memory where that has a file system; `benchmarks.delay` makes
the round trip. Each side starts without a connection. The better of the peers counts; the notes have all of them.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.delay import delayed
from benchmarks.ground import Door, new_folder
from benchmarks.options import Options, as_script
from benchmarks.timing import Number, Sample, interleave_values, ratio, timed

_MEGABYTES = 512
_BIG_GOALS = {0: 1.3, 20: 2.8, 80: 5.0, 150: 4.0}
_BIG_ROUNDS = {0: 9, 20: 5, 80: 1, 150: 1}
_SMALL_GOALS = {0: 1.7, 80: 1.8}
_AGAIN_GOALS = {0: 1.8, 80: 2.0}
_PARTS = 20
_PART_MEGABYTES = 256
_MEMORY_GOAL = 150
_TIME = 1_700_000_000

Sides = dict[str, Callable[[], object]]


@dataclass(frozen=True, slots=True)
class Line:
    """A server at the end of a line, and the places that files go from and to."""

    door: Door
    source: Path
    target: Path

    def ours(self, work: Callable[[object], object]) -> None:
        """Do something over a new connection of ours."""
        from spot_connect.core.models import Address
        from spot_connect.ssh.connection import Connection

        address = Address(self.door.host, int(self.door.port))
        with Connection(address, self.door.user, self.door.key_file, verify=lambda key: None) as connection:
            work(connection)

    def up(self) -> Sides:
        """The ways up."""
        from spot_connect.core.reporting import Silent
        from spot_connect.transfers.upload import upload

        reporter = Silent()
        there = f"{self.door.target}:{self.target}"
        return {
            "spot-connect": lambda: self.ours(
                lambda line: upload(line, [self.source], str(self.target), reporter=reporter)  # type: ignore[arg-type]
            ),
            "rsync -a": lambda: _run("rsync", "-a", "-e", self._shell, str(self.source), there),
            "scp -r": lambda: _run(*self._copy("scp"), "-rpq", str(self.source), there),
            "sftp": lambda: _batch(self._copy("sftp"), self.door.target, f"put -R {self.source} {self.target}"),
        }

    def down(self) -> Sides:
        """The ways down."""
        from spot_connect.core.reporting import Silent
        from spot_connect.transfers.download import download

        reporter = Silent()
        there = f"{self.door.target}:{self.source}"
        return {
            "spot-connect": lambda: self.ours(
                lambda line: download(line, [str(self.source)], self.target, reporter=reporter)  # type: ignore[arg-type]
            ),
            "rsync -a": lambda: _run("rsync", "-a", "-e", self._shell, there, str(self.target)),
            "scp -r": lambda: _run(*self._copy("scp"), "-rpq", there, str(self.target)),
            "sftp": lambda: _batch(self._copy("sftp"), self.door.target, f"get -R {self.source} {self.target}"),
        }

    def command(self) -> Sides:
        """The ways to run a first command."""
        from spot_connect.ssh.command import run

        return {
            "spot-connect": lambda: self.ours(lambda line: run(line, "true")),  # type: ignore[arg-type]
            "ssh": lambda: _run(*self.door.ssh(self.door.target, "true")),
        }

    @property
    def _shell(self) -> str:
        return " ".join(self.door.ssh())

    def _copy(self, program: str) -> list[str]:
        # Both take ssh's options, but for the port.
        return [program, *("-P" if word == "-p" else word for word in self.door.ssh()[1:])]


def measure(options: Options) -> list[Number]:
    """One number for each work, direction and round trip."""
    folder = new_folder()
    try:
        with server_in(folder / "server") as door:
            return [
                number
                for take in (_big, _small, _few, _again, _command, _memory)
                for number in take(door, folder, options)
            ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def server_in(place: Path, settings: str = "") -> Iterator[Door]:
    """An sshd of OpenSSH's own, with what it needs in a folder that is not there yet; ``settings`` are more of its."""
    from tests.boundary.ssh.servers import openssh

    place.mkdir()
    with openssh(place, rekey="default none", settings=settings) as server:
        yield Door(server.address.host, str(server.address.port), server.username, server.key_file)


@contextmanager
def _line(door: Door, milliseconds: int, source: Path) -> Iterator[Line]:
    with delayed(door.host, int(door.port), milliseconds) as (host, port):
        yield Line(Door(host, str(port), door.user, door.key_file), source, source.parent / "target")


def _big(door: Door, folder: Path, options: Options) -> list[Number]:
    source = folder / "big"
    noise(source, _MEGABYTES)
    numbers = []
    for milliseconds, goal in _BIG_GOALS.items():
        with _line(door, milliseconds, source) as line:
            for name, sides in (("up", line.up()), ("down", line.down())):
                what = f"{_MEGABYTES} MB {name}, {milliseconds} ms"
                numbers.append(_compared(what, sides, line, options.rounds or _BIG_ROUNDS[milliseconds], goal))
    source.unlink()
    return numbers


def _memory(door: Door, folder: Path, _options: Options) -> list[Number]:
    """The most that a process of ours has while it moves 5 GB, of which a fraction at a time lies on the disk."""
    source = folder / "much"
    source.mkdir()
    first = source / "0"
    noise(first, _PART_MEGABYTES)
    for number in range(1, _PARTS):
        (source / f"{number}").hardlink_to(first)
    numbers = []
    with _line(door, 80, source) as line:
        for way in ("up", "down"):
            prepare(line.target, None)
            most = _moved(way, line) / 1024 / 1024
            what = f"memory while {_PARTS * _PART_MEGABYTES / 1024:g} GB go {way}, 80 ms"
            goal = f"< {_MEMORY_GOAL} MB"
            numbers.append(
                Number(what, f"{most:.0f} MB", "", "", goal, most < _MEMORY_GOAL, figures={"megabytes": most})
            )
    shutil.rmtree(source)
    return numbers


def _moved(way: str, line: Line) -> int:
    door = line.door
    command = [sys.executable, "-m", "benchmarks.moving", way, door.host, door.port, door.user, str(door.key_file)]
    with subprocess.Popen([*command, str(line.source), str(line.target)], stdout=subprocess.PIPE, text=True) as moving:
        while moving.poll() is None:
            time.sleep(0.1)
            for whole in (line.target / line.source.name).glob("[0-9]*"):
                whole.unlink()
        assert moving.stdout
        return int(moving.stdout.read())


def _small(door: Door, folder: Path, options: Options) -> list[Number]:
    source = tree_of(folder / "small", files=10_000, folders=200)
    numbers = []
    for milliseconds, goal in _SMALL_GOALS.items():
        with _line(door, milliseconds, source) as line:
            for name, sides in _both_ways(line, "rsync -a"):
                what = f"10,000 files {name}, {milliseconds} ms"
                numbers.append(_compared(what, sides, line, options.rounds or 5, goal))
    return numbers


def _few(door: Door, folder: Path, options: Options) -> list[Number]:
    source = tree_of(folder / "few", files=100, folders=2)
    with _line(door, 80, source) as line:
        return [
            _compared(f"100 files {name}, 80 ms", sides, line, options.rounds or 1, 30)
            for name, sides in _both_ways(line, "scp -r")
        ]


def _both_ways(line: Line, peer: str) -> list[tuple[str, Sides]]:
    return [("up", beside(line.up(), peer)), ("down", beside(line.down(), peer))]


def beside(sides: Sides, peer: str) -> Sides:
    """Ours and one peer."""
    return {label: side for label, side in sides.items() if label in ("spot-connect", peer)}


def _again(door: Door, folder: Path, options: Options) -> list[Number]:
    source = folder / "small"
    files = [path for path in sorted(source.rglob("*")) if path.is_file()]
    before = folder / "before"
    shutil.copytree(source, before / source.name, copy_function=shutil.copy2)
    for number, path in enumerate(random.Random(1).sample(files, len(files) // 100)):
        path.write_bytes(os.urandom(3000))
        os.utime(path, (_TIME + number, _TIME + number))
    numbers = []
    for milliseconds, goal in _AGAIN_GOALS.items():
        with _line(door, milliseconds, source) as line:
            chosen = beside(line.up(), "rsync -a")
            what = f"10,000 files again, 1 % changed, {milliseconds} ms"
            numbers.append(_compared(what, chosen, line, options.rounds or 5, goal, before))
    return numbers


def _command(door: Door, folder: Path, options: Options) -> list[Number]:
    with _line(door, 80, folder / "small") as line:
        return [_compared("first command, 80 ms", line.command(), line, options.rounds or 7, 1 / 0.6)]


def _compared(
    what: str,
    sides: Mapping[str, Callable[[], object]],
    line: Line,
    rounds: int,
    goal: float,
    before: Path | None = None,
) -> Number:
    samples = interleaved(sides, rounds, lambda: prepare(line.target, before))
    ours, *peers = samples
    best = min(peers, key=lambda sample: sample.median)
    notes = tuple(f"{peer}; {peer.median / ours.median:.1f} times as long" for peer in peers)
    return ratio(what, ours, best, most=round(1 / goal, 3), notes=notes)


def interleaved(
    sides: Mapping[str, Callable[[], object]], rounds: int, prepare: Callable[[], None]
) -> tuple[Sample, ...]:
    """In turns, with the ground prepared before each, which is not counted."""

    def side(work: Callable[[], object]) -> float:
        prepare()
        return timed(work)

    return interleave_values({label: partial(side, work) for label, work in sides.items()}, rounds)


def prepare(target: Path, before: Path | None) -> None:
    """Make the place that files go to: empty, or as it was ``before``."""
    shutil.rmtree(target, ignore_errors=True)
    if before:
        _run("cp", "-a", str(before), str(target))
    else:
        target.mkdir()


def noise(path: Path, megabytes: int) -> Path:
    """A file that nothing makes smaller."""
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1024 * 1024))
    return path


def tree_of(root: Path, *, files: int, folders: int) -> Path:
    """Random files of 1 to 8 KB, none of them young."""
    choice = random.Random(1)
    for number in range(files):
        folder = root / f"{number % folders // 20}" / f"{number % folders}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"file_{number}.txt"
        path.write_bytes(choice.randbytes(choice.randint(1024, 8192)))
        os.utime(path, (_TIME, _TIME))
    return root


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def _batch(program: list[str], target: str, line: str) -> None:
    subprocess.run([*program, "-b", "-", target], input=line.encode(), check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(as_script(__doc__, measure))
