"""A line of the kernel's own TCP between two network namespaces, with delay, rate and loss, made by ``link.c``.

Namespaces, devices and whatever runs at the line's ends are nowhere but in the processes that made them: when those
end, nothing is left.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

NEAR, FAR = "10.77.0.1", "10.77.0.2"
PROGRAMS = ("cc", "ip")
_SOURCE = Path(__file__).with_name("link.c")
_OWN = "/proc/thread-self/ns/net"
_LEAST_QUEUE = 64 * 1024
_END_SECONDS = 10


class NoLink(Exception):
    """There is no such line on this computer, or nobody may make one; with the reason."""


@dataclass(frozen=True, slots=True)
class Nature:
    """What a line is like.

    Args:
        megabits: how much goes through in a second, in each direction.
        milliseconds: the round trip.
        percent: how much of what is sent is lost, by chance, in each direction.
        seed: of that chance.
        congestion: TCP's congestion control at both ends; cubic is what a Linux or macOS has that nobody has changed.

    Example:
        >>> Nature(1000, 80).queue
        10000000
    """

    megabits: float
    milliseconds: float
    percent: float = 0.0
    seed: int = 1
    congestion: str = "cubic"

    @property
    def queue(self) -> int:
        """How many bytes wait for their turn before more of them are dropped: what is under way on a full line."""
        return max(_LEAST_QUEUE, round(self.megabits * 1e6 / 8 * self.milliseconds / 1000))


class Counts(NamedTuple):
    """What one end has sent: its packets as a wire would carry them, and what became of each."""

    sent: int
    lost: int
    dropped: int
    delivered: int
    bytes: int
    """Of those that were delivered, where those that left together count their heads once."""


class Link:
    """A line that is up; who made it is at its near end.

    Attributes:
        program: what carries it.
    """

    def __init__(self, program: subprocess.Popen[str], near: int, far: int) -> None:
        self.program = program
        self._near, self._far = near, far

    @contextmanager
    def far_end(self) -> Iterator[None]:
        """What this thread opens and starts meanwhile is at the far end."""
        _enter(self._far)
        try:
            yield
        finally:
            _enter(self._near)

    def counts(self) -> tuple[Counts, Counts]:
        """What the near end has sent so far, and the far one."""
        assert self.program.stdin
        assert self.program.stdout
        self.program.stdin.write("\n")
        self.program.stdin.flush()
        numbers = [*map(int, self.program.stdout.readline().split())]
        return Counts(*numbers[:5]), Counts(*numbers[5:])


@contextmanager
def real_link(folder: Path, nature: Nature) -> Iterator[Link]:
    """A line; this thread, and what it starts, is at the near end meanwhile.

    Args:
        folder: for the program, which is built when it is not there yet.
        nature: what the line is like.

    Raises:
        NoLink: it takes root, Linux with TUN devices, a C compiler and iproute2.
    """
    program = _built(folder)
    numbers = (
        nature.megabits * 1e6,
        nature.milliseconds * 1e6 / 2,
        nature.percent * 1e4,
        nature.seed,
        nature.queue,
    )
    command = [str(program), *(str(round(number)) for number in numbers)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as running:
        assert running.stdin
        assert running.stdout
        assert running.stderr
        try:
            if not (told := running.stdout.readline()):
                raise NoLink(f"no line between network namespaces: {running.stderr.read().strip()}")
            with _spaces(running.pid, told) as (home, near, far):
                link = Link(running, near, far)
                try:
                    with link.far_end():
                        _prefer(nature.congestion, NEAR)
                    _prefer(nature.congestion, FAR)
                    yield link
                finally:
                    _enter(home)
        finally:
            running.stdin.close()
            try:
                running.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                running.kill()


def _built(folder: Path) -> Path:
    if sys.platform != "linux" or os.geteuid() != 0:
        raise NoLink("only root on Linux may make a line between network namespaces")
    if absent := [name for name in PROGRAMS if not shutil.which(name)]:
        raise NoLink(f"{' and '.join(absent)} missing, to make a line between network namespaces")
    program = folder / "link"
    if not program.exists():
        command = ["cc", "-O2", "-o", str(program), str(_SOURCE)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            raise NoLink(f"the C compiler does not build {_SOURCE.name}: {made.stderr.strip()}")
    return program


@contextmanager
def _spaces(number: int, told: str) -> Iterator[tuple[int, int, int]]:
    """Open files of this thread's own namespace and of the two of the program."""
    opened: list[int] = []
    try:
        for path in (_OWN, *(f"/proc/{number}/fd/{each}" for each in told.split())):
            opened.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        home, near, far = opened
        yield home, near, far
    finally:
        for each in opened:
            os.close(each)


def _enter(namespace: int) -> None:
    from spot_connect.local.boxes.linux import setns

    setns(namespace)


def _prefer(congestion: str, other: str) -> None:
    # By the route, as a namespace's own setting takes only what the whole computer allows everybody.
    command = ["ip", "route", "replace", f"{other}/32", "dev", "line", "congctl", congestion]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoLink(f"no congestion control {congestion} for the line: {done.stderr.strip()}")
