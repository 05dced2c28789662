"""The cheapest types that fit, from the shipped tables or at the prices of this moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from spot_connect.aws import prices
from spot_connect.core.errors import SpotConnectError, UsageError
from spot_connect.core.images import ARCHITECTURES
from spot_connect.core.models import SpotPrice
from spot_connect.core.offers import Needs, Offer, cheapest, plain_name
from spot_connect.core.prices import saving
from spot_connect.core.profiles import nearest
from spot_connect.core.reporting import Reporter
from spot_connect.launching.realm import Realm
from spot_connect.market import list_prices
from spot_connect.market.asking import ask_each
from spot_connect.market.list_prices import ListPrice, ListPrices
from spot_connect.store import tables
from spot_connect.store.tables import TypeRow


@dataclass(frozen=True, slots=True)
class Found:
    """An offer with what it compares to; ``band`` is the share interrupted in a month, empty where not known."""

    offer: Offer
    on_demand: ListPrice | None
    band: str

    @property
    def saving(self) -> int | None:
        """Percent below on-demand; ``None`` where that price is not known."""
        return saving(self.offer.spot, self.on_demand.amount if self.on_demand else None)


def check_gpu(name: str) -> str:
    """The GPU's name as the tables write it; empty stays empty.

    Raises:
        UsageError: no type has such a GPU; the error has the names there are.

    Example:
        >>> check_gpu("a10g")
        'A10G'
    """
    if not name:
        return ""
    names = sorted({kind.gpu_name for kind in tables.types()} - {""})
    found = next((known for known in names if plain_name(known) == plain_name(name)), "")
    if not found:
        close = nearest(name.upper(), names)
        advice = f"Did you mean {' or '.join(close)}?" if close else f"There are {', '.join(names)}."
        raise UsageError(f"no instance type has the GPU {name!r}", advice=advice)
    return found


def stored(needs: Needs, regions: Sequence[str], count: int) -> tuple[Found, ...]:
    """The ``count`` cheapest types that fit, at the prices of the shipped tables; no call is made.

    Raises:
        SpotConnectError: nothing fits.
    """
    fitting = {name: kind for name, kind in _fitting(needs).items() if kind.spot}
    rows = tables.prices_of(fitting, regions)
    offers = (Offer(fitting[row.instance_type], row.region, row.spot) for row in rows)
    found = _some(cheapest(offers, needs, count), regions)
    return _compared(found, list_prices.from_tables(_keys(found)))


def live(realm: Realm, needs: Needs, regions: Sequence[str], count: int, reporter: Reporter) -> tuple[Found, ...]:
    """The same at the prices of this moment, each in its cheapest zone.

    One call to EC2 for each Region (and each further thousand prices), then one to the Price List for each type found.

    Raises:
        SpotConnectError: nothing fits.
        AwsError: no Region answered.
    """
    fitting = _fitting(needs)
    told = ask_each(regions, lambda region: prices.spot_prices(realm.cloud(region), fitting), reporter)
    offers = (offer for region in told for offer in _offers(told[region], region, fitting))
    found = _some(cheapest(offers, needs, count), regions)
    listed = list_prices.current(realm, _keys(found))
    if listed.refused:
        reporter.note(f"on-demand prices are those of the shipped table: {listed.refused}")
    return _compared(found, listed)


def _fitting(needs: Needs) -> dict[str, TypeRow]:
    """The types that images are made for and that have what is needed, by name."""
    usable = (kind for kind in tables.types() if kind.architecture in ARCHITECTURES)
    return {kind.instance_type: kind for kind in usable if needs.met_by(kind)}


def _offers(told: Iterable[SpotPrice], region: str, fitting: dict[str, TypeRow]) -> Iterator[Offer]:
    lowest: dict[str, SpotPrice] = {}
    for price in told:
        known = lowest.get(price.instance_type)
        if known is None or price.price < known.price:
            lowest[price.instance_type] = price
    for kind, price in lowest.items():
        yield Offer(fitting[kind], region, price.price, price.zone)


def _some(found: tuple[Offer, ...], regions: Sequence[str]) -> tuple[Offer, ...]:
    if not found:
        where = regions[0] if len(regions) == 1 else f"{len(regions)} Regions"
        raise SpotConnectError(
            f"no instance type in {where} has all that",
            advice="Ask for less, for another Region with -reg, or for --all-regions; --live also sees new types.",
        )
    return found


def _keys(found: Iterable[Offer]) -> set[tuple[str, str]]:
    return {(offer.hardware.instance_type, offer.region) for offer in found}


def _compared(found: Iterable[Offer], listed: ListPrices) -> tuple[Found, ...]:
    return tuple(_one(offer, listed) for offer in found)


def _one(offer: Offer, listed: ListPrices) -> Found:
    key = (offer.hardware.instance_type, offer.region)
    known = tables.interruption(*key)
    return Found(offer, listed.get(*key), known.band if known else "")
