"""A detached run, from wherever it is looked at."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from typing import Protocol, TypeVar

from spot_connect.core.errors import (
    AwsUnreachable,
    RunInterrupted,
    RunNotFound,
    ScriptFailed,
    SshLost,
    SshUnreachable,
)
from spot_connect.core.reporting import Reporter
from spot_connect.core.runs import RunRecord, RunSpec, new_run_id, run_record
from spot_connect.core.waiting import SYSTEM_CLOCK, Clock, Seen, wait_for
from spot_connect.runs.agent import Agent

T = TypeVar("T")
Show = Callable[[bytes], None]
STOPPED = 143
"""The exit status of a run that was stopped before it could have one of its own: 128 + SIGTERM."""
# A refused key or another host key is not trouble of the line: trying again would not help, or hide it.
_LINE_TROUBLE = (SshLost, SshUnreachable, AwsUnreachable)
_POLL_SECONDS = 1.0
_AGAIN_SECONDS = (1.0, 2.0, 5.0, 10.0)


class Machine(Protocol):
    """The machine of a name, which may be another one tomorrow."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def agent(self) -> Agent:
        """Our program on it."""

    def kept_going(self, record: RunRecord) -> AbstractContextManager[None]:
        """While this is open, the run goes on elsewhere when AWS takes the machine away, if it was so asked for."""

    def rejoin(self) -> None:
        """Find the machine that has the name now, and a new line to it.

        Raises:
            RunInterrupted: AWS took it away and nobody has replaced it.
            InstanceNotFound: it has ended for another reason.
            SshError: it cannot be reached at the moment.
        """


