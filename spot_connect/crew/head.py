"""The head: hands jobs to members through dask, and keeps nothing that is not in the jobs' directory."""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distributed import Client, Future, Scheduler
from distributed.scheduler import KilledWorker

from spot_connect.core.untrusted import printable
from spot_connect.crew import links, tasks
from spot_connect.crew.archives import pack, unpack
from spot_connect.crew.batch import Batch, directory, row
from spot_connect.crew.capacity import LOST, Capacity
from spot_connect.crew.replacing import Replacer
from spot_connect.crew.visitors import JOB, Visitors
from spot_connect.interruption import files, hooks
from spot_connect.interruption.ledger import INTERRUPTIONS, Attempt, Run, home
from spot_connect.interruption.metadata import own_address
from spot_connect.interruption.runner import fail, whoami

log = logging.getLogger(__name__)
_LOOK_SECONDS = 1.0
_BEAT_SECONDS = 2.0
_WORKER_TTL = 60.0
# A machine that has just joined has no slots for a moment.
_ABSENT_SECONDS = 30.0
_MOST_MISHAPS = 5
_FAREWELL_SECONDS = 5.0
_INTERRUPTED, _AGAIN, _FRESH = range(3)
_GONE, _UNKEPT, _ERROR = "gone", "unkept", "error"


@dataclass
class _Job:
    """A job as the head sees it; everything in it can be read again from the files."""

    run: Run
    row: dict[str, Any]
    tries: int = 0
    mishaps: int = 0

    @property
    def has_ended(self) -> bool:
        return self.row["ended"] is not None

    def look(self) -> None:
        """Read again what the files say."""
        self.row = row(self.run, self.row["title"])
        self.tries = self.row["attempts"]

    def settle(self) -> None:
        """Say that its last attempt has ended it, if it has: who made that is about to, or has died before."""
        if self.row["outcome"] in ("", "stopped"):
            return
        last = self.run.attempts()[-1].end() or {}
        self.run.settle(self.row["outcome"], last.get("exit_code"))
        self.look()


@dataclass(frozen=True)
class _Trouble:
    """Why a try brought nothing.

    Attributes:
        why: for the log, and for whoever asks how the job ended.
        kind: whether the machine is gone, its keeper has ended, or the program itself could not do it.
    """

    why: str
    kind: str = _ERROR


@dataclass
class _Backlog:
    """Jobs that wait, those that were interrupted first."""

    heap: list[tuple[int, int]] = field(default_factory=list)

    def add(self, urgency: int, number: int) -> None:
        heapq.heappush(self.heap, (urgency, number))

    def take(self) -> int:
        return heapq.heappop(self.heap)[1]


