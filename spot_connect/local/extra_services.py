"""AWS services that moto lacks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request

from spot_connect.local import market
from spot_connect.local.replies import Wsgi, json_reply, refuse

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud

_PAGE = 100
# What every product of ours is; a filter for anything else finds nothing.
_ATTRIBUTES = {
    "servicecode": "AmazonEC2",
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
    "licenseModel": "No License required",
    "locationType": "AWS Region",
}


def handlers(_: Cloud) -> dict[str, Wsgi]:
    """By the name that requests are signed for."""
    return {"pricing": price_list}


def price_list(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The Price List service: GetProducts for Linux on demand."""
    action = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    if action != "GetProducts":
        return refuse(environ, "UnsupportedOperation", f"The local cloud cannot do {action}.", 400)(
            environ, start_response
        )
    asked = Request(environ).get_json(force=True)
    wanted = {one["Field"]: one["Value"] for one in asked.get("Filters", [])}
    found = list(_products(wanted)) if asked.get("ServiceCode") == "AmazonEC2" else []
    first = int(asked.get("NextToken") or 0)
    last = first + int(asked.get("MaxResults") or _PAGE)
    reply: dict[str, Any] = {"FormatVersion": "aws_v1", "PriceList": found[first:last]}
    if last < len(found):
        reply["NextToken"] = str(last)
    return json_reply(reply)(environ, start_response)


def _products(wanted: dict[str, str]) -> Iterator[str]:
    if any(wanted.get(name, value) != value for name, value in _ATTRIBUTES.items()):
        return
    for instance_type, region, quote in market.quotes():
        matches = wanted.get("instanceType", instance_type) == instance_type
        if matches and wanted.get("regionCode", region) == region and quote.on_demand is not None:
            yield json.dumps(_product(instance_type, region, f"{quote.on_demand:.10f}"))


def _product(instance_type: str, region: str, price: str) -> dict[str, Any]:
    sku = f"{instance_type}.{region}".upper()
    dimension = {"unit": "Hrs", "beginRange": "0", "endRange": "Inf", "pricePerUnit": {"USD": price}}
    return {
        "product": {
            "productFamily": "Compute Instance",
            "attributes": {**_ATTRIBUTES, "instanceType": instance_type, "regionCode": region},
            "sku": sku,
        },
        "serviceCode": "AmazonEC2",
        "terms": {"OnDemand": {f"{sku}.T": {"sku": sku, "priceDimensions": {f"{sku}.T.D": dimension}}}},
    }
