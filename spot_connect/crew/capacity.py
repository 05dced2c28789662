"""The machines of a run: what each costs, which are gone, and which of those are to be replaced.

::

    <run>/
        machines.json     the machines that the run began with: {"machines": [{instance, since, price}]}
        order.json        what to ask AWS for to get another one; absent where machines cannot find the run
        gone/<instance>   it is gone, or told that it will be; the first to notice writes it
        orders/<lost>     the machine that was launched in the place of one that is gone; the first writer wins
        orders/new-<id>   a machine that was launched beside those that live
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Mapping  # noqa: UP035 - what it is subscripted for below, Python 3.7 does at the import

from spot_connect.core.booting import boot_seconds
from spot_connect.crew.batch import Batch
from spot_connect.interruption import files

INTERRUPTED, LOST, DISMISSED = "interrupted", "lost", "dismissed"
"""Why a machine is gone: AWS said so, it fell silent, or somebody has ended it, who is not to be contradicted."""
_AGAIN_SECONDS = 20
_HOUR = 3600.0

Machine = Mapping[str, Any]


class Capacity:
    """The machines of a run, as files."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def begin(self, machines: Iterable[Machine], order: Mapping[str, Any] | None) -> None:
        """Write down with what machines the run begins, and how others are asked for."""
        files.write(self._batch.directory / "machines.json", {"machines": list(machines)})
        if order is not None:
            files.write(self._batch.directory / "order.json", order)

    def order(self) -> dict[str, Any] | None:
        """How another machine is asked for."""
        return files.read(self._batch.directory / "order.json")

    def machines(self) -> dict[str, Machine]:
        """All that the run ever had, by id."""
        first = files.read(self._batch.directory / "machines.json") or {}
        known = [*first.get("machines", ()), *self._placed().values()]
        return {str(one["instance"]): one for one in known}

    def gone(self) -> dict[str, dict[str, Any]]:
        """Those that are gone or will be, by id."""
        return _records(self._batch.directory / "gone")

    def say_gone(self, instance: str, why: str, until: float | None = None) -> None:
        """The machine is gone, or will be at ``until``."""
        directory = self._batch.directory / "gone"
        directory.mkdir(mode=0o700, exist_ok=True)
        now = time.time()
        files.write_first(directory / f"{instance}.json", {"why": why, "noticed": now, "until": until or now})

    def say_dismissed(self, instance: str) -> None:
        """It turned out that somebody has ended the machine on purpose."""
        self.say_gone(instance, DISMISSED)
        path = self._batch.directory / "gone" / f"{instance}.json"
        known = files.read(path) or {}
        if known.get("why") != DISMISSED:
            files.write(path, {**known, "why": DISMISSED})

    def say_back(self, instance: str) -> None:
        """The machine was taken for lost, and lives."""
        (self._batch.directory / "gone" / f"{instance}.json").unlink(missing_ok=True)

    def say_placed(self, lost: str, machine: Machine) -> dict[str, Any]:
        """The machine was launched in the place of ``lost``; the one that was, if somebody was first."""
        directory = self._batch.directory / "orders"
        directory.mkdir(mode=0o700, exist_ok=True)
        files.write_first(directory / f"{lost}.json", {"since": time.time(), **machine})
        return files.read(directory / f"{lost}.json") or dict(machine)

    def market(self) -> str:
        """Where the next machine is to come from."""
        most = self._batch.spec.get("on_demand_after")
        lost = sum(one["why"] != DISMISSED for one in self.gone().values())
        return "on-demand" if most is not None and lost >= int(most) else "spot"

    def wanted(self, left: int, workers: Iterable[str]) -> list[dict[str, str]]:
        """The machines to ask AWS for now: in whose place, in which market, and with which token.

        Args:
            left: how many jobs have not ended.
            workers: the slots that live, ``<instance>/<number>`` each.

        While the jobs that are left fit on the machines that live or boot, none is wanted. A token is good for one
        try: two who ask at once get the same machine, and after 20 seconds without one there is another try.
        """
        if self.order() is None or self._batch.is_to_stop() or self._batch.end() is not None or self.is_spent():
            return []
        gone, placed = self.gone(), self._placed()
        living = [worker.partition("/")[0] for worker in workers]
        booting = [
            one for one in placed.values()
            if one["instance"] not in (*living, *gone) and _may_boot(one)
        ]  # fmt: skip
        slots = max(1, int(self._batch.spec.get("slots") or 1))
        room = sum(one not in gone for one in living) + slots * len(booting)
        market, wanted = self.market(), []
        for lost, record in gone.items():
            if lost in placed or record["why"] == DISMISSED or left <= room:
                continue
            tries = int((time.time() - record["noticed"]) // _AGAIN_SECONDS)
            token = f"{self._batch.id}-{lost}-{market}-{max(0, tries)}"
            wanted.append({"lost": lost, "market": market, "token": token})
            room += slots
        return wanted

    def cost(self) -> Decimal:
        """US dollars for the machines until now, at the prices that held when each was launched."""
        gone, now = self.gone(), time.time()
        until = {name: min(now, float(one["until"])) for name, one in gone.items()}
        costs = [_cost(one, until.get(name, now)) for name, one in self.machines().items()]
        return sum(costs, Decimal(0))

    def is_spent(self) -> str:
        """Why the run is to end now, with whatever is left to do; empty while it may go on."""
        spec = self._batch.spec
        most, hours = spec.get("max_cost"), float(spec.get("max_hours") or 0)
        if most is not None and self.cost() >= Decimal(most):
            return f"it has cost ${most}, which is the limit"
        if hours and time.time() - float(spec.get("created") or time.time()) > hours * _HOUR:
            return f"it has taken {hours:g} hours, which is the limit"
        return ""

    def _placed(self) -> dict[str, dict[str, Any]]:
        return _records(self._batch.directory / "orders")


def _may_boot(machine: Machine) -> bool:
    return time.time() - float(machine["since"]) < boot_seconds(str(machine.get("type") or ""))


def _cost(machine: Machine, until: float) -> Decimal:
    seconds = max(0.0, until - float(machine["since"]))
    return Decimal(machine.get("price") or 0) * Decimal(seconds / _HOUR)


def _records(directory: Any) -> dict[str, dict[str, Any]]:
    found = {path.stem: files.read(path) for path in sorted(directory.glob("[!.]*.json"))}
    return {name: one for name, one in found.items() if one}