class Head:
    """Works through the jobs until all have ended."""

    def __init__(self, batch: Batch, instance: str, scheduler: Scheduler, client: Client) -> None:
        self._batch = batch
        self._instance = instance
        self._scheduler = scheduler
        self._client = client
        self._lease = batch.lease
        self._shared = batch.is_shared
        # Without a common directory each machine has one of its own.
        self._place = directory(home().relative_to(Path.home()), batch.id).as_posix()
        self._jobs: list[_Job] = []
        self._ended = 0
        self._backlog = _Backlog()
        self._handed: dict[int, Future[Any]] = {}
        self._under_way: set[int] = set()
        self._silent: set[str] = set()
        self._wake = asyncio.Event()
        self._changed: Any = None
        self._capacity = Capacity(batch)
        self._replacer = Replacer(self._capacity)
        self._met: set[str] = set()
        self._absent: dict[str, float] = {}
        self._visitors = Visitors(scheduler, client.id, stay=float(batch.spec.get("stay") or 0.0))

    async def run(self) -> None:
        """See every job to its end; how all of it ended is in the directory afterwards."""
        await asyncio.to_thread(self._read)
        replacing = asyncio.ensure_future(self._keep_replacing())
        try:
            await self._see_to_the_jobs()
        finally:
            replacing.cancel()
        await self._finish()

    async def _see_to_the_jobs(self) -> None:
        looked = 0.0
        while self._are_left() or self._is_visited():
            await self._gather()
            if time.monotonic() - looked >= _LOOK_SECONDS:
                looked = time.monotonic()
                await asyncio.to_thread(self._look)
                await self._dismiss_silent()
                await self._pass_on_stops()
            await self._hand_out()
            await self._woken()

    async def _keep_replacing(self) -> None:
        """In the background: AWS takes seconds to answer."""
        while self._batch.spec.get("role"):
            await asyncio.sleep(_LOOK_SECONDS)
            left = sum(not job.has_ended for job in self._jobs)
            # The file system may be slow to answer; the next look is soon.
            with suppress(OSError):
                await asyncio.to_thread(self._replacer.look, left, self._workers())

    def _are_left(self) -> bool:
        """Whether a job has not ended; those before the first such job are not looked at again and again."""
        while self._ended < len(self._jobs) and self._jobs[self._ended].has_ended:
            self._ended += 1
        return self._ended < len(self._jobs)

    def _is_visited(self) -> bool:
        # Who stops the run means also those who have not come yet.
        announced = 0.0 if self._batch.is_to_stop() else self._batch.visit_announced()
        return self._visitors.may_come(announced) and not self._batch.is_to_close()

    def _read(self) -> None:
        """Learn from the files what is to be done."""
        self._changed = files.read(self._batch.directory / "changed")
        self._jobs = [_Job(run, row(run)) for run in self._batch.jobs()]
        for number, job in enumerate(self._jobs):
            job.tries = job.row["attempts"]
            self._sort(number)

    def _sort(self, number: int) -> None:
        """A job that is in nobody's hands: ended, under way somewhere, or to be handed out."""
        job = self._jobs[number]
        if job.row["state"] == "waiting":
            job.settle()
        if job.has_ended:
            return
        if job.row["state"] == "running":
            self._under_way.add(number)
        elif job.run.is_to_stop() or self._batch.is_to_stop():
            job.run.finish("stopped", None, self._batch.why_it_stops())
            job.look()
        else:
            self._backlog.add(_urgency(job.row), number)

    async def _hand_out(self) -> None:
        """One job for each slot that lives, and no more: what waits is ours."""
        slots = sum(worker.nthreads for worker in self._scheduler.running) - self._visitors.slots()
        while self._backlog.heap and len(self._handed) < slots:
            number = self._backlog.take()
            job = self._jobs[number]
            if job.has_ended:
                continue
            job.tries += 1
            try:
                future = await self._submitted(number, job)
            except Exception as error:  # noqa: BLE001 - one that cannot be sent must not keep the others waiting
                await asyncio.to_thread(self._settle, number, _Trouble(_said(error)))
                continue
            self._handed[number] = future
            future.add_done_callback(lambda _: self._wake.set())

    async def _submitted(self, number: int, job: _Job) -> Future[Any]:
        key = f"{JOB}{number}-{job.tries}-{time.monotonic_ns()}"
        if self._shared:
            return self._client.submit(tasks.attempt, str(job.run.directory), job.tries, key=key, pure=False)
        packed = await asyncio.to_thread(pack, job.run.directory)
        name = job.run.id
        return self._client.submit(tasks.attempt_sent, self._place, name, job.tries, packed, key=key, pure=False)

    async def _gather(self) -> None:
        """Take back what members are done with."""
        done = [number for number, future in self._handed.items() if future.done()]
        troubles = [await self._taken_back(number, self._handed.pop(number)) for number in done]
        if done:
            await asyncio.to_thread(lambda: [*map(self._settle, done, troubles)])

    async def _taken_back(self, number: int, future: Future[Any]) -> _Trouble | None:
        """Why it brought nothing; ``None`` when it was tried, and the files tell how."""
        if future.status == "error":
            error = await future.exception()
            return _Trouble(_said(error), _kind(error))
        if future.status != "finished":
            return _Trouble("its machine is gone", _GONE)
        if self._shared:
            return None
        try:
            packed = await future.result()
        except Exception as error:  # noqa: BLE001 - what dask raises when the machine goes meanwhile is not told
            return _Trouble(_said(error), _GONE)
        try:
            await asyncio.to_thread(self._take_home, self._jobs[number], packed)
        except Exception as error:  # noqa: BLE001 - whatever it is, the job is not to be tried for ever
            return _Trouble(_said(error))
        return None

    def _take_home(self, job: _Job, packed: bytes) -> None:
        left_out = unpack(packed, job.run.directory)
        job.run.attempt(job.tries).say(left_out)

    def _settle(self, number: int, trouble: _Trouble | None) -> None:
        job = self._jobs[number]
        if trouble:
            log.warning("%s job %s: %s", time.strftime("%FT%T"), number, trouble.why)
            self._record(job, trouble)
        job.look()
        self._sort(number)

    def _record(self, job: _Job, trouble: _Trouble) -> None:
        """Write down how a try ended that nobody else writes of.

        What our own program could not do has failed: it is no interruption, after which it would be tried again. A
        keeper that has ended may mean that its machine is about to; again and again it means something else.
        """
        job.mishaps += trouble.kind == _UNKEPT
        if self._shared:
            # Where an attempt was claimed, who has claimed it writes, or falls silent.
            attempt = job.run.claim(job.tries) if trouble.kind == _ERROR else None
        else:
            attempt = job.run.claim(job.tries) or job.run.attempt(job.tries)
        if attempt and not attempt.start():
            instance = job.row["instance"]
            files.write(attempt.directory / "start.json", {"instance": instance, "time": time.time()})
        if attempt and trouble.kind == _ERROR:
            fail(job.run, attempt, f"it could not be run: {trouble.why}")
        elif attempt and attempt.close("lost"):
            job.run.settle("lost", None)
        if job.mishaps >= _MOST_MISHAPS:
            job.run.finish("failed", None, f"it could not be run: {trouble.why}")

    def _look(self) -> None:
        """See what has happened behind our back, and say what we know."""
        for number in sorted({*self._under_way, *(self._handed if self._shared else ())}):
            run = self._jobs[number].run
            last = (run.attempts() or [None])[-1]
            if last is None:
                continue
            if last.end() is None and time.time() - last.last_sign() > self._lease and last.close("lost"):
                run.settle("lost", None)
                self._silent.add(str(last.start().get("instance")))
            if number in self._under_way and last.end() is not None:
                self._under_way.discard(number)
                self._jobs[number].look()
                self._sort(number)
        self._count_machines()
        changed = files.read(self._batch.directory / "changed")
        if changed != self._changed or self._batch.is_to_stop():
            self._changed = changed
            self._obey()
        self._tell()

    def _count_machines(self) -> None:
        """See which machines are gone, and end the run at its limits."""
        now = time.monotonic()
        present = {worker.partition("/")[0] for worker in self._workers()} | {self._instance}
        gone = self._capacity.gone()
        self._met |= present | {one["instance"] for one in self._batch.members()}
        for instance in self._met - gone.keys():
            if instance in present:
                self._absent.pop(instance, None)
            elif now - self._absent.setdefault(instance, now) > max(self._lease, _ABSENT_SECONDS):
                self._capacity.say_gone(instance, LOST)
        for instance in self._silent - gone.keys():
            self._capacity.say_gone(instance, LOST)
        for instance in present & {one for one, known in gone.items() if known["why"] == LOST}:
            self._capacity.say_back(instance)
        limit = self._capacity.is_spent()
        if limit and not self._batch.is_to_stop():
            self._batch.end_early(limit)

    def _workers(self) -> list[str]:
        """The slots that live: those that wait for us, and those that join us when their job has ended."""
        under_way = [f"{self._jobs[number].row['instance']}/job-{number}" for number in self._under_way]
        return sorted([*(str(worker.name) for worker in list(self._scheduler.workers.values())), *under_way])

    async def _dismiss_silent(self) -> None:
        """Give nothing to machines that have fallen silent: dask would believe in them for a minute more."""
        for worker in list(self._scheduler.workers.values()):
            if str(worker.name).partition("/")[0] in self._silent:
                await self._scheduler.remove_worker(
                    worker.address, stimulus_id=f"silent-{time.monotonic_ns()}", expected=True
                )
        self._silent.clear()

    def _obey(self) -> None:
        """Stop what is to be stopped, and take up what is to be tried again."""
        for number, job in enumerate(self._jobs):
            if job.has_ended:
                if job.run.end() is None:
                    self._ended = min(self._ended, number)
                    job.look()
                    self._sort(number)
                continue
            if self._batch.is_to_stop():
                job.run.ask_to_stop()
            if job.run.is_to_stop() and number not in self._handed and number not in self._under_way:
                job.run.finish("stopped", None, self._batch.why_it_stops())
                job.look()

    async def _pass_on_stops(self) -> None:
        """A job that travelled does not see what is asked of it here."""
        if self._shared:
            return
        for number in [one for one in self._handed if self._jobs[one].run.is_to_stop()]:
            await self._client.run(tasks.stop_sent, self._place, self._jobs[number].run.id, on_error="ignore")

    def _tell(self) -> None:
        places = self._places()
        for number in [*self._handed, *self._under_way]:
            job = self._jobs[number]
            job.row = row(job.run, job.row["title"])
            if not self._shared and number in places:
                job.row.update(state="running", instance=places[number], attempts=job.tries)
        told = {
            "time": time.time(),
            "clients": self._visitors.count(),
            "workers": self._workers(),
            "cost": str(self._capacity.cost()),
            "capacity": self._replacer.trouble,
            "jobs": [job.row for job in self._jobs],
        }
        files.write(self._batch.directory / "status.json", told)

    def _places(self) -> dict[int, str]:
        """Where the jobs in members' hands are, as dask knows it."""
        found = {}
        for number, future in list(self._handed.items()):
            task = self._scheduler.tasks.get(future.key)
            if task and task.processing_on:
                found[number] = str(task.processing_on.name).partition("/")[0]
        return found

    async def _woken(self) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), _LOOK_SECONDS / 4)
        except asyncio.TimeoutError:
            return
        self._wake.clear()

    async def _finish(self) -> None:
        states = {job.row["state"] for job in self._jobs}
        outcome = next((state for state in ("failed", "stopped") if state in states), "succeeded")
        await asyncio.to_thread(self._tell)
        self._batch.finish(outcome, None, self._batch.why_it_stops())
        if not self._shared:
            # Who has heard it ends itself, often before it has answered.
            with suppress(asyncio.TimeoutError):
                farewell = self._client.run(tasks.finish_sent, self._place, outcome, on_error="ignore")
                await asyncio.wait_for(farewell, _FAREWELL_SECONDS)


