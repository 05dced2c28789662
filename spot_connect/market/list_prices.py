"""On-demand prices: what AWS asks today where it may be asked, else what the tables have."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal

from spot_connect.aws import on_demand
from spot_connect.core.errors import AwsError
from spot_connect.launching.realm import Realm
from spot_connect.store import tables

LIVE = "live"
TABLE = "table"
_MANY = 12
"""Above this many types one question about all of a Region, about twelve pages, is the shorter way."""

Key = tuple[str, str]
"""Type and Region."""


@dataclass(frozen=True, slots=True)
class ListPrice:
    """US dollars per hour on demand; ``source`` is ``live`` or ``table``, ``as_of`` the table's day, else empty."""

    amount: Decimal
    source: str
    as_of: str = ""


@dataclass(frozen=True, slots=True)
class ListPrices:
    """On-demand prices by type and Region; ``refused`` says why AWS did not tell, empty when it did."""

    by_key: Mapping[Key, ListPrice] = field(default_factory=dict)
    refused: str = ""

    def get(self, instance_type: str, region: str) -> ListPrice | None:
        """The price; ``None`` when nobody knows it."""
        return self.by_key.get((instance_type, region))

    def amount(self, instance_type: str, region: str) -> Decimal | None:
        """The bare figure; ``None`` when nobody knows it."""
        found = self.get(instance_type, region)
        return found.amount if found else None


def from_tables(keys: Collection[Key], refused: str = "") -> ListPrices:
    """The prices that the shipped tables have; no call is made."""
    rows = {key: tables.price(*key) for key in keys}
    found = {
        key: ListPrice(row.on_demand, TABLE, row.on_demand_as_of)
        for key, row in rows.items()
        if row and row.on_demand is not None
    }
    return ListPrices(found, refused)


def current(realm: Realm, keys: Collection[Key]) -> ListPrices:
    """The prices of today, in few calls, and those of the tables where AWS has none or does not tell.

    Never raises what AWS refuses: the prices are of use without it, and ``refused`` tells it.
    """
    stored = from_tables(keys)
    if not keys:
        return stored
    regions = {region for _, region in keys}
    # One Region is named in the question; many are one answer, which is shorter than many questions.
    region = next(iter(regions)) if len(regions) == 1 else ""
    try:
        live = _ask(realm, {kind for kind, _ in keys}, region)
    except AwsError as error:
        return ListPrices(stored.by_key, error.said or error.what)
    told = {key: ListPrice(live[key], LIVE) for key in keys if key in live}
    return ListPrices({**stored.by_key, **told})


def _ask(realm: Realm, types: Collection[str], region: str) -> dict[Key, Decimal]:
    cloud = realm.cloud(on_demand.HOME)
    if region and len(types) > _MANY:
        return on_demand.list_prices(cloud, region=region)
    with ThreadPoolExecutor(max_workers=8) as pool:
        answers = pool.map(lambda kind: on_demand.list_prices(cloud, region=region, instance_type=kind), sorted(types))
        return {key: price for answer in answers for key, price in answer.items()}
