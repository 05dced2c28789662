"""Distributed jobs: what is asked for, and what is known of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from spot_connect.core.answers import Answer
from spot_connect.core.errors import UsageError
from spot_connect.core.orders import Order, order_of
from spot_connect.core.prices import money
from spot_connect.core.runs import ENDED, Script, run_id

ALL_CPUS = 0
"""As a number of slots: one for each CPU."""
_MOST_JOBS = 100_000


def slots_of(given: int | str) -> int:
    """A number of slots, also as a word; ``"cpus"`` is :data:`ALL_CPUS`.

    Raises:
        UsageError: it is neither.

    Example:
        >>> slots_of("2"), slots_of("cpus") == ALL_CPUS
        (2, True)
    """
    if given == "cpus":
        return ALL_CPUS
    text = str(given)
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"{given!r} is not a number of slots", advice="Give a whole number from 1 up, or cpus.")
    return int(text)


@dataclass(frozen=True, slots=True)
class Job:
    """One job: a script by its place in the plan, and files that are put on whatever instance runs it."""

    script: int
    uploads: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. Many jobs may share a script.

    Raises:
        UsageError: there is too much to run.
    """

    scripts: tuple[Script, ...]
    jobs: tuple[Job, ...]

    def __post_init__(self) -> None:
        if len(self.jobs) > _MOST_JOBS:
            raise UsageError(f"cannot run {len(self.jobs)} jobs", advice=f"Give at most {_MOST_JOBS} scripts.")


