"""Fair comparisons on a noisy computer: two sides in turns, medians, and one table of what came out."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial

COLUMNS = ("number", "spot-connect", "peer", "result", "goal", "")


@dataclass(frozen=True, slots=True)
class Sample:
    """The times of one side, in seconds."""

    label: str
    seconds: tuple[float, ...]
    cpu: tuple[float, ...] = ()
    """CPU seconds of the programs that were run, where it is known: what a busy computer changes least."""

    @property
    def median(self) -> float:
        """The middle time."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> tuple[float, float]:
        """The first and the third quartile; the two extremes when there are few."""
        if len(self.seconds) < 4:
            return min(self.seconds), max(self.seconds)
        first, _, third = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return first, third

    def __str__(self) -> str:
        middle, (low, high) = self.median, self.spread
        if len(self.seconds) == 1:
            return f"{_time(middle)} {self.label}"
        return f"{_time(middle)} ({_time(low)}-{_time(high)}) {self.label}"


@dataclass(frozen=True, slots=True)
class Number:
    """One result beside its goal; ``met`` is ``None`` where there is no goal."""

    what: str
    ours: str
    peer: str
    result: str
    goal: str = ""
    met: bool | None = None
    notes: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    courses: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    """How the time of each side grows: sizes and seconds."""

    def record(self) -> dict[str, object]:
        """The number for JSON."""
        return asdict(self)


def interleave(sides: Mapping[str, Callable[[], object]], rounds: int, *, warm_up: int = 1) -> tuple[Sample, ...]:
    """Time every side once a round, in an order that turns, so that a busy moment hits all sides alike.

    Args:
        sides: what to time, by label.
        rounds: how often each is timed.
        warm_up: how often each is called before that.

    Example:
        >>> [sample.label for sample in interleave({"a": int, "b": str}, 3)]
        ['a', 'b']
    """
    return interleave_values({label: partial(timed, call) for label, call in sides.items()}, rounds, warm_up)


def interleave_programs(
    sides: Mapping[str, Callable[[], object]], rounds: int, *, warm_up: int = 1
) -> tuple[Sample, ...]:
    """Like :func:`interleave`, for sides that run one program each; their CPU time is noted, too."""

    def run(call: Callable[[], object]) -> tuple[float, float]:
        before = _children()
        seconds = timed(call)
        return seconds, _children() - before

    return interleave_spent({label: partial(run, call) for label, call in sides.items()}, rounds, warm_up=warm_up)


def interleave_spent(
    sides: Mapping[str, Callable[[], tuple[float, float]]], rounds: int, *, warm_up: int = 1
) -> tuple[Sample, ...]:
    """Like :func:`interleave`, for sides that tell their own time, and their CPU time, in seconds."""
    cpu: dict[str, list[float]] = {label: [] for label in sides}

    def side(label: str) -> float:
        seconds, used = sides[label]()
        cpu[label].append(used)
        return seconds

    samples = interleave_values({label: partial(side, label) for label in sides}, rounds, warm_up)
    return tuple(replace(sample, cpu=tuple(cpu[sample.label][warm_up:])) for sample in samples)


def interleave_values(sides: Mapping[str, Callable[[], float]], rounds: int, warm_up: int = 0) -> tuple[Sample, ...]:
    """Like :func:`interleave`, for sides that tell their own time in seconds."""
    labels = list(sides)
    found: dict[str, list[float]] = {label: [] for label in labels}
    for turn in range(-warm_up, rounds):
        for label in labels if turn % 2 == 0 else reversed(labels):
            seconds = sides[label]()
            if turn >= 0:
                found[label].append(seconds)
    return tuple(Sample(label, tuple(found[label])) for label in labels)


def timed(call: Callable[[], object]) -> float:
    """How long ``call`` takes, in seconds."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def ratio(what: str, ours: Sample, peer: Sample, *, most: float | None, notes: tuple[str, ...] = ()) -> Number:
    """How many times as long as its peer ours takes; ``most`` is the goal, if there is one."""
    times = ours.median / peer.median
    if ours.cpu and peer.cpu:
        used, other = statistics.median(ours.cpu), statistics.median(peer.cpu)
        notes = (*notes, f"CPU time {_time(used)} against {_time(other)}, {used / other:.2f}x")
    return Number(
        what,
        str(ours),
        str(peer),
        f"{times:.2f}x",
        "" if most is None else f"<= {most:g}x",
        None if most is None else times <= most,
        notes,
        {"ours_seconds": ours.median, "peer_seconds": peer.median, "ratio": times},
    )


def table(numbers: Sequence[Number]) -> str:
    """The numbers under each other as a Markdown table, and what is to be said of them below it.

    Example:
        >>> print(table([Number("calls", "2", "1", "2", "<= 3", True)]))
        | number | spot-connect | peer | result | goal |     |
        |--------|--------------|------|--------|------|-----|
        | calls  | 2            | 1    | 2      | <= 3 | met |
    """
    rows = [COLUMNS, *(_row(number) for number in numbers)]
    widths = [max(3, *map(len, cells)) for cells in zip(*rows, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    notes = [f"- {number.what}: {note}" for number in numbers for note in number.notes]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def _row(number: Number) -> tuple[str, ...]:
    verdict = "" if number.met is None else "met" if number.met else "missed"
    return (number.what, number.ours, number.peer, number.result, number.goal, verdict)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cpu_seconds() -> float:
    """The CPU time of this process and of the programs that it has run to their end."""
    return time.process_time() + _children()


def _time(seconds: float) -> str:
    if abs(seconds) < 1:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.2f} s" if abs(seconds) < 100 else f"{seconds:.0f} s"
