"""A detached run: what is asked for, and what is known of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from spot_connect.core.answers import Answer
from spot_connect.core.errors import UsageError

ENDED = frozenset({"succeeded", "failed", "stopped"})
"""The states that a run never leaves; in the others it runs, or waits for somebody to go on with it."""
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Script:
    """A script to run on an instance: its bytes with Unix line ends, and a name to find it by."""

    name: str
    content: bytes

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", _UNFIT.sub("_", self.name)[-60:] or "script")


@dataclass(frozen=True, slots=True)
class Limits:
    """What to do when the machine of a run is taken away, and how far to go.

    Args:
        resume: launch another machine of the same name, and go on there.
        max_replacements: how many times at the most; ``None`` is as often as it takes.
        max_cost: launch no other machine once the run has cost this many US dollars.
        fallback: ``"on-demand"`` when no spot capacity appears in time; empty waits for it.

    Raises:
        UsageError: limits without ``resume``, or no such fallback.
    """

    resume: bool = False
    max_replacements: int | None = None
    max_cost: Decimal | None = None
    fallback: str = ""

    def __post_init__(self) -> None:
        if self.fallback not in ("", "on-demand"):
            raise UsageError(f"{self.fallback!r} is not a fallback", advice="Use on-demand, or leave it out.")
        if (self.max_replacements is not None or self.max_cost is not None or self.fallback) and not self.resume:
            raise UsageError("limits for replacements were given without resume", advice="Add --resume True.")


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What to run, and what to do when the machine is taken away.

    Args:
        scripts: run one after the other; the first that fails ends the run.
        on_interrupt: bash command that runs on the instance when its interruption is announced.
        on_rebalance: the same for the recommendation to rebalance.
        environment: variables for the scripts.
        limits: whether to go on elsewhere, and how far.
        directory: where on the instance the scripts begin: absolute, or below the home directory; empty is that itself.
        caller: who listens to it; asked for twice by the same caller it is one run, until it is forgotten. Its
            standard error is kept apart. Empty when nobody listens.
    """

    scripts: tuple[Script, ...]
    on_interrupt: str = ""
    on_rebalance: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    directory: str = ""
    caller: str = ""

    def __post_init__(self) -> None:
        if not self.scripts:
            raise UsageError("there is nothing to run", advice="Name a script.")

    @property
    def title(self) -> str:
        """What it is called in a list."""
        return ", ".join(script.name for script in self.scripts)

    def wire(self) -> dict[str, Any]:
        """The parts that go to the instance as JSON."""
        return {
            "title": self.title,
            "scripts": [[script.name, len(script.content)] for script in self.scripts],
            "on_interrupt": self.on_interrupt,
            "on_rebalance": self.on_rebalance,
            "environment": dict(self.environment),
            "resume": self.limits.resume,
            "max_replacements": self.limits.max_replacements,
            "max_cost": None if self.limits.max_cost is None else str(self.limits.max_cost),
            "fallback": self.limits.fallback,
            "directory": self.directory,
            "caller": self.caller,
        }


@dataclass(frozen=True, slots=True)
class Attempt:
    """One machine's try at a run; ``outcome`` is empty while nobody has said how it ended."""

    number: int
    instance: str
    started: datetime | None = None
    ended: datetime | None = None
    outcome: str = ""
    exit_code: int | None = None
    trouble: str = ""
    """Why its log could not be kept on the file system; empty when it could."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as its instance tells it.

    ``state`` is ``waiting``, ``running``, ``interrupted``, ``lost``, ``succeeded``, ``failed`` or ``stopped``;
    ``exit_code`` is that of the script that ended it, and ``script`` its name.
    """

    id: str
    name: str
    title: str
    state: str
    exit_code: int | None = None
    script: str = ""
    created: datetime | None = None
    ended: datetime | None = None
    on_file_system: bool = False
    attempts: tuple[Attempt, ...] = ()
    limits: Limits = field(default_factory=Limits)

    @property
    def has_ended(self) -> bool:
        """Whether nothing will ever change again."""
        return self.state in ENDED

    @property
    def interruptions(self) -> int:
        """How many attempts AWS has ended."""
        return sum(attempt.outcome in ("interrupted", "lost", "fenced") for attempt in self.attempts)


def run_record(answer: object) -> RunRecord:
    """The record in an answer of the program on the instance.

    Raises:
        UnreadableAnswer: it is no such record.
    """
    told = Answer(answer)
    return RunRecord(
        id=run_id(told),
        name=told.text("name", ""),
        title=told.text("title", ""),
        state=told.text("state"),
        exit_code=told.status("exit_code"),
        script=told.text("script", ""),
        created=told.moment("created"),
        ended=told.moment("ended"),
        on_file_system=told.text("kept", "") == "filesystem",
        attempts=tuple(map(_attempt, told.each("attempts"))),
        limits=_limits(told.part("spec")),
    )


def new_run_id(now: datetime, noise: str) -> str:
    """An id for a run that begins ``now``: ids are in the order of time, and ``noise`` keeps two of a second apart.

    Example:
        >>> new_run_id(datetime(2026, 11, 25, 7, 45, 1), "9f3a")
        '20261125-074501-9f3a'
    """
    return f"{now:%Y%m%d-%H%M%S}-{noise}"


def run_id(told: Answer) -> str:
    """The id of a run; it stands in paths here, and in commands that are shown to be typed.

    Raises:
        UnreadableAnswer: it is none.
    """
    return told.matching("run", _ID)[0]


def _attempt(told: Answer) -> Attempt:
    return Attempt(
        number=told.whole("number"),
        instance=told.text("instance", ""),
        started=told.moment("started"),
        ended=told.moment("ended"),
        outcome=told.text("outcome", ""),
        exit_code=told.status("exit_code"),
        trouble=told.text("lost_to_disk", ""),
    )


def _limits(told: Answer) -> Limits:
    # A limit without the wish to go on, which Limits refuses, is nothing that a user could have asked for.
    if not told.flag("resume"):
        return Limits()
    fallback = told.text("fallback", "")
    return Limits(
        resume=True,
        max_replacements=told.whole("max_replacements") if told.has("max_replacements") else None,
        max_cost=told.money("max_cost"),
        fallback=fallback if fallback == "on-demand" else "",
    )
