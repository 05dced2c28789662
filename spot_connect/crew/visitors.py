"""Clients of the user's own on the head's scheduler, beside the jobs: the head is to wait for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from distributed import Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin

JOB = "spot-connect-job-"
"""Begins the keys of the head's own tasks; all others are visitors'."""
_OF_A_WORKER = "Client-worker-"
# A laptop that was closed says no goodbye; a client that lives says so every few seconds.
_SILENT_SECONDS = 120.0
# One that knows the way loads dask and connects; jobs that end meanwhile would end the head under its hands.
_ON_THE_WAY_SECONDS = 30.0
_LOSSES = 1000


class Visitors:
    """Whoever is connected to the scheduler, but for the head and the tasks of its workers.

    Args:
        scheduler: what they are connected to.
        own: the head's own client.
        stay: seconds that one may come in, where no job holds the run open.
    """

    def __init__(self, scheduler: Scheduler, own: str, *, stay: float = 0.0) -> None:
        self._scheduler = scheduler
        self._own = own
        self._stay = stay
        self._last = time.monotonic()
        self._arrived = 0.0
        scheduler.add_plugin(_Patience(scheduler))
        scheduler.add_plugin(_Bell(self._hear))

    def count(self) -> int:
        """How many there are."""
        living = time.time() - _SILENT_SECONDS
        # From a list: another thread tells the status.
        return sum(self._is_one(key) and known.last_seen > living for key, known in list(self._clients.items()))

    def may_come(self, announced: float) -> bool:
        """Whether there is one, or may still be one: ``announced`` is when one has last asked for the way."""
        if self.count():
            self._last = time.monotonic()
            return True
        is_on_the_way = self._arrived < announced and time.time() - announced < _ON_THE_WAY_SECONDS
        return is_on_the_way or time.monotonic() - self._last < self._stay

    def slots(self) -> int:
        """How many slots work for them, and for no job."""
        busy = [worker.processing for worker in self._scheduler.running if worker.processing]
        return sum(not any(is_job(task.key) for task in tasks) for tasks in busy)

    @property
    def _clients(self) -> dict[str, Any]:
        known = self._scheduler.clients
        return {key: known[key] for key in list(self._scheduler.client_comms) if key in known}

    def _hear(self, key: str) -> None:
        if self._is_one(key):
            self._arrived = time.time()

    def _is_one(self, key: str) -> bool:
        return key != self._own and not key.startswith(_OF_A_WORKER)


class _Bell(SchedulerPlugin):
    """Tells who comes in, however short they stay."""

    def __init__(self, heard: Callable[[str], None]) -> None:
        self._heard = heard

    def add_client(self, scheduler: Scheduler, client: str) -> None:
        """A client has connected."""
        self._heard(client)


class _Patience(SchedulerPlugin):
    """Jobs are for the head to try again; what a visitor has submitted, dask tries again when a machine is lost."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """A task is given to a worker."""
        if finish == "processing" and not is_job(key):
            task = self._scheduler.tasks[key]
            task.suspicious = task.suspicious or -_LOSSES


def is_job(key: Any) -> bool:
    """Whether the task is one of the head's."""
    return str(key).startswith(JOB)
