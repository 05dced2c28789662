"""Files up and down, and a first command, over lines of the kernel's own TCP with a rate, a delay and a loss.

`benchmarks.link` makes them; each cell has a new one, with an sshd at its far end that has OpenSSH's own limits. The
better of scp and rsync counts. Four plain TCP streams are the roof: what the line carries without SSH, files and disks.
Where packets are lost, a TCP stream is slow however fast the line is, and what is moved is less.
"""

from __future__ import annotations

import math
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from itertools import groupby
from pathlib import Path

from benchmarks.ground import Door, new_folder
from benchmarks.link import FAR, Link, Nature, NoLink, real_link
from benchmarks.options import Options, as_script
from benchmarks.timing import Number, Sample, ratio
from benchmarks.transfers import Line, Sides, beside, interleaved, noise, prepare, server_in, tree_of
from spot_connect.core.errors import SpotConnectError

RATES = (100, 1000)
ROUND_TRIPS = (20, 80)
LOSSES = (0, 0.1, 1)
WORKS = ("up", "down", "files-up", "files-down", "command")
ROOF = "four TCP streams"
_STREAMS = 4
_FILES = 3000
_MOST = {100: 64, 1000: 512}
_LEAST = 16
_PEER_SECONDS = 45
_SHORT_SECONDS = 10
_ROUNDS = 3
_COMMANDS = 7
_SERVER = f"""
ListenAddress {FAR}
MaxStartups 10:30:100
MaxSessions 10
"""
_PIECE = 1024 * 1024
_SEGMENT = 1448
_WINDOW = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cell:
    """One line, and one thing to do over it.

    Example:
        >>> Cell(1000, 80, 0.1, "up").name
        '1000/80/0.1/up'
    """

    megabits: int
    milliseconds: int
    percent: float
    work: str

    @property
    def name(self) -> str:
        """What ``--cells`` calls it."""
        return f"{self.line}/{self.work}"

    @property
    def line(self) -> str:
        """What ``--cells`` calls its line."""
        return f"{self.megabits}/{self.milliseconds}/{self.percent:g}"

    @property
    def is_big(self) -> bool:
        """Whether one big file is moved."""
        return self.work in ("up", "down")

    @property
    def megabytes(self) -> int:
        """The size of a big file: a power of two that takes a peer no longer than a minute, if it is enough to tell.

        Example:
            >>> [Cell(1000, 80, percent, "up").megabytes for percent in LOSSES]
            [512, 32, 16]
        """
        most = _MOST[self.megabits]
        return (
            most if not self.percent else max(_LEAST, min(most, 2 ** int(math.log2(self.rate * _PEER_SECONDS / 1e6))))
        )

    @property
    def rate(self) -> float:
        """How many bytes a second one SSH connection of OpenSSH moves, as far as theory tells."""
        seconds = self.milliseconds / 1000
        rates = [self.megabits * 1e6 / 8, _WINDOW / seconds]
        if self.percent:
            # Mathis, Semke, Mahdavi and Ott: The macroscopic behavior of the TCP congestion avoidance algorithm, 1997.
            rates.append(1.22 * _SEGMENT / seconds / math.sqrt(self.percent / 100))
        return min(rates)

    @property
    def seconds(self) -> float:
        """How long a peer takes, more or less."""
        begin = 10 * self.milliseconds / 1000
        if self.work == "command":
            return begin
        return begin + (self.megabytes * 1e6 if self.is_big else _FILES * 5000) / self.rate

    def rounds(self, options: Options) -> int:
        """How often each side is timed."""
        usual = _COMMANDS if self.work == "command" else _ROUNDS if self.seconds < _SHORT_SECONDS else 1
        return options.rounds or usual

    def all_seconds(self, options: Options) -> float:
        """How long all sides take, more or less: two peers, and what is faster."""
        return self.rounds(options) * (3 if self.is_big else 1.7) * self.seconds + 1

    @property
    def goal(self) -> float:
        """How many times as long as the better peer ours may take."""
        if self.work == "command":
            return 0.4
        return 1 / 3 if self.is_big and self.line == "1000/80/0.1" else 1.0

    def __str__(self) -> str:
        rate = f"{self.megabits // 1000} Gbit/s" if self.megabits >= 1000 else f"{self.megabits} Mbit/s"
        way = self.work.removeprefix("files-")
        what = f"{self.megabytes} MB {way}" if self.is_big else f"{_FILES:,} files {way}"
        what = "first command" if self.work == "command" else what
        return f"{what}, {rate}, {self.milliseconds} ms" + (f", {self.percent:g} % lost" if self.percent else "")


