"""What runs, and what it has cost."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from spot_connect.aws import prices
from spot_connect.core.models import Instance, SpotPrice
from spot_connect.core.prices import cost_between, current
from spot_connect.launching import finding
from spot_connect.launching.realm import Realm
from spot_connect.store import tables


@dataclass(frozen=True, slots=True)
class Line:
    """One machine; ``price`` and ``cost`` in US dollars, ``None`` where no price is known."""

    instance: Instance
    price: Decimal | None
    age: timedelta
    cost: Decimal | None


def machines(realm: Realm, regions: Iterable[str], *, now: datetime | None = None) -> tuple[Line, ...]:
    """All machines we launched in the Regions with their price an hour and their cost since launch.

    The cost is what AWS bills for compute: the spot price of each moment, by the second. Volumes, addresses
    and traffic are not in it.
    """
    found = finding.everything(realm, regions)
    moment = now or datetime.now(timezone.utc)
    by_region = {instance.region: [each for each in found if each.region == instance.region] for instance in found}
    with ThreadPoolExecutor(max_workers=8) as pool:
        histories = dict(zip(by_region, pool.map(lambda r: _history(realm, r, by_region[r]), by_region), strict=True))
    return tuple(_line(instance, histories[instance.region], moment) for instance in found)


def usual_regions(realm: Realm) -> tuple[str, ...]:
    """The default Region and those where this computer has launched something."""
    return tuple(dict.fromkeys((realm.default_region, *realm.hints.regions())))


def _history(realm: Realm, region: str, found: list[Instance]) -> tuple[SpotPrice, ...]:
    spot = [instance for instance in found if instance.is_spot]
    if not spot:
        return ()
    return prices.spot_prices(
        realm.cloud(region), {each.type for each in spot}, since=min(each.launched for each in spot)
    )


def _line(instance: Instance, history: tuple[SpotPrice, ...], now: datetime) -> Line:
    age = now - instance.launched
    if not instance.is_spot:
        listed = tables.on_demand_price(instance.type, instance.region)
        hours = Decimal(age.total_seconds()) / 3600
        return Line(instance, listed, age, listed * hours if listed is not None else None)
    own = tuple(each for each in history if (each.instance_type, each.zone) == (instance.type, instance.zone))
    if not own:
        return Line(instance, None, age, None)
    price = current(own)[instance.zone].price
    return Line(instance, price, age, cost_between(own, instance.zone, instance.launched, now))