async def hold_office(batch: Batch, instance: str) -> None:
    """Be the head until the jobs have ended, this machine is to go, or another is the head."""
    # Several machines saw that there was none; one of them was first.
    term = None if batch.term() else batch.head.claim(len(batch.head.attempts()) + 1)
    if term is None:
        return
    start = {**whoami(instance), "time": time.time()}
    files.write(term.directory / "start.json", start)
    security = links.security(batch)
    async with Scheduler(
        host=own_address(), port=0, protocol="tls", security=security, dashboard=False, allowed_failures=0,
        worker_ttl=_WORKER_TTL, dashboard_address="127.0.0.1:0",
    ) as scheduler:  # fmt: skip
        files.write(term.directory / "start.json", {**start, "address": scheduler.address})
        given = {"asynchronous": True, "security": security, "set_as_default": False}
        async with Client(scheduler.address, **given) as client:
            head = Head(batch, instance, scheduler, client)
            reason = await _first([head.run(), _until_relieved(batch, term)])
    term.close(reason)


async def _first(duties: Iterable[Any]) -> str:
    """Wait until the first of them has ended."""
    tasks_ = [asyncio.ensure_future(duty) for duty in duties]
    done, rest = await asyncio.wait(tasks_, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    return str(next(iter(done)).result() or "done")


async def _until_relieved(batch: Batch, term: Attempt) -> str:
    """Show that we live; why we are no longer wanted."""
    for count in range(1, 10**9):
        await asyncio.to_thread(term.beat, count)
        if batch.head.attempts()[-1].number > term.number:
            return "fenced"
        for _ in range(int(_BEAT_SECONDS / 0.2)):
            if files.read(hooks.notice_file()):
                return "interrupted"
            await asyncio.sleep(0.2)
    raise AssertionError("unreachable")


def lead(asked: dict[str, Any]) -> int:
    """Be the head."""
    links.settle()
    asyncio.run(hold_office(Batch(Path(asked["directory"])), asked["instance"]))
    return 0


def _kind(error: BaseException | None) -> str:
    return _GONE if isinstance(error, KilledWorker) else _UNKEPT if isinstance(error, tasks.KeeperLost) else _ERROR


def _said(error: BaseException | None) -> str:
    return printable(f"{type(error).__name__}: {error}")


def _urgency(row: dict[str, Any]) -> int:
    if not row["attempts"]:
        return _FRESH
    return _INTERRUPTED if row["outcome"] in INTERRUPTIONS else _AGAIN
