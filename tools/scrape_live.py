"""Read from live AWS what the package ships, into a source directory for tools/build_data.py.

Usage: python tools/scrape_live.py SOURCE_DIRECTORY [--regions R,R] [--types T,T] [--local]

Regions are those that the account has enabled, types all that AWS tells. docs/data.md says which calls are made, what
they need to be allowed, and which figures no API has.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path

from spot_connect.aws import images, instance_types, networks, on_demand, prices
from spot_connect.aws.instance_types import Facts
from spot_connect.core.errors import SpotConnectError
from spot_connect.core.models import SpotPrice
from spot_connect.core.values import comma_list
from spot_connect.launching.realm import Realm, choose_realm
from spot_connect.store import tables
from spot_connect.store.tables import ImageRow

SYSTEMS = ("Linux", "Windows")
HOME = "us-east-1"

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Harvest:
    """What one Region told."""

    images: tuple[Row, ...]
    types: tuple[Facts, ...]
    prices: tuple[Row, ...]


def main(argv: Sequence[str]) -> int:
    """Write the source tables; the exit status. If AWS refuses anything, nothing is written."""
    arguments = _arguments(argv)
    try:
        return _scrape(arguments)
    except SpotConnectError as error:
        _say(f"scrape_live.py: {error}")
        return error.exit_code


def _scrape(arguments: argparse.Namespace) -> int:
    realm = choose_realm(arguments.local)
    today = datetime.now(timezone.utc).date()
    regions = arguments.regions or networks.region_names(realm.cloud(HOME))
    with ThreadPoolExecutor(max_workers=4) as pool:
        harvests = list(pool.map(lambda region: _harvest(realm, region, arguments.types, today), regions))
    target: Path = arguments.directory
    target.mkdir(parents=True, exist_ok=True)
    _write(target / "regions.csv", _region_rows(regions))
    _write(target / "images.csv", (row for harvest in harvests for row in harvest.images))
    _write(target / "spot_prices.csv", (row for harvest in harvests for row in harvest.prices))
    known = {facts.instance_type: facts for harvest in harvests for facts in harvest.types}
    _write(target / "instance_types.csv", (_type_row(facts, today) for facts in known.values()))
    # No API tells how often instances are interrupted: the shipped bands stay, with their date.
    (target / "interruption.csv").write_bytes((tables.DATA / "interruption.csv").read_bytes())
    _write(target / "dates.csv", _date_rows(today))
    _say(f"Regions: {len(regions)}, types: {len(known)}; next: python tools/build_data.py {target}")
    missing = sorted(set(tables.regions()) - set(regions))
    if missing and not arguments.regions:
        _say(f"not enabled in this account, hence left out: {', '.join(missing)}")
    return 0


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scrape_live.py", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("directory", type=Path, help="where the source tables go")
    parser.add_argument("--regions", type=_names, default=(), help="only these: us-east-1,eu-west-1")
    parser.add_argument("--types", type=_names, default=(), help="only these: t3.micro,t3.micro")
    parser.add_argument("--local", action="store_true", default=None, help="ask the local cloud")
    return parser.parse_args(argv)


def _names(text: str) -> tuple[str, ...]:
    try:
        return comma_list(text)
    except SpotConnectError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _harvest(realm: Realm, region: str, only: Collection[str], today: date) -> Harvest:
    _say(f"reading {region}")
    cloud = realm.cloud(region)
    types = instance_types.facts(cloud, only)
    names = {facts.instance_type for facts in types}
    told = [row for system in SYSTEMS for row in _prices(realm, region, system, names, only, today)]
    return Harvest(tuple(_images(realm, region)), types, tuple(told))


def _images(realm: Realm, region: str) -> Iterator[Row]:
    """The newest image of every kind that has a parameter; of the others the shipped one."""
    kinds = {(row.name, row.architecture): row for row in tables.images(HOME)}
    kinds |= {(row.name, row.architecture): row for row in tables.images(region)}
    newest = images.newest_ids(realm.cloud(region), (row.ssm_parameter for row in kinds.values() if row.ssm_parameter))
    for row in kinds.values():
        found = newest.get(row.ssm_parameter)
        if found:
            yield _image_row(row, region, found.id, found.since.date().isoformat())
        elif not row.ssm_parameter and row.region == region:
            yield _image_row(row, region, row.id, row.as_of)


def _image_row(row: ImageRow, region: str, image_id: str, as_of: str) -> Row:
    return {
        "image_name": row.name,
        "image_id": image_id,
        "region": region,
        "arch": row.architecture,
        "username": row.username,
        "family": row.family,
        "as_of": as_of,
        "ssm_parameter": row.ssm_parameter,
    }


def _prices(
    realm: Realm, region: str, system: str, types: Collection[str], only: Collection[str], today: date
) -> Iterator[Row]:
    lowest = _lowest(prices.spot_prices(realm.cloud(region), types, os=system))
    listed = _listed(realm, region, system, only)
    for kind, spot in lowest.items():
        shipped = tables.price(kind, region, system)
        price, as_of = listed.get(kind), today.isoformat()
        if price is None and shipped and shipped.on_demand is not None:
            price, as_of = shipped.on_demand, shipped.on_demand_as_of
        yield {
            "instance_type": kind,
            "region": region,
            "os": system,
            "spot_price_usd_per_hour": _figure(spot),
            # One look is one snapshot: the middle and the highest over time are that one.
            "spot_price_median_usd_per_hour": _figure(spot),
            "spot_price_max_usd_per_hour": _figure(spot),
            "spot_snapshots": "1",
            "on_demand_usd_per_hour": _figure(price),
            "on_demand_as_of": as_of if price is not None else "",
        }


def _lowest(told: Iterable[SpotPrice]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for price in told:
        found[price.instance_type] = min(price.price, found.get(price.instance_type, price.price))
    return found


def _listed(realm: Realm, region: str, system: str, only: Collection[str]) -> dict[str, Decimal]:
    cloud = realm.cloud(on_demand.HOME)
    answers = [on_demand.list_prices(cloud, region=region, instance_type=kind, os=system) for kind in only or ("",)]
    return {kind: price for answer in answers for (kind, _), price in answer.items()}


def _type_row(facts: Facts, today: date) -> Row:
    return {
        "instance_type": facts.instance_type,
        "vcpus": str(facts.vcpus),
        "memory_gib": _figure(facts.memory_gib),
        "arch": facts.architecture,
        "gpu_name": facts.gpu_name,
        "gpu_count": _figure(facts.gpu_count),
        "gpu_memory_gib": _figure(facts.gpu_memory_gib),
        "accelerator_name": facts.accelerator_name,
        "accelerator_count": str(facts.accelerator_count or ""),
        "spot": "yes" if facts.spot else "no",
        "current_generation": "yes" if facts.current_generation else "no",
        "as_of": today.isoformat(),
    }


def _region_rows(regions: Iterable[str]) -> Iterator[Row]:
    names = tables.regions()
    return ({"code": region, "name": names.get(region, region)} for region in regions)


def _date_rows(today: date) -> Iterator[Row]:
    fresh = ("ami_data.csv", "instance_types.csv", "spot_instance_pricing.csv")
    yield from ({"table": name, "as_of": today.isoformat()} for name in fresh)
    yield {"table": "interruption.csv", "as_of": tables.interruptions_date()}


def _figure(value: Decimal | None) -> str:
    return "" if value is None else f"{value.normalize():f}"


def _write(path: Path, rows: Iterable[Row]) -> None:
    found = list(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
