"""Prices of this cloud: those of the shipped table, varied over zones and days without any randomness."""

from __future__ import annotations

import csv
import functools
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources

LINUX = "Linux/UNIX"
_PRODUCTS = {LINUX: "Linux", f"{LINUX} (Amazon VPC)": "Linux", "Windows": "Windows", "Windows (Amazon VPC)": "Windows"}
_DAY = 86400.0
_KEPT_DAYS = 90
_MICRO = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Quote:
    """US dollars per hour of a type in a Region."""

    spot: Decimal
    on_demand: Decimal | None


@dataclass(frozen=True, slots=True)
class Query:
    """What a caller wants of the history. An empty tuple is no restriction."""

    types: Sequence[str]
    products: Sequence[str]
    zones: Sequence[str]
    start: float | None
    end: float | None
    now: float


@dataclass(frozen=True, slots=True)
class Change:
    """From ``since`` on (seconds since the epoch) the price holds."""

    instance_type: str
    zone: str
    product: str
    price: Decimal
    since: float


def quote(instance_type: str, region: str, os: str = "Linux") -> Quote | None:
    """What the table has; ``None`` when the type is not sold there as spot."""
    return _table().get((instance_type, region, os))


def quotes() -> Iterator[tuple[str, str, Quote]]:
    """Type, Region and price of everything that runs Linux."""
    for (instance_type, region, os), found in _table().items():
        if os == "Linux":
            yield instance_type, region, found


def current_price(instance_type: str, region: str, zone: str | None = None) -> Decimal | None:
    """The spot price now, in the zone or in the cheapest one."""
    found = quote(instance_type, region)
    if found is None:
        return None
    return found.spot if zone is None else zone_price(found.spot, instance_type, zone, zones_of(region, instance_type))


def on_demand_price(instance_type: str, region: str) -> Decimal:
    """The price without spot; guessed from the spot price where the table has none."""
    found = quote(instance_type, region)
    if found is None:
        return Decimal("1.000000")
    return found.on_demand or (found.spot * 3).quantize(_MICRO)


def zone_price(base: Decimal, instance_type: str, zone: str, zones: Sequence[str]) -> Decimal:
    """``base`` in the cheapest of the zones, up to 40 % more in the others."""
    cheapest = min(zones, key=lambda one: _hash(instance_type, one), default=zone)
    if zone == cheapest:
        return base
    return (base * (Decimal(1000 + 20 + _hash(instance_type, zone) % 380) / 1000)).quantize(_MICRO)


def history(region: str, query: Query, zones: Sequence[str]) -> list[Change]:
    """Every change that the query asks for, newest first; the one before its start too, since it still holds."""
    changes: list[Change] = []
    for product, os in _PRODUCTS.items():
        if query.products and product not in query.products:
            continue
        # Each price would otherwise come twice: EC2 has no instances outside a VPC any more.
        if not query.products and "VPC" in product:
            continue
        for instance_type in query.types or _types(region, os):
            changes += _of_type(instance_type, region, product, os, query, zones)
    return sorted(changes, key=lambda change: (-change.since, change.instance_type, change.zone))


def _of_type(
    instance_type: str, region: str, product: str, os: str, query: Query, zones: Sequence[str]
) -> list[Change]:
    found = quote(instance_type, region, os)
    if found is None:
        return []
    offered = zones_of(region, instance_type) or zones
    changes: list[Change] = []
    for zone in offered:
        if zone in zones and (not query.zones or zone in query.zones):
            price = zone_price(found.spot, instance_type, zone, offered)
            changes += _of_zone(Change(instance_type, zone, product, price, 0.0), query)
    return changes


def _of_zone(now: Change, query: Query) -> list[Change]:
    """The changes of one zone, backwards from the current price, which is exactly the table's."""
    seed = _hash(now.instance_type, now.zone)
    period = (2 + seed % 4) * _DAY
    shift = float(seed % 86400)
    latest = int((query.now - shift) // period)
    oldest = query.now - _KEPT_DAYS * _DAY
    start = max(query.start or oldest, oldest)
    changes: list[Change] = []
    for number in range(latest, latest - int(_KEPT_DAYS * _DAY // period) - 2, -1):
        since = number * period + shift
        if query.end is None or since <= query.end:
            factor = Decimal(1000 if number == latest else 900 + _hash(now.zone, str(seed + number)) % 200) / 1000
            price = (now.price * factor).quantize(_MICRO)
            changes.append(Change(now.instance_type, now.zone, now.product, price, since))
        if since <= start:
            break
    return changes


@functools.lru_cache(maxsize=1)
def _table() -> dict[tuple[str, str, str], Quote]:
    """The shipped table. The names of its file and columns stand here only."""
    path = resources.files("spot_connect") / "data" / "spot_instance_pricing.csv"
    with path.open(encoding="utf-8") as file:
        return {
            (row["instance_type"], row["region"], row["os"]): Quote(
                Decimal(row["spot_price_usd_per_hour"]), _decimal(row)
            )
            for row in csv.DictReader(file)
        }


def _decimal(row: dict[str, str]) -> Decimal | None:
    text = row["on_demand_usd_per_hour"]
    return Decimal(text) if text else None


@functools.lru_cache(maxsize=4096)
def zones_of(region: str, instance_type: str) -> tuple[str, ...]:
    """The zones of the Region with machines of that type."""
    from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS

    offers = INSTANCE_TYPE_OFFERINGS["availability-zone"].get(region, [])
    return tuple(sorted(offer["Location"] for offer in offers if offer["InstanceType"] == instance_type))


def _types(region: str, os: str) -> list[str]:
    return [one for one, where, system in _table() if where == region and system == os]


def _hash(*words: str) -> int:
    return int.from_bytes(hashlib.sha256(" ".join(words).encode()).digest()[:6], "big")
