"""What a run of distributed jobs asks AWS for when it needs one more machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spot_connect.core.answers import Answer
from spot_connect.core.errors import UnreadableAnswer

SPOT, ON_DEMAND = "spot", "on-demand"
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}")
_TEMPLATE = re.compile(r"lt-[0-9a-f]{8,17}")
_ASKED = frozenset(
    {
        *("Type", "LaunchTemplateConfigs", "TargetCapacitySpecification", "TagSpecifications"),
        *("SpotOptions", "OnDemandOptions"),
    }
)
_CAPACITY = frozenset({"TotalTargetCapacity", "DefaultTargetCapacityType"})
_POOL = frozenset({"InstanceType", "SubnetId", "MaxPrice"})


@dataclass(frozen=True, slots=True)
class Order:
    """The same words for whoever asks, so that AWS gives the same machine to two who ask with one token.

    Attributes:
        region: where.
        templates: by market, the launch template, which lives as long as the run. EC2 refuses one that tags spot
            requests where there are none.
        requests: by market (``spot``, ``on-demand``), the CreateFleet parameters without token and number.
        prices: by market and then by pool (``<type>/<subnet>``), US dollars per hour where they are known.
    """

    region: str
    templates: Mapping[str, str]
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
            "templates": self.templates,
            "requests": self.requests,
            "prices": self.prices,
        }


def order_of(told: Answer) -> Order:
    """The order in an answer of the program on an instance: what this package asks for, and nothing else.

    Raises:
        UnreadableAnswer: it asks for anything else. Whoever has the instance could have written it.
    """
    region, templates = told.text("region"), told.part("templates").texts()
    if not _REGION.fullmatch(region) or not all(map(_TEMPLATE.fullmatch, templates.values())):
        raise _foreign(f"{region} {templates}")
    requests = told.part("requests").everything()
    for market, request in requests.items():
        if market not in (SPOT, ON_DEMAND) or not _is_ours(request, market, templates.get(market, "")):
            raise _foreign(f"{market}: {request}")
    prices = told.part("prices")
    return Order(region, templates, requests, {market: prices.part(market).texts() for market in prices.everything()})


def _is_ours(request: Any, market: str, template: str) -> bool:
    """Whether it is a fleet from the template alone, of which only types, subnets and prices are said."""
    if not isinstance(request, dict) or not _ASKED.issuperset(request) or request.get("Type") != "instant":
        return False
    match request:
        case {
            "LaunchTemplateConfigs": [{"LaunchTemplateSpecification": dict(used), "Overrides": [*overrides], **rest}],
            "TargetCapacitySpecification": dict(capacity),
            "TagSpecifications": [{"ResourceType": "fleet"}],
        } if not rest:
            is_from_it = used == {"LaunchTemplateId": template, "Version": "$Latest"}
            is_of_market = capacity.get("DefaultTargetCapacityType") == market and _CAPACITY.issuperset(capacity)
            return is_from_it and is_of_market and all(map(_is_pool, overrides))
        case _:
            return False


def _is_pool(override: Any) -> bool:
    return (
        isinstance(override, dict) and _POOL.issuperset(override) and all(isinstance(v, str) for v in override.values())
    )


def _foreign(said: str) -> UnreadableAnswer:
    return UnreadableAnswer(
        "cannot launch instances for the run",
        f"its instances ask for what spot-connect does not: {said[:200]}",
        "Somebody may have changed the files of the run. Nothing was launched.",
    )