def cells(patterns: str = "") -> list[Cell]:
    """The cells that any of the patterns, parted by commas, names; a pattern may name the line alone.

    Example:
        >>> [str(cell) for cell in cells("1000/80/0.1/up,100/20/0/c*")]
        ['first command, 100 Mbit/s, 20 ms', '32 MB up, 1 Gbit/s, 80 ms, 0.1 % lost']
    """
    wanted = [pattern.strip() for pattern in (patterns or "*").split(",")]
    found = [
        cell
        for megabits in RATES
        for milliseconds in ROUND_TRIPS
        for percent in LOSSES
        for cell in (Cell(megabits, milliseconds, percent, work) for work in WORKS)
        if any(fnmatchcase(name, pattern) for name in (cell.line, cell.name) for pattern in wanted)
    ]
    if not found:
        raise SystemExit(
            f"no cell is like {patterns}; there are lines such as 1000/80/0.1, and works {', '.join(WORKS)}"
        )
    return found


def measure(options: Options) -> list[Number]:
    """One number for each cell; none, with a word, where no such line can be had."""
    chosen = cells(options.cells)
    numbers: list[Number] = []
    folder = new_folder()
    try:
        tree_of(folder / "files", files=_FILES, folders=60)
        left = sum(cell.all_seconds(options) for cell in chosen)
        for _, group in groupby(chosen, lambda cell: cell.line):
            alike = list(group)
            with _line(folder, alike[0], options.congestion) as (link, door):
                for cell in alike:
                    _tell(f"{len(numbers) + 1} of {len(chosen)}: {cell}; about {left / 60:.0f} minutes left")
                    numbers.append(_number(cell, link, door, folder, options))
                    left -= cell.all_seconds(options)
    except NoLink as error:
        _tell(f"skipped: {error}")
        return []
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return numbers


def _tell(text: str) -> None:
    print(f"real_links: {text}", file=sys.stderr)


@contextmanager
def _line(folder: Path, cell: Cell, congestion: str) -> Iterator[tuple[Link, Door]]:
    """A line like that of the cell, and the door at its far end."""
    nature = Nature(cell.megabits, cell.milliseconds, cell.percent, congestion=congestion or "cubic")
    place = folder / "server"
    with real_link(folder, nature) as link, ExitStack() as stack:
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        with link.far_end():
            door = stack.enter_context(server_in(place, _SERVER))
        yield link, Door(FAR, door.port, door.user, door.key_file)


def _number(cell: Cell, link: Link, door: Door, folder: Path, options: Options) -> Number:
    source = noise(folder / "big", cell.megabytes) if cell.is_big else folder / "files"
    line = Line(door, source, folder / "target")
    try:
        samples = interleaved(_sides(cell, line, link), cell.rounds(options), lambda: prepare(line.target, None))
    except (SpotConnectError, OSError, subprocess.CalledProcessError) as error:
        return Number(str(cell), "", "", f"failed: {error}", met=False)
    finally:
        shutil.rmtree(line.target, ignore_errors=True)
    return number_of(cell, samples)


def number_of(cell: Cell, samples: Sequence[Sample]) -> Number:
    """What came out of a cell: ours first, then its peers, then the roof if there is one."""
    ours, *others = samples
    peers = [sample for sample in others if sample.label != ROOF]
    best = min(peers, key=lambda sample: sample.median)
    notes = tuple(f"{sample}; ours takes {ours.median / sample.median:.2f}x as long" for sample in others)
    return ratio(str(cell), ours, best, most=round(cell.goal, 3), notes=notes)


def _sides(cell: Cell, line: Line, link: Link) -> Sides:
    if cell.work == "command":
        return line.command()
    sides = line.up() if cell.work.endswith("up") else line.down()
    # scp waits several round trips for each small file.
    chosen = {**beside(sides, "rsync -a"), **(beside(sides, "scp -r") if cell.is_big else {})}
    if cell.is_big:
        chosen[ROOF] = lambda: _plain(link, cell.megabytes, up=cell.work == "up")
    return chosen


def _plain(link: Link, megabytes: int, *, up: bool) -> None:
    """Move so many megabytes over plain TCP streams, and wait until all has arrived."""
    with ExitStack() as stack:
        with link.far_end():
            listener = stack.enter_context(socket.create_server((FAR, 0)))
        share = math.ceil(megabytes / _STREAMS)
        works: list[Callable[[], None]] = []
        for _ in range(_STREAMS):
            near = partial(socket.create_connection, listener.getsockname()[:2])
            far = lambda: listener.accept()[0]  # noqa: E731 - two ways to the same
            works += [partial(_send, near if up else far, share), partial(_receive, far if up else near)]
        threads = [threading.Thread(target=work, daemon=True) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _send(opened: Callable[[], socket.socket], megabytes: int) -> None:
    with opened() as stream:
        for _ in range(megabytes):
            stream.sendall(bytes(_PIECE))
        stream.shutdown(socket.SHUT_WR)
        stream.recv(1)


def _receive(opened: Callable[[], socket.socket]) -> None:
    with opened() as stream:
        room = bytearray(_PIECE)
        while stream.recv_into(room):
            pass


if __name__ == "__main__":
    sys.exit(as_script(__doc__, measure))
