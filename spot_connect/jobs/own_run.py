"""Jobs that this computer hands out itself, to look at and to wait for."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from spot_connect.core.errors import RunInterrupted, UsageError
from spot_connect.core.jobs import JobsRecord
from spot_connect.core.waiting import SYSTEM_CLOCK, Seen, wait_for
from spot_connect.crew.asking import copied
from spot_connect.jobs.crew import Crew
from spot_connect.jobs.own_crew import OwnCrew
from spot_connect.jobs.run import JobRun, Show

if TYPE_CHECKING:
    from spot_connect.crew.visiting import Client

_ALONE_SECONDS = 60.0
_POLL_SECONDS = 0.2


class OwnRun(JobRun):
    """Jobs that a process on this computer hands out; they end with it.

    Everything is read from the jobs' directory here, so it may be asked from another process, too.
    """

    def __init__(self, crew: OwnCrew) -> None:
        super().__init__(crew.batch.id, crew)
        self._own = crew
        self._batch = crew.batch
        self._desk = crew.desk
        self.ends_with_us = crew.desk is not None
        self._met = SYSTEM_CLOCK.now()

    def record(self) -> JobsRecord:
        """Everything that is known.

        Raises:
            RunInterrupted: the process that handed them out has ended before them, or no machine lives any more.
        """
        if self._desk:
            self._desk.raise_failure()
        record = super().record()
        if record.workers or record.has_ended or self._desk is None:
            self._met = SYSTEM_CLOCK.now()
        elif SYSTEM_CLOCK.now() - self._met > _ALONE_SECONDS:
            self._met = SYSTEM_CLOCK.now()
            if self._own.is_alone():
                raise RunInterrupted(f"no instance of {self.name} lives any more", "and jobs are left")
        return record

    def logs(self, job: int, show: Show | None = None, *, attempt: int = -1, follow: bool = False) -> bytes:
        """What a job has written in an attempt that has ended; with ``follow``, wait until it has."""
        number = self.attempt_number(job, attempt)
        run = self._batch.job(job)
        place = run.directory / "attempts" / f"{number:04d}"

        def look() -> Seen[bool]:
            is_over = (place / "end.json").exists() or run.end() is not None
            return Seen(is_over or None, self.record().summary)

        if follow:
            wait_for(f"end of job {job}", look, seconds=float("inf"), every=_POLL_SECONDS)
        written = (place / "log").read_bytes() if (place / "log").exists() else b""
        if show is None:
            return written
        show(written)
        return b""

    def results(self, directory: str | Path = ".") -> list[Path]:
        """Copy what jobs have put into ``$SPOT_CONNECT_OUT_DIR``, to ``directory/<job>`` each; the directories."""
        [told] = self._own.ask("jobs-outputs", {})
        targets = []
        for number, path in told["paths"]:
            target = Path(directory) / str(number)
            target.mkdir(parents=True, exist_ok=True)
            copied(Path(path), target)
            targets.append(target)
        return list(dict.fromkeys(targets))

    def scale(self, n_instances: int) -> int:
        """Refused: another instance would not find the jobs.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"cannot have {n_instances} instances for {self.id}", "its jobs are kept on this computer")

    def close(self) -> None:
        """Stop what has not ended, and have the machines end themselves now."""
        self._crew.ask("jobs-close", {"run": self.id})
        if self._desk:
            self._desk.leave()

    def client(self) -> AbstractContextManager[Client]:
        """Refused: calls could not pass what they bring from one instance to another.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"cannot be a client of {self.id}",
            "its instances reach this computer, and not each other",
            'Use head="worker" or head="on-demand".',
        )


def run_of(run_id: str, crew: Crew) -> JobRun:
    """The run of that crew."""
    return OwnRun(crew) if isinstance(crew, OwnCrew) else JobRun(run_id, crew)
