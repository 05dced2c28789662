"""Distributed jobs that are under way or over, from wherever they are looked at."""

from __future__ import annotations

import html
import secrets
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from spot_connect.core.answers import only_one
from spot_connect.core.errors import InstanceNotFound, RunInterrupted, RunNotFound, UsageError
from spot_connect.core.fleets import member_names
from spot_connect.core.jobs import JobRecord, JobsRecord, jobs_record
from spot_connect.core.orders import SPOT
from spot_connect.core.waiting import SYSTEM_CLOCK, Clock, Seen, wait_for
from spot_connect.jobs.client import client
from spot_connect.jobs.crew import NOBODY, Crew, agent
from spot_connect.jobs.replacing import Replacing
from spot_connect.jobs.supply import machine
from spot_connect.transfers.download import download

if TYPE_CHECKING:
    from spot_connect.crew.visiting import Client

Show = Callable[[bytes], None]
COLUMNS = ("job", "state", "exit", "attempts", "failures", "interruptions", "instance", "took", "what")
_POLL_SECONDS = 1.0


class JobRun:
    """Jobs that were started together. They go on whatever becomes of this object, this process and this computer.

    Attributes:
        id: what they are called together; ids sort by age.
        name: the prefix of their instances' names.

    Example:
        >>> run = manager.run_distributed_jobs("sweep", 8, scripts, "t3.small", "data")  # doctest: +SKIP
        >>> run.wait().counts  # doctest: +SKIP
        {'succeeded': 8}
    """

    def __init__(self, run_id: str, crew: Crew, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.id = run_id
        self.name = crew.name
        self._crew = crew
        self._clock = clock
        self._last: JobsRecord | None = None

    def __repr__(self) -> str:
        return f"JobRun({self.name!r}, {self.id!r}, {self._last.state if self._last else 'not asked yet'})"

    def _repr_html_(self) -> str:
        record = self.record()
        head = "".join(f"<th>{column}</th>" for column in COLUMNS)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells(job)) + "</tr>" for job in record.jobs
        )
        return f"<p>{html.escape(record.summary)}</p><table><tr>{head}</tr>{body}</table>"

    def record(self) -> JobsRecord:
        """Everything that is known, asked now; what was known last once all machines have ended after the jobs.

        Raises:
            RunNotFound: the machines do not know it.
            RunInterrupted: no machine of it lives, and jobs are left.
        """
        if self._last is None or not self._last.has_ended:
            self._last = jobs_record(only_one(self._crew.ask("jobs-show", {"run": self.id})))
        return self._last

    def table(self) -> list[tuple[str, ...]]:
        """A row for each job, in the order of ``COLUMNS``."""
        return [cells(job) for job in self.record().jobs]

    def wait(self, timeout: float | None = None) -> JobsRecord:
        """Wait until all jobs have ended; what became of them.

        Raises:
            DeadlinePassed: some have not ended within ``timeout`` seconds; they go on.
            RunInterrupted: no machine lives any more, and jobs are left.
        """
        return self._awaited(timeout, lambda _: None)

    def watch(self, timeout: float | None = None) -> JobsRecord:
        """Wait like :meth:`wait`, and say whenever something has changed."""
        return self._awaited(timeout, self._crew.reporter.note)

    def logs(self, job: int, show: Show | None = None, *, attempt: int = -1, follow: bool = False) -> bytes:
        """What a job has written in its last attempt, or in that of a number.

        ``show`` gets it as it comes, with ``follow`` until the attempt has ended; then nothing is returned. Without a
        file system it can be read only once the attempt has ended.

        Raises:
            UsageError: there is no such job, or no such attempt.
        """
        number = self.attempt_number(job, attempt)
        parts: list[bytes] = []
        asked = {"run": self.id, "job": job, "attempt": number, "offset": 0, "more": follow}
        self._crew.using(lambda line: agent(line).stream("jobs-log", asked, show or parts.append))
        return b"".join(parts)

    def attempt_number(self, job: int, attempt: int) -> int:
        """The number of an attempt, from 1; negative ones count from the last.

        Raises:
            UsageError: there is no such job, or no such attempt.
        """
        found = self._job(job)
        number = found.attempts + 1 + attempt if attempt < 0 else attempt
        if not 1 <= number <= found.attempts:
            raise UsageError(f"job {job} of {self.id} has no attempt {attempt}", f"there are {found.attempts}")
        return number

    def results(self, directory: str | Path = ".") -> list[Path]:
        """Copy what jobs have put into ``$SPOT_CONNECT_OUT_DIR``, to ``directory/<job>`` each; the directories.

        What is there already comes again only if it has changed.

        Raises:
            RunInterrupted: no machine of it lives any more.
            TransferFailed: an instance lists names that are refused, as they lead elsewhere; all else has arrived.
        """
        # A job's number becomes the name of a directory here.
        outputs = self._crew.ask_one("jobs-outputs", {"run": self.id}).numbered("paths")
        sources, folders = [path for _, path in outputs], [str(number) for number, _ in outputs]
        if sources:
            top, reporter = Path(directory), self._crew.reporter
            self._crew.using(
                lambda line: download(line.connection, sources, top, reporter=reporter, subfolders=folders)
            )
        return [Path(directory) / folder for folder in dict.fromkeys(folders)]

    def cancel(self, jobs: int | Sequence[int] | None = None) -> JobsRecord:
        """Stop one job, several or all: SIGTERM, ten seconds later SIGKILL. Those that have ended stay as they are."""
        numbers = [jobs] if isinstance(jobs, int) else jobs
        for number in numbers or ():
            self._job(number)
        self._crew.ask("jobs-stop", {"run": self.id, "jobs": None if numbers is None else list(numbers)})
        return self.record()

    def retry(self, jobs: int | Sequence[int] | None = None) -> JobsRecord:
        """Try jobs again that have failed or were stopped: one, several, or all of them. Their budgets begin anew.

        Raises:
            RunInterrupted: no machine of it lives any more.
        """
        known = self.record().jobs
        numbers = [job.number for job in known] if jobs is None else [jobs] if isinstance(jobs, int) else list(jobs)
        for number in numbers:
            self._job(number)
        self._last = None
        self._crew.ask("jobs-retry", {"run": self.id, "jobs": numbers})
        return self.record()

    def scale(self, n_instances: int) -> int:
        """Launch instances until so many live; how many were launched. None is ended: they end themselves.

        Raises:
            UsageError: the jobs have no file system that a new instance could find them on.
        """
        order = self.record().order
        if order is None:
            raise UsageError(f"cannot add instances to {self.id}", "its jobs are kept on one of its instances")
        yard = self._crew.yard
        living = [one.name for one in yard.members()]
        if len(living) >= n_instances:
            return 0
        names = member_names(self.name, n_instances - len(living), taken=living)
        made = yard.place(order, names, token=f"{self.id}-{secrets.token_hex(8)}")
        # Under its own id it would count as replaced when it is gone one day.
        placed = {f"new-{one.id}": machine(one, SPOT, order.price(SPOT, one.type, one.subnet_id)) for one in made}
        self._crew.ask("jobs-wanted", {"run": self.id, "gone": {}, "placed": placed})
        return len(made)

    def stay(self, timeout: float | None = None) -> JobsRecord:
        """Wait like :meth:`watch`, and launch another instance for each that AWS takes away, from the notice on.

        While no instance lives, one that can go on with the jobs is awaited.
        """
        order = (self._last or self.record()).order
        if order is None:
            # Another machine would not find the jobs.
            return self.watch(timeout)
        replacing = Replacing(self._crew, self.id, order)
        with replacing.going_on():
            return self._awaited(timeout, self._crew.reporter.note, lambda: replacing.has_hope)

    def client(self) -> AbstractContextManager[Client]:
        """A :class:`dask.distributed.Client` of the instances, for what scripts and ``map`` cannot do.

        It reaches the head through SSH. While it is connected the run does not end and the instances stay, so
        :meth:`wait` for it afterwards. What it submits runs in the slots that jobs leave free, and is known to dask
        alone: calls on an instance that is lost are made again elsewhere, so they should do no harm twice, and results
        lie in the instances' memory. If the instance with the head is lost, so is all of it.

        Raises:
            VersionsDiffer: this computer has another minor version of Python, or another of dask.
            UsageError: dask is not installed here (``pip install 'spot-connect[jobs]'``).
            RunInterrupted: no machine lives any more; in the ``with`` block, the head was lost.
            RunNotFound: its jobs have ended, and nobody hands anything out any more.

        Example:
            >>> with run.client() as c:  # doctest: +SKIP
            ...     c.submit(sum, [1, 2, 3]).result()
            6
        """
        return client(self._crew, self.id)

    def close(self) -> None:
        """Stop what has not ended, and have the machines end themselves now; done also when none lives any more."""
        with suppress(RunInterrupted, InstanceNotFound):
            # The last of them may end itself before it has answered.
            self.record()
            self._crew.ask("jobs-close", {"run": self.id})
        order = self._last.order if self._last else None
        if order is not None:
            self._crew.yard.withdraw(order)

    def _awaited(
        self, timeout: float | None, hear: Callable[[str], None], has_hope: Callable[[], bool] = lambda: False
    ) -> JobsRecord:
        """Wait for the end; with hope also while there is nobody to tell of it."""
        heard: object = None
        words = ""

        def look() -> Seen[JobsRecord]:
            nonlocal heard, words
            try:
                record = self.record()
            except NOBODY as error:
                if not has_hope():
                    raise
                return Seen(None, str(error))
            words = record.summary
            # The cost changes all the time.
            if (record.counts, record.interruptions) != heard:
                heard = record.counts, record.interruptions
                hear(words)
            return Seen(record if record.has_ended else None, words)

        seconds = float("inf") if timeout is None else timeout
        record = wait_for(f"end of {self.id}", look, seconds=seconds, every=_POLL_SECONDS, clock=self._clock)
        if record.order is not None:
            self._crew.yard.withdraw(record.order)
        return record

    def _job(self, number: int) -> JobRecord:
        jobs = self.record().jobs
        if not 0 <= number < len(jobs):
            raise RunNotFound(f"{self.id} has no job {number}", f"its jobs are 0 to {len(jobs) - 1}")
        return jobs[number]


def cells(job: JobRecord) -> tuple[str, ...]:
    """A job as the cells of ``COLUMNS``."""
    seconds = (job.ended - job.began).total_seconds() if job.began and job.ended else None
    return (
        str(job.number),
        f"{job.state} ({job.why})" if job.why not in ("", job.state) else job.state,
        "" if job.exit_code is None else str(job.exit_code),
        str(job.attempts),
        str(job.failures),
        str(job.interruptions),
        job.instance,
        "" if seconds is None else f"{seconds:.0f} s",
        job.title,
    )
