"""Spot prices, now and over time."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from spot_connect.aws.refusals import asking
from spot_connect.aws.session import Cloud
from spot_connect.aws.together import in_one_call
from spot_connect.core.models import SpotPrice

_PRODUCTS = {"Linux": "Linux/UNIX", "Windows": "Windows"}
_MOST_NAMED = 100
"""Above this many types the prices of all types are read: fewer calls, and no request that is too long."""


def spot_prices(
    cloud: Cloud, instance_types: Collection[str], since: datetime | None = None, *, os: str = "Linux"
) -> tuple[SpotPrice, ...]:
    """US dollars per hour by type and zone: every change after ``since``, and the price that held then.

    Without ``since`` only the current prices. EC2 keeps 90 days. ``os`` may be Windows.
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotPriceHistory.html
    """
    wanted = set(instance_types)
    if not wanted:
        return ()
    named: dict[str, Any] = {"InstanceTypes": sorted(wanted)} if len(wanted) <= _MOST_NAMED else {}
    pages = cloud.ec2.get_paginator("describe_spot_price_history").paginate(
        **named,
        ProductDescriptions=[_PRODUCTS[os]],
        StartTime=since or datetime.now(timezone.utc),
    )
    with asking(f"read spot prices in {cloud.region}"):
        return tuple(
            SpotPrice(raw["InstanceType"], raw["AvailabilityZone"], Decimal(raw["SpotPrice"]), raw["Timestamp"])
            for page in pages
            for raw in page["SpotPriceHistory"]
            if raw["InstanceType"] in wanted
        )


@in_one_call
def current(cloud: Cloud, instance_types: Collection[str]) -> dict[str, tuple[SpotPrice, ...]]:
    """The current prices of one type, in US dollars per hour, by zone."""
    found = spot_prices(cloud, instance_types)
    return {kind: tuple(each for each in found if each.instance_type == kind) for kind in instance_types}
