"""Spot prices, now and over time."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timezone
from decimal import Decimal

from spot_connect.aws.refusals import asking
from spot_connect.aws.session import Cloud
from spot_connect.core.models import SpotPrice

_LINUX = "Linux/UNIX"


def spot_prices(cloud: Cloud, instance_types: Collection[str], since: datetime | None = None) -> tuple[SpotPrice, ...]:
    """US dollars per hour by type and zone: every change after ``since``, and the price that held then.

    Without ``since`` only the current prices. EC2 keeps 90 days.
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotPriceHistory.html
    """
    if not instance_types:
        return ()
    pages = cloud.ec2.get_paginator("describe_spot_price_history").paginate(
        InstanceTypes=sorted(instance_types),
        ProductDescriptions=[_LINUX],
        StartTime=since or datetime.now(timezone.utc),
    )
    with asking(f"read spot prices in {cloud.region}"):
        return tuple(
            SpotPrice(raw["InstanceType"], raw["AvailabilityZone"], Decimal(raw["SpotPrice"]), raw["Timestamp"])
            for page in pages
            for raw in page["SpotPriceHistory"]
        )