class Run:
    """A run on the machine of a name. It goes on whatever becomes of this object, this process and this computer.

    Attributes:
        id: what it is called; ids sort by age.
        name: the machine's name.

    Example:
        >>> run = vm.run("train.sh", detach=True)  # doctest: +SKIP
        >>> run.wait()  # doctest: +SKIP
        0
    """

    def __init__(self, machine: Machine, run_id: str, reporter: Reporter, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.id = run_id
        self.name = machine.name
        self._machine = machine
        self._reporter = reporter
        self._clock = clock
        self._last: RunRecord | None = None

    def __repr__(self) -> str:
        return f"Run({self.name!r}, {self.id!r}, {self._last.state if self._last else 'not asked yet'})"

    def record(self) -> RunRecord:
        """Everything that is known of it, asked now.

        Raises:
            RunNotFound: the machine does not know it.
        """
        if self._last is None or not self._last.has_ended:
            found = records(self._machine, self.id)
            if not found:
                advice = f"See `spot_connect runs {shlex.quote(self.name)}`."
                raise RunNotFound(f"{self.name} knows no run {self.id}", advice=advice)
            self._last = found[0]
        return self._last

    @property
    def status(self) -> str:
        """``waiting``, ``running``, ``interrupted``, ``lost``, ``succeeded``, ``failed`` or ``stopped``."""
        return self.record().state

    @property
    def exit_code(self) -> int | None:
        """The exit status of the script that ended it; ``None`` before, and when it was stopped before it ran."""
        return self.record().exit_code

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; its exit status.

        Raises:
            DeadlinePassed: it has not ended within ``timeout`` seconds; it goes on.
            RunInterrupted: its machine was taken away, and nobody goes on with it.
        """
        seconds = float("inf") if timeout is None else timeout
        with self._machine.kept_going(self.patiently(self.record)):
            return wait_for(f"end of {self.id}", self._look, seconds=seconds, every=_POLL_SECONDS, clock=self._clock)

    def follow(self, show: Show | None = None) -> int:
        """Hand what it has written, and what it writes, to ``show`` until it has ended; its exit status.

        Every byte comes once, however often the line breaks, the computer sleeps, or the machine is replaced.

        Raises:
            RunInterrupted: its machine was taken away, or it was cut off on it, and nobody goes on with it.
        """
        return self.follow_into(Shown(show or _unheard))

    def follow_into(self, shown: Shown) -> int:
        """The same, from where ``shown`` has come to."""
        with self._machine.kept_going(self.patiently(self.record)):
            return self._follow(shown)

    def _follow(self, shown: Shown) -> int:
        while True:
            record = self.patiently(self.record)
            for attempt in record.attempts[max(0, shown.attempt - 1) :]:
                shown.begin(attempt.number)
                self.patiently(lambda: self._stream(shown, more=True))
            now = self.patiently(self.record)
            if now.has_ended and len(now.attempts) <= shown.attempt:
                return status_of(now)
            if len(now.attempts) <= shown.attempt:
                self._idle(now)

    def log(self, attempt: int | None = None) -> bytes:
        """What it has written so far, in all attempts or in one."""
        parts: list[bytes] = []
        shown = Shown(parts.append)
        for one in self.record().attempts:
            if attempt in (None, one.number):
                shown.begin(one.number)
                self._stream(shown, more=False)
        return b"".join(parts)

    def stop(self, *, interrupt: bool = False) -> str:
        """End it: SIGTERM, ten seconds later SIGKILL; the state it is in then.

        To ``interrupt`` it is what Ctrl-C does: SIGINT, then SIGTERM and SIGKILL, each two seconds later.
        """
        asked = {"name": self.name, "run": self.id, "interrupt": interrupt}
        self._last = run_record(self._machine.agent.ask_one("stop", asked))
        return self._last.state

    def forget(self) -> None:
        """Remove what is kept of it, if it has ended; one that has been removed is no mistake."""
        self._machine.agent.ask("forget", {"name": self.name, "run": self.id})

    def _look(self) -> Seen[int]:
        record = self.patiently(self.record)
        if record.has_ended:
            return Seen(status_of(record))
        self._tend(record)
        return Seen(None, record.state)

    def _idle(self, record: RunRecord) -> None:
        """No attempt is under way; see whether anybody may still make one."""
        self._tend(record)
        self._clock.sleep(_POLL_SECONDS)

    def _tend(self, record: RunRecord) -> None:
        """Where nothing runs, find the machine that has the name; a run that was cut off on it goes on, or is over."""
        if record.state == "running":
            return
        self.patiently(self._machine.rejoin)
        now = self.patiently(self.record)
        if now.state != "lost":
            return
        if not now.limits.resume:
            raise RunInterrupted(
                f"{now.title} was cut off on {self.name}",
                "the machine was started again, or the program that ran it was ended",
                f"`spot_connect resume {shlex.quote(self.name)} {self.id}` goes on with it.",
            )
        self._reporter.note(f"{self.id} was cut off on {self.name}; it goes on there")
        self._last = self.patiently(lambda: resume(self._machine, self.id, ()))

    def _stream(self, shown: Shown, *, more: bool) -> None:
        where = {"attempt": shown.attempt, "offset": shown.offset, "errors": shown.errors}
        asked = {"name": self.name, "run": self.id, **where, "more": more}
        self._machine.agent.stream("follow", asked, shown.show, shown.show_errors)

    def patiently(self, action: Callable[[], T]) -> T:
        """Do it, again after the line broke, on whatever machine has the name then."""
        for number in range(10**9):
            try:
                return action()
            except _LINE_TROUBLE as error:
                if number == 0:
                    self._reporter.note(f"{error.what}; trying again until {self.name} answers or has ended")
                self._clock.sleep(_AGAIN_SECONDS[min(number, len(_AGAIN_SECONDS) - 1)])
            try:
                self._machine.rejoin()
            except _LINE_TROUBLE:
                continue
        raise AssertionError("unreachable")


class Shown:
    """How far somebody has read, who hears it, and who hears what was kept apart as standard error."""

    def __init__(self, hear: Show, hear_errors: Show | None = None) -> None:
        self._hear = hear
        self._hear_errors = hear_errors or hear
        self.attempt = 0
        self.offset = 0
        self.errors = 0

    def begin(self, attempt: int) -> None:
        """Read the attempt of that number, from its beginning if it was another one before."""
        if attempt != self.attempt:
            self.attempt, self.offset, self.errors = attempt, 0, 0

    def show(self, data: bytes) -> None:
        """Hand on what has been read."""
        self.offset += len(data)
        self._hear(data)

    def show_errors(self, data: bytes) -> None:
        """Hand on what has been read of standard error."""
        self.errors += len(data)
        self._hear_errors(data)


def start(machine: Machine, spec: RunSpec, reporter: Reporter) -> Run:
    """Begin a run on the machine; it is under way when this returns.

    Raises:
        ScriptFailed: the machine could not begin it; nothing runs.
    """
    chosen = new_run_id(datetime.now(timezone.utc), spec.caller or secrets.token_hex(2))
    scripts = b"".join(script.content for script in spec.scripts)
    asked = {"name": machine.name, "run": chosen, **spec.wire()}
    run = Run(machine, chosen, reporter)
    # Asked for twice it is still one run, so a line that breaks before the answer costs nothing.
    told = run_record(run.patiently(lambda: machine.agent.ask_one("start", asked, stdin=scripts)))
    if not told.attempts:
        raise ScriptFailed(f"{spec.title} did not start on {machine.name}", 1, advice="See ~/.spot-connect/agent.log.")
    if told.id == chosen:
        return run
    when = f" at {told.created:%H:%M:%S} UTC" if told.created else ""
    begun = f"{spec.title} was begun on {machine.name}{when}"
    if told.has_ended:
        reporter.note(f"{begun} and has ended; this is what it wrote. The same again runs it again.")
    else:
        reporter.note(f"{begun} and goes on; this is what it writes")
    return Run(machine, told.id, reporter)


def resume(machine: Machine, run_id: str, gone: Sequence[str]) -> RunRecord:
    """Begin the next attempt of a run that waits for one; a run that is under way, or has ended, stays as it is.

    ``gone`` are ids of instances that no longer live: what they were doing has ended, whatever they last said.
    """
    return run_record(machine.agent.ask_one("resume", {"name": machine.name, "run": run_id, "gone": list(gone)}))


def records(machine: Machine, run_id: str = "") -> tuple[RunRecord, ...]:
    """The runs of the machine's name, oldest first; the one with that id if one is given."""
    told = machine.agent.ask("list", {"name": machine.name, "run": run_id})
    return tuple(run_record(one) for one in told)


def status_of(record: RunRecord) -> int:
    """The exit status of a run that has ended."""
    return STOPPED if record.exit_code is None else record.exit_code


def _unheard(_: bytes) -> None:
    """Nobody wants to read it."""
