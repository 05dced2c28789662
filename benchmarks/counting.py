"""A job that counts, interrupted again and again and followed to its end by one client.

The job writes every number and then keeps it on the file system, and after SIGTERM it stops between two numbers. So
whatever is repeated or missing in what the client has read was lost on the way, and not by the job.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from benchmarks.calls import Call, recorded
from benchmarks.timing import Number, Sample
from spot_connect.core.reporting import Silent

if TYPE_CHECKING:
    from spot_connect.spotted import SpotInstance

POLL_SECONDS = 5.0
"""How often the instance asks its metadata service."""
_BEFORE = 0.5
_LAST = 20
# Only what bash does itself: SIGTERM goes to the whole group, and would end a program in the middle of saving.
_SCRIPT = """
state=$SPOT_CONNECT_CHECKPOINT_DIR/n
n=0; [ ! -f $state ] || read n < $state
echo attempt $SPOT_CONNECT_ATTEMPT
trap 'stop=1' TERM
here=0
while [ $SPOT_CONNECT_ATTEMPT -le {interruptions} ] || [ $here -lt {last} ]; do
  n=$((n+1)); here=$((here+1)); echo $n; echo $n > $state
  [ -z "$stop" ] || exit 75
  sleep 0.1
done
echo counted $n
"""


@dataclass(slots=True)
class Interruption:
    """The moments of one interruption, in seconds since the epoch; 0 is one that nobody has told."""

    instance: str
    given: float
    seen_on_instance: float = 0.0
    seen_by_client: float = 0.0
    requested: float = 0.0
    answered: float = 0.0
    handed_over: float = 0.0
    running: float = 0.0


@dataclass(slots=True)
class Story:
    """What came of a counting job."""

    interruptions: list[Interruption]
    status: int
    outcomes: tuple[str, ...]
    last: int
    """How far it counted by its own word."""
    read: list[int]
    """The numbers that the client read."""
    kept: list[int]
    """The numbers in the log as it is kept."""
    seconds: float
    notes: list[str] = field(default_factory=list)

    @property
    def repeated(self) -> int:
        """Numbers that are there more than once, read or kept."""
        return max(len(numbers) - len(set(numbers)) for numbers in (self.read, self.kept))

    @property
    def missing(self) -> int:
        """Numbers that are not there, read or kept."""
        wanted = set(range(1, self.last + 1))
        return max(len(wanted.difference(numbers)) for numbers in (self.read, self.kept))

    def sample(self, label: str, began: str, ended: str) -> Sample:
        """From one moment of every interruption to another one."""
        pairs = [(getattr(one, began), getattr(one, ended)) for one in self.interruptions]
        return Sample(label, tuple(end - begin for begin, end in pairs if begin and end))


class _Witness(Silent):
    """Keeps when the client says that it knows."""

    def __init__(self) -> None:
        self.notes: list[tuple[float, str]] = []
        self.calls: list[Call] = []
        self.answers: list[float] = []
        self.knew: dict[str, float] = {}
        """When the client first knew that an instance is going to end."""

    def note(self, text: str) -> None:
        self.notes.append((time.time(), text))

    def warn(self, text: str) -> None:
        self.notes.append((time.time(), f"warning: {text}"))


def counted(name: str, interruptions: int, notice: Callable[[int], float]) -> Story:
    """Count with that many interruptions; ``notice`` tells how many seconds before the end each is announced."""
    from spot_connect.spotted import SpotInstance

    witness = _Witness()
    with recorded(witness.calls.append), _moments_into(witness):
        began = time.time()
        machine = SpotInstance(name, profile="t2.micro", local=True, filesystem=name, reporter=witness)
        try:
            return _story(machine, witness, interruptions, notice, began)
        finally:
            machine.terminate()


def _story(
    machine: SpotInstance, witness: _Witness, interruptions: int, notice: Callable[[int], float], began: float
) -> Story:
    given: list[Interruption] = []
    pieces: list[bytes] = []
    run = machine.run(_SCRIPT.format(interruptions=interruptions, last=_LAST), cmd=True, detach=True, resume=True)

    def show(data: bytes) -> None:
        before = _begun(pieces)
        pieces.append(data)
        for attempt in range(before + 1, min(_begun(pieces), interruptions) + 1):
            # The watcher began to poll with the attempt; every interruption comes at another moment between two polls.
            phase = POLL_SECONDS * ((attempt - 0.5) * 0.618 % 1)
            threading.Timer(_BEFORE + phase, _interrupt, (machine, given, notice(attempt))).start()

    status = run.follow(show)
    seconds = time.time() - began
    record = run.record()
    kept = run.log()
    _fill(given, witness, _seen(machine))
    for one, attempt, following in zip(given, record.attempts, record.attempts[1:], strict=False):
        one.handed_over = _stamp(attempt.ended)
        one.running = _stamp(following.started)
    words = b"".join(pieces).split()
    return Story(
        given,
        status,
        tuple(one.outcome for one in record.attempts),
        int(words[words.index(b"counted") + 1]) if b"counted" in words else 0,
        _numbers(b"".join(pieces)),
        _numbers(kept),
        seconds,
        [text for _, text in witness.notes],
    )


def _interrupt(machine: SpotInstance, given: list[Interruption], seconds: float) -> None:
    from spot_connect.local import service

    # The log of a new attempt is read before we are told of its machine.
    while given and machine.id == given[-1].instance:
        time.sleep(0.05)
    instance = machine.id
    given.append(Interruption(instance, time.time()))
    service.call(None, "POST", f"instances/{instance}/interrupt", {"in": seconds})


def _seen(machine: SpotInstance) -> dict[str, float]:
    """When each instance saw its notice, as it left it on the file system."""
    told = machine.run("cat ~/efs/.spot-connect/notices/*.json || true", cmd=True, return_output=True)
    records = [json.loads(line) for line in (told or "").splitlines()]
    return {one["instance"]: float(one["seen"]) for one in records}


def _fill(given: Sequence[Interruption], witness: _Witness, seen: dict[str, float]) -> None:
    apart = time.time() - time.monotonic()
    requests = [call.began + apart for call in witness.calls if call.operation == "RunInstances"]
    for one in given:
        one.seen_on_instance = seen.get(one.instance, 0.0)
        one.seen_by_client = witness.knew.get(one.instance, 0.0)
        one.requested = _first(requests, one.given)
        one.answered = _first(witness.answers, one.requested) if one.requested else 0.0


@contextmanager
def _moments_into(witness: _Witness) -> Iterator[None]:
    """Note when a notice is acted on, and when a machine's SSH server has answered first."""
    from spot_connect.launching import connecting as opening
    from spot_connect.runs.recovery import Recovery

    connecting: Any = opening
    recovery: Any = Recovery
    original, go_on = connecting.wait_until_ready, Recovery.go_on

    def waited(*arguments: Any, **options: Any) -> None:
        original(*arguments, **options)
        witness.answers.append(time.time())

    def known(self: Recovery, dying: Any) -> None:
        witness.knew.setdefault(dying.id, time.time())
        go_on(self, dying)

    connecting.wait_until_ready, recovery.go_on = waited, known
    try:
        yield
    finally:
        connecting.wait_until_ready, recovery.go_on = original, go_on


