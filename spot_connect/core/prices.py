"""Spot prices: which zone is cheapest, and what a run has cost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from spot_connect.core.errors import SpotConnectError, UsageError
from spot_connect.core.models import SpotPrice

SHORTEST_BILLED = timedelta(seconds=60)
"""EC2 bills by the second, but never less than this: https://aws.amazon.com/ec2/pricing/on-demand/."""

_HOUR = Decimal(3600 * 10**6)


def current(prices: Sequence[SpotPrice]) -> dict[str, SpotPrice]:
    """The newest price in each zone, for the prices of one instance type."""
    newest: dict[str, SpotPrice] = {}
    for price in prices:
        known = newest.get(price.zone)
        if known is None or price.since > known.since:
            newest[price.zone] = price
    return newest


def order_zones(prices: Sequence[SpotPrice], zones: Sequence[str]) -> tuple[str, ...]:
    """``zones`` by the current price of one instance type, cheapest first.

    Zones without a known price come last; zones that are equal keep their order.
    """
    known = current(prices)

    def rank(zone: str) -> tuple[bool, Decimal]:
        return (False, known[zone].price) if zone in known else (True, Decimal(0))

    return tuple(sorted(zones, key=rank))


def cost_between(prices: Sequence[SpotPrice], zone: str, start: datetime, end: datetime) -> Decimal:
    """US dollars, not rounded, that one instance in ``zone`` cost from ``start`` to ``end``.

    AWS charges the spot price of each moment, by the second, with 60 seconds as the least. The price before the
    first known one is taken to be that one.

    Args:
        prices: the price history of one instance type; other zones in it are ignored.
        zone: the availability zone the instance ran in.
        start: when the instance was running, with a time zone.
        end: when it ended.

    Raises:
        UsageError: ``end`` is before ``start``.
        SpotConnectError: there is no price for the zone.
    """
    if end < start:
        raise UsageError("cannot tell the cost of a time that ends before it starts", f"{start} to {end}")
    history = sorted((price for price in prices if price.zone == zone), key=lambda price: price.since)
    if not history:
        raise SpotConnectError(f"cannot tell the cost in {zone}", "its spot prices are not known")
    end = max(end, start + SHORTEST_BILLED)
    begins = [start, *(price.since for price in history[1:])]
    ends = [*begins[1:], end]
    total = Decimal(0)
    for price, begin, finish in zip(history, begins, ends, strict=True):
        total += price.price * _microseconds(max(begin, start), min(finish, end))
    return total / _HOUR


def saving(spot: Decimal, on_demand: Decimal | None) -> int | None:
    """By how many percent spot is below on-demand; ``None`` when that price is not known.

    Example:
        >>> saving(Decimal("0.03"), Decimal("0.10"))
        70
    """
    if not on_demand:
        return None
    return int(((1 - spot / on_demand) * 100).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def money(value: Decimal) -> str:
    """US dollars to read: two to four decimals.

    Example:
        >>> money(Decimal("0.0052")), money(Decimal("3")), money(Decimal("0.00001"))
        ('$0.0052', '$3.00', '<$0.0001')
    """
    if 0 < value < Decimal("0.00005"):
        return "<$0.0001"
    digits = f"{abs(value).quantize(Decimal('0.0001'), rounding=ROUND_HALF_UP):,f}"
    whole, _, fraction = digits.partition(".")
    return f"{'-' if value < 0 else ''}${whole}.{fraction.rstrip('0').ljust(2, '0')}"


def _microseconds(begin: datetime, end: datetime) -> int:
    return max(end - begin, timedelta(0)) // timedelta(microseconds=1)
