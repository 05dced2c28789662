"""A machine that works for a run: a dask worker for each of its slots, and the head when nobody else is."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from distributed import Worker

from spot_connect.crew import links, tasks
from spot_connect.crew.batch import Batch, slots_of
from spot_connect.crew.capacity import INTERRUPTED, Capacity
from spot_connect.crew.enlisting import CHOSEN
from spot_connect.crew.visitors import is_job
from spot_connect.interruption import files, hooks, modes
from spot_connect.interruption.ledger import home
from spot_connect.interruption.metadata import own_address

_LOOK_SECONDS = 0.2
_AGAIN_SECONDS = 0.5
_JOIN_SECONDS = 20
_ORPHANED_LEASES = 2
_ASK_SECONDS = 5.0
_LAST_SHARE = 1 / 8
_HEAD_SECONDS = 2.0


class Member:
    """A machine, as a member.

    Args:
        batch: the jobs.
        instance: this machine's id.
        slots: how many jobs run here at once.
        head: where the head listens, if it cannot be read from the jobs' directory.
    """

    def __init__(self, batch: Batch, instance: str, slots: int, head: str = "") -> None:
        self._batch = batch
        self._instance = instance
        self._slots = slots
        self._head = head
        self._security = links.security(batch)
        self._office: asyncio.subprocess.Process | None = None
        self._met = time.monotonic()

    async def serve(self) -> None:
        """Work until the run is over."""
        python = list(sys.version_info[:2])
        versions = {"python": python, "dask": version("distributed")}
        self._batch.sign_up(self._instance, slots=self._slots, joined=time.time(), **versions)
        # For the jobs: the Python that has dask, and cloudpickle with it.
        os.environ[CHOSEN] = sys.executable
        names = [f"{self._instance}/{number}" for number in range(self._slots)]
        tasks.keepers.update((name, tasks.Keeper(self._instance)) for name in names)
        work = [asyncio.ensure_future(self._serve_slot(name)) for name in names]
        await self._until_over()
        for one in work:
            one.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        for keeper in tasks.keepers.values():
            keeper.dismiss()

    async def linger(self) -> bool:
        """Whoever was the head stays a while, so that results can be fetched; whether there is work again."""
        stays = float(self._batch.spec.get("linger") or 0.0) if self._was_the_head() else 0.0
        until = time.monotonic() + stays
        while time.monotonic() < until and not self._batch.is_to_close() and self._batch.end() is not None:
            await asyncio.sleep(_AGAIN_SECONDS)
        return self._batch.end() is None and not self._is_orphaned()

    def _was_the_head(self) -> bool:
        """Whether it was this machine at the end; others that saw none may have been a moment too late."""
        terms = self._batch.head.attempts()
        return bool(terms) and terms[-1].start().get("instance") == self._instance

    async def _until_over(self) -> None:
        has_said = False
        while self._batch.end() is None and not self._is_orphaned():
            notice = _notice()
            if notice is None:
                await self._see_to_a_head()
            elif not has_said:
                has_said = True
                Capacity(self._batch).say_gone(self._instance, INTERRUPTED, float(notice["deadline"]))
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _see_to_a_head(self) -> None:
        if self._head or (self._office and self._office.returncode is None):
            return
        if self._batch.term() is None:
            asked = {"directory": str(self._batch.directory), "instance": self._instance}
            self._office = await asyncio.create_subprocess_exec(
                *(sys.executable, tasks.PROGRAM, "jobs-lead"), stdin=subprocess.PIPE
            )
            if self._office.stdin:
                self._office.stdin.write(json.dumps(asked).encode() + b"\n")
                self._office.stdin.close()

    def _is_orphaned(self) -> bool:
        """Nobody can become the head in the place of one that is known by its address alone."""
        return bool(self._head) and time.monotonic() - self._met > _ORPHANED_LEASES * self._batch.lease

    async def _serve_slot(self, name: str) -> None:
        """Be a worker of whoever is the head, and of the next one when it is lost."""
        keeper = tasks.keepers[name]
        while True:
            # After a head is lost its job goes on; until then there is no room for another.
            if not keeper.is_busy and not _is_leaving():
                address = self._address()
                if address:
                    with suppress(OSError, asyncio.TimeoutError):
                        await self._work_for(address, name, keeper)
                    if not self._batch.is_shared:
                        # Who has lost us takes the job for lost, and gives it to somebody else.
                        keeper.abandon()
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _work_for(self, address: str, name: str, keeper: tasks.Keeper) -> None:
        async with Worker(
            address, nthreads=1, name=name, security=self._security, protocol="tls", host=own_address(),
            memory_limit=0, death_timeout=_JOIN_SECONDS, local_directory=str(home() / "dask"), dashboard=False,
        ) as worker:  # fmt: skip
            leaves, looked = False, time.monotonic()
            while worker.status.name in ("running", "paused", "closing_gracefully"):
                await self._meet(worker)
                if _is_leaving() and not leaves:
                    leaves = True
                    await _move_off(worker)
                if leaves and not keeper.is_busy and (_is_late() or not _has_work(worker)):
                    # What was queued here goes elsewhere at once, and what calls of a client have brought since.
                    await _move_off(worker)
                    return
                if time.monotonic() - looked > _HEAD_SECONDS:
                    looked = time.monotonic()
                    if self._address() not in ("", address):
                        # Ours hangs: its line would hold for as long as it does.
                        return
                await asyncio.sleep(_LOOK_SECONDS)

    async def _meet(self, worker: Worker) -> None:
        """Ask the head for a sign of life: a connection may stand for hours after its other end has gone."""
        if not self._head or time.monotonic() - self._met < _ASK_SECONDS:
            return
        with suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(worker.scheduler.identity(n_workers=0), _ASK_SECONDS)
            self._met = time.monotonic()

    def _address(self) -> str:
        if self._head:
            return self._head
        term = self._batch.term()
        return str(term.start().get("address") or "") if term else ""


def _notice() -> dict[str, Any] | None:
    """What AWS has said when it takes this machine away soon."""
    return files.read(hooks.notice_file())


def _is_leaving() -> bool:
    return _notice() is not None


async def _move_off(worker: Worker) -> None:
    """Have it given nothing more, and what it holds moved elsewhere."""
    await worker.scheduler.retire_workers(workers=[worker.address], close_workers=False, remove=False)


def _has_work(worker: Worker) -> bool:
    """Whether it does something, or has what the head has not fetched: that would be done again elsewhere."""
    return bool(worker.state.executing_count) or any(is_job(key) for key in worker.data)


def _is_late() -> bool:
    """Whether calls of a client, which no signal reaches, have had the time there was."""
    notice = files.read(hooks.notice_file()) or {}
    deadline, seen = float(notice.get("deadline") or 0.0), float(notice.get("seen") or 0.0)
    return time.time() > deadline - (deadline - seen) * _LAST_SHARE


def serve(asked: dict[str, Any]) -> int:
    """Be a member until the run is over, then end the machine."""
    links.settle()
    # Calls of a client of the user's own run in this process.
    modes.be_as_for_the_user()
    batch = Batch(Path(asked["directory"]))
    slots = asked["slots"] if "slots" in asked else slots_of(batch.spec["slots"])
    try:
        asyncio.run(_serve(Member(batch, asked["instance"], slots, asked.get("head") or "")))
    except Exception as error:
        batch.sign_up(asked["instance"], trouble=f"{type(error).__name__}: {error}")
        raise
    subprocess.call(["sudo", "-n", "shutdown", "-h", "now"], stdin=subprocess.DEVNULL)  # noqa: S607 - where sudo lies depends on the image
    return 0


async def _serve(member: Member) -> None:
    await member.serve()
    while await member.linger():
        await member.serve()
