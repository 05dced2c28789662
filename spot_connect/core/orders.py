"""What a run of distributed jobs asks AWS for when it needs one more machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SPOT, ON_DEMAND = "spot", "on-demand"


@dataclass(frozen=True, slots=True)
class Order:
    """The same words for whoever asks, so that AWS gives the same machine to two who ask with one token.

    Attributes:
        region: where.
        template: the launch template, which lives as long as the run.
        requests: by market (``spot``, ``on-demand``), the CreateFleet parameters without token and number.
        prices: by market and then by pool (``<type>/<subnet>``), US dollars per hour where they are known.
    """

    region: str
    template: str
    requests: Mapping[str, Mapping[str, Any]]
    prices: Mapping[str, Mapping[str, str]]

    def request(self, market: str, count: int = 1) -> dict[str, Any]:
        """CreateFleet parameters for ``count`` machines."""
        asked = dict(self.requests[market])
        capacity = {**asked["TargetCapacitySpecification"], "TotalTargetCapacity": count}
        return {**asked, "TargetCapacitySpecification": capacity}

    def price(self, market: str, instance_type: str, subnet: str) -> str:
        """US dollars per hour; empty where it is not known."""
        return self.prices.get(market, {}).get(f"{instance_type}/{subnet}", "")

    def wire(self) -> dict[str, Any]:
        """What goes to the instances as JSON."""
        return {
            "region": self.region,
            "template": self.template,
            "requests": self.requests,
            "prices": self.prices,
        }


def order_of(told: Mapping[str, Any]) -> Order:
    """The order in an answer of the program on an instance."""
    return Order(told["region"], told["template"], told["requests"], told["prices"])
