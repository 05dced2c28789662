"""On-demand prices, from the Price List service."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from spot_connect.aws.refusals import asking
from spot_connect.aws.session import Cloud

HOME = "us-east-1"
"""The service answers for all Regions, and only in three of them; this is one."""

_SHARED_AND_PLAIN = {
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
    "licenseModel": "No License required",
    "locationType": "AWS Region",
}


def list_prices(
    cloud: Cloud, *, region: str = "", instance_type: str = "", os: str = "Linux"
) -> dict[tuple[str, str], Decimal]:
    """US dollars per hour by type and Region; of one Region, of one type, or of all that are sold.

    https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/price-changes.html

    Raises:
        NotAuthorized: ``pricing:GetProducts`` is not allowed.

    Example:
        >>> list_prices(Cloud("us-east-1"), region="us-east-1", instance_type="t3.micro")  # doctest: +SKIP
        {('t3.micro', 'us-east-1'): Decimal('0.0104')}
    """
    wanted = {**_SHARED_AND_PLAIN, "operatingSystem": os, "regionCode": region, "instanceType": instance_type}
    filters = [{"Type": "TERM_MATCH", "Field": key, "Value": value} for key, value in wanted.items() if value]
    client = cloud.in_region(HOME)
    with asking(f"read on-demand prices of {instance_type or 'all types'} in {region or 'all Regions'}"):
        pages = (
            client.client("pricing").get_paginator("get_products").paginate(ServiceCode="AmazonEC2", Filters=filters)
        )
        return {key: price for page in pages for text in page["PriceList"] for key, price in _price(json.loads(text))}


def _price(product: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Decimal]]:
    """The price of a product; none when all its prices are zero, as those of reserved capacity are."""
    attributes = product["product"]["attributes"]
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            price = Decimal(dimension["pricePerUnit"].get("USD", "0"))
            if price:
                yield (attributes["instanceType"], attributes["regionCode"]), price.normalize() + 0
