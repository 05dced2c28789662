"""Spot prices over time, and the scores of spot placement."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS
from moto.ec2.responses.spot_instances import SpotInstances

from spot_connect.local import market
from spot_connect.local.patches import errors
from spot_connect.local.patches.patch import Patch

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud

_PAGE = 1000
_MOST_SCORES = 10


def describe_spot_price_history(cloud: Cloud, _: Any, response: Any) -> ActionResult:
    """The price changes asked for, newest first, page by page."""
    region = response.region
    zone_ids = {zone.name: zone.zone_id for zone in response.ec2_backend.describe_availability_zones()}
    changes = market.history(region, _query(cloud, response), sorted(zone_ids))
    first = _offset(response._get_param("NextToken"))
    last = first + int(response._get_param("MaxResults") or _PAGE)
    history = [
        {
            "AvailabilityZone": change.zone,
            "AvailabilityZoneId": zone_ids[change.zone],
            "InstanceType": change.instance_type,
            "ProductDescription": change.product,
            "SpotPrice": f"{change.price:.6f}",
            "Timestamp": datetime.fromtimestamp(change.since, timezone.utc),
        }
        for change in changes[first:last]
    ]
    return ActionResult({"SpotPriceHistory": history, "NextToken": _token(last) if last < len(changes) else ""})


def get_spot_placement_scores(_: Cloud, __: Any, response: Any) -> ActionResult:
    """From 1 to 10, always the same for the same question."""
    types = response._get_param("InstanceTypes", [])
    regions = response._get_param("RegionNames", []) or sorted(INSTANCE_TYPE_OFFERINGS["region"])
    capacity = int(response._get_param("TargetCapacity") or 1)
    by_zone = bool(response._get_bool_param("SingleAvailabilityZone"))
    scores = [
        score
        for region in regions
        for score in (_zone_scores(region, types, capacity) if by_zone else [_score(region, types, capacity)])
    ]
    scores.sort(key=lambda score: -score["Score"])
    return ActionResult({"SpotPlacementScores": scores[:_MOST_SCORES]})


def _zone_scores(region: str, types: list[str], capacity: int) -> list[dict[str, Any]]:
    offers = INSTANCE_TYPE_OFFERINGS["availability-zone-id"].get(region, [])
    zones = sorted({offer["Location"] for offer in offers})
    return [_score(region, types, capacity, zone) for zone in zones]


def _score(region: str, types: list[str], capacity: int, zone: str = "") -> dict[str, Any]:
    luck = hashlib.sha256(f"{region}{zone}{sorted(types)}".encode()).digest()[0] % 4
    # AWS: with fewer than three types the score is always low.
    best = 10 if len(types) >= 3 else 3
    score = max(1, best - luck - min(5, capacity // 50))
    return {"Region": region, "Score": score} | ({"AvailabilityZoneId": zone} if zone else {})


def _query(cloud: Cloud, response: Any) -> market.Query:
    filters = response._filters_from_querystring()
    zone = response._get_param("AvailabilityZone")
    return market.Query(
        types=(*response._get_param("InstanceTypes", []), *filters.get("instance-type", [])),
        products=(*response._get_param("ProductDescriptions", []), *filters.get("product-description", [])),
        zones=(*([zone] if zone else []), *filters.get("availability-zone", [])),
        start=_seconds(response._get_param("StartTime")),
        end=_seconds(response._get_param("EndTime")),
        now=cloud.now(),
    )


def _seconds(moment: Any) -> float | None:
    if moment is None:
        return None
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return float(moment.timestamp())


def _token(offset: int) -> str:
    return base64.b64encode(f"after {offset}".encode()).decode()


def _offset(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(base64.b64decode(token).decode().removeprefix("after "))
    except ValueError:
        raise errors.refusal("InvalidParameterValue", f"The token '{token}' is invalid") from None


PATCHES = (
    Patch(SpotInstances, "describe_spot_price_history", describe_spot_price_history, "has prices that change"),
    Patch(SpotInstances, "get_spot_placement_scores", get_spot_placement_scores, "has spot placement scores"),
)
