"""Spot prices of chosen types, zone by zone, with what they compare to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from spot_connect.aws import prices
from spot_connect.core.price_course import Course, courses
from spot_connect.core.prices import saving
from spot_connect.core.reporting import Reporter
from spot_connect.launching.realm import Realm
from spot_connect.market import list_prices
from spot_connect.market.asking import ask_each
from spot_connect.market.list_prices import ListPrice, ListPrices
from spot_connect.store import tables


@dataclass(frozen=True, slots=True)
class Quote:
    """What a type costs in one zone. ``band`` is the share that is interrupted in a month, empty where not known."""

    region: str
    course: Course
    on_demand: ListPrice | None
    band: str

    @property
    def saving(self) -> int | None:
        """Percent below on-demand; ``None`` where that price is not known."""
        return saving(self.course.now, self.on_demand.amount if self.on_demand else None)


def quotes(
    realm: Realm,
    types: Sequence[str],
    regions: Sequence[str],
    period: timedelta,
    reporter: Reporter,
    *,
    now: datetime | None = None,
) -> tuple[Quote, ...]:
    """The prices of the types in every zone that sells them, in the order of types and Regions.

    One call to EC2 for each Region and one to the Price List for each type, all at once. A Region that refuses is
    passed over with a warning as long as another one answers.

    Args:
        realm: AWS or the local cloud.
        types: instance types.
        regions: Region codes.
        period: how far back the lowest and the highest price reach; EC2 keeps 90 days.
        reporter: hears of what could not be read.
        now: the end of the period, for tests.

    Raises:
        AwsError: no Region answered.
    """
    end = now or datetime.now(timezone.utc)
    keys = {(kind, region) for kind in types for region in regions}
    with ThreadPoolExecutor(max_workers=1) as pool:
        pending = pool.submit(list_prices.current, realm, keys)
        told = ask_each(regions, lambda region: prices.spot_prices(realm.cloud(region), types, end - period), reporter)
        listed = pending.result()
    if listed.refused:
        reporter.note(f"on-demand prices are those of the shipped table: {listed.refused}")
    made = [_quote(region, course, listed) for region in told for course in courses(told[region], end - period, end)]
    return tuple(sorted(made, key=lambda quote: _place(quote, types, regions)))


def not_sold(found: Collection[Quote], types: Sequence[str]) -> tuple[str, ...]:
    """The types without a price in any of the zones."""
    sold = {quote.course.instance_type for quote in found}
    return tuple(kind for kind in types if kind not in sold)


def _quote(region: str, course: Course, listed: ListPrices) -> Quote:
    known = tables.interruption(course.instance_type, region)
    return Quote(region, course, listed.get(course.instance_type, region), known.band if known else "")


def _place(quote: Quote, types: Sequence[str], regions: Sequence[str]) -> tuple[int, int, str]:
    course = quote.course
    return (types.index(course.instance_type), regions.index(quote.region), course.zone)