@dataclass(frozen=True, slots=True)
class Terms:
    """How jobs are run.

    Args:
        slots: jobs at once on an instance; ``ALL_CPUS`` is one for each CPU.
        retries: how often a job that fails, or takes longer than ``timeout``, is tried again.
        max_interruptions: how often AWS may take the machine of a job away; ``None`` is as often as it will.
        timeout: seconds that one attempt may take; ``None`` is any time.
        on_interrupt: bash command that runs beside a job when the interruption of its machine is announced.
        environment: variables for the scripts.
        upload_path: where files are put, from the home directory.
        head: ``"worker"``: one of the instances hands the jobs out, too; ``"on-demand"``: a small one launched for it,
            which AWS does not take away.
        max_hours: the run ends after this long, and so does an instance, whatever happens.
        max_cost: the run ends when its instances have cost this many US dollars; ``None`` is any amount.
        on_demand_after: after AWS has taken away so many instances, others are launched on demand; ``None`` is never.
        linger: seconds that one instance stays after the end, so that results can be fetched.
        lease: an attempt without a sign of life for so many seconds is lost.
        stay: the run ends when no client has been connected for so many seconds, and no job is left.

    Raises:
        UsageError: one of them makes no sense.
    """

    slots: int = 1
    retries: int = 0
    max_interruptions: int | None = None
    timeout: float | None = None
    on_interrupt: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    upload_path: str = "."
    head: str = "worker"
    max_hours: float = 24.0
    max_cost: Decimal | None = None
    on_demand_after: int | None = None
    linger: float = 600.0
    lease: float = 60.0
    stay: float = 0.0

    def __post_init__(self) -> None:
        if self.head not in ("worker", "on-demand"):
            advice = "Use worker, and with it a file system; on-demand keeps jobs safe without one, too."
            raise UsageError(f"head cannot be {self.head!r}", advice=advice)
        for name in ("slots", "retries", "max_interruptions", "on_demand_after"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
                raise UsageError(f"{name} cannot be {value!r}", advice="Give a whole number from 0 up.")
        for name in ("timeout", "max_hours", "lease"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name} cannot be {value!r}", advice="Give a number above 0.")

    def wire(self) -> dict[str, Any]:
        """What goes to the instances as JSON."""
        return {
            "slots": self.slots,
            "retries": self.retries,
            "max_interruptions": self.max_interruptions,
            "timeout": self.timeout,
            "on_interrupt": self.on_interrupt,
            "on_rebalance": "",
            "upload_path": self.upload_path,
            "head": self.head,
            "max_hours": self.max_hours,
            "max_cost": None if self.max_cost is None else str(self.max_cost),
            "on_demand_after": self.on_demand_after,
            "linger": self.linger,
            "lease": self.lease,
            "stay": self.stay,
        }


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What is known of one job.

    ``state`` is ``waiting``, ``running``, ``succeeded``, ``failed`` or ``stopped``; ``why`` says more where the exit
    status does not tell it. Failures and interruptions are counted apart.
    """

    number: int
    title: str
    state: str
    exit_code: int | None = None
    why: str = ""
    attempts: int = 0
    failures: int = 0
    interruptions: int = 0
    instance: str = ""
    began: datetime | None = None
    ended: datetime | None = None


@dataclass(frozen=True, slots=True)
class JobsRecord:
    """What is known of jobs that were started together.

    ``workers`` is how many jobs can run at this moment; ``troubles`` tells, by instance, what keeps one from working.
    ``cost`` is US dollars for its instances, at the prices that held when each was launched; ``gone`` is how many of
    them are gone, ``capacity`` what keeps others from being launched in their place by the run itself.
    ``calls`` tells whether its jobs are calls of Python functions.
    While ``clients`` of :meth:`spot_connect.jobs.run.JobRun.client` are connected, the run goes on.
    """

    id: str
    name: str
    state: str
    created: datetime | None = None
    ended: datetime | None = None
    on_file_system: bool = False
    directory: str = ""
    head: str = ""
    workers: int = 0
    clients: int = 0
    troubles: Mapping[str, str] = field(default_factory=dict)
    why: str = ""
    cost: Decimal | None = None
    gone: int = 0
    capacity: str = ""
    order: Order | None = None
    calls: bool = False
    jobs: tuple[JobRecord, ...] = ()

    @property
    def has_ended(self) -> bool:
        """Whether all jobs have ended."""
        return self.state in ENDED

    @property
    def counts(self) -> dict[str, int]:
        """How many jobs are in which state."""
        return dict(Counter(job.state for job in self.jobs))

    @property
    def interruptions(self) -> int:
        """How many attempts at jobs AWS has ended."""
        return sum(job.interruptions for job in self.jobs)

    @property
    def summary(self) -> str:
        """All of it in a line.

        Example:
            >>> JobsRecord("r1", "sweep", "running", jobs=(JobRecord(0, "a.sh", "running"),)).summary
            'sweep r1: 1 job: 1 running; 0 interruptions'
        """
        counts = ", ".join(f"{count} {state}" for state, count in sorted(self.counts.items()))
        words = [
            f"{_number(len(self.jobs), 'job')}: {counts or self.state}",
            _number(self.interruptions, "interruption"),
        ]
        words += [money(self.cost)] if self.cost else []
        words += [f"{_number(self.clients, 'client')} connected"] if self.clients else []
        words += [self.why] if self.why else []
        return f"{self.name} {self.id}: {'; '.join(words)}"


def jobs_record(answer: object) -> JobsRecord:
    """The record in an answer of the program on an instance.

    Raises:
        UnreadableAnswer: it is no such record.
    """
    told = Answer(answer)
    members = [one for one in told.each("members") if one.text("trouble", "")]
    return JobsRecord(
        id=run_id(told),
        name=told.text("name", ""),
        state=told.text("state"),
        created=told.moment("created"),
        ended=told.moment("ended"),
        on_file_system=told.flag("shared"),
        directory=told.text("directory", ""),
        head=told.text("head", ""),
        workers=len(told.listed("workers")),
        clients=told.whole("clients", 0),
        troubles={one.text("instance"): one.text("trouble") for one in members},
        why=told.text("why", ""),
        cost=told.money("cost"),
        gone=told.whole("gone", 0),
        capacity=told.text("capacity", ""),
        order=order_of(told.part("order")) if told.has("order") else None,
        calls=told.flag("calls"),
        jobs=tuple(map(_job, told.each("jobs"))),
    )


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _job(told: Answer) -> JobRecord:
    return JobRecord(
        number=told.whole("job"),
        title=told.text("title", ""),
        state=told.text("state"),
        exit_code=told.status("exit_code"),
        why=told.text("why", ""),
        attempts=told.whole("attempts", 0),
        failures=told.whole("failures", 0),
        interruptions=told.whole("interruptions", 0),
        instance=told.text("instance", ""),
        began=told.moment("began"),
        ended=told.moment("ended"),
    )
