"""The machines that a run begins with, what they cost, and how others are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spot_connect.core.fleets import Fleet
from spot_connect.core.models import Instance
from spot_connect.core.orders import ON_DEMAND, SPOT, Order
from spot_connect.store import tables


@dataclass(frozen=True, slots=True)
class Supply:
    """What the ledger of a run is told when it begins.

    Attributes:
        run_id: the run.
        machines: each with its price per hour.
        order: how others are asked for; ``None`` where they could not find the run.
        has_role: whether the machines have a role of their own, which may let them ask.
    """

    run_id: str
    machines: tuple[dict[str, Any], ...]
    order: Order | None
    has_role: bool

    def wire(self) -> dict[str, Any]:
        """What goes to the instances as JSON."""
        return {"machines": list(self.machines), "order": self.order.wire() if self.order else None}


def supply(
    run_id: str, fleet: Fleet, members: Sequence[Instance], head: Instance | None, order: Order | None
) -> Supply:
    """The machines of a fleet, and the one that keeps the head if there is one."""
    prices = {(pool.instance_type, pool.subnet.zone): pool.price for pool in fleet.pools}
    machines = [machine(one, SPOT, prices.get((one.type, one.zone))) for one in members]
    if head is not None:
        machines.append(machine(head, ON_DEMAND, tables.on_demand_price(head.type, head.region)))
    return Supply(run_id, tuple(machines), order, bool(fleet.spec and fleet.spec.instance_profile))


def machine(one: Instance, market: str, price: object) -> dict[str, Any]:
    """What the ledger is told of a machine; an empty price is one that nobody knows."""
    return {
        "instance": one.id,
        "name": one.name,
        "type": one.type,
        "since": one.launched.timestamp(),
        "price": str(price or ""),
        "market": market,
    }