def within(what: str, sample: Sample, most: float, peer: str = "", notes: tuple[str, ...] = ()) -> Number:
    """The slowest of all must reach the goal."""
    slowest = max(sample.seconds)
    return Number(
        what,
        str(sample),
        peer,
        f"{slowest:.2f} s",
        f"<= {most:g} s",
        slowest <= most,
        (f"the slowest of {len(sample.seconds)} counts", *notes),
        {"median_seconds": sample.median, "slowest_seconds": slowest, "count": float(len(sample.seconds))},
    )


def lost(what: str, story: Story) -> Number:
    """Whether every number came exactly once."""
    wrong = story.repeated + story.missing
    odd = sorted(set(story.outcomes[:-1]) - {"interrupted"})
    notes = (
        f"{len(story.interruptions)} interruptions in {story.seconds:.0f} s; {story.last} numbers,"
        f" {story.missing} missing, {story.repeated} repeated; exit status {story.status}",
        *([f"attempts ended as {', '.join(odd)}, too"] if odd else []),
    )
    return Number(
        what,
        f"{story.last} numbers counted",
        "",
        f"{wrong}",
        "0",
        bool(story.last) and not wrong,
        notes,
        {
            "interruptions": float(len(story.interruptions)),
            "seconds": story.seconds,
            "numbers": float(story.last),
            "missing": float(story.missing),
            "repeated": float(story.repeated),
        },
    )


def _begun(pieces: Sequence[bytes]) -> int:
    """How many attempts have begun to write."""
    return b"".join(pieces).count(b"attempt ")


def _numbers(log: bytes) -> list[int]:
    return [int(line) for line in log.splitlines() if line.isdigit()]


def _first(moments: Sequence[float], after: float) -> float:
    return next((moment for moment in sorted(moments) if moment >= after), 0.0)


def _stamp(moment: datetime | None) -> float:
    return moment.timestamp() if moment else 0.0
