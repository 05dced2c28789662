"""The verb ``list``."""

from __future__ import annotations

import argparse
from datetime import timedelta
from decimal import Decimal

from spot_connect.aws.networks import region_names
from spot_connect.core.prices import money
from spot_connect.launching.listing import Line, machines, usual_regions
from spot_connect.launching.realm import Realm, choose_realm
from spot_connect.screen.reporter import Screen
from spot_connect.screen.streams import say_json
from spot_connect.screen.tables import show_table
from spot_connect.store.where import local_is_chosen

_COLUMNS = ("name", "state", "type", "zone", "price/h", "age", "cost", "id")


def show(arguments: argparse.Namespace) -> int:
    """Print what runs; the exit status."""
    screen = Screen(local=local_is_chosen(arguments.use_local))
    realm = choose_realm(arguments.use_local, screen)
    regions = _regions(realm, arguments)
    lines = machines(realm, regions)
    if arguments.json:
        say_json([_record(realm, line) for line in lines])
        return 0
    if not lines:
        screen.note(f"no instances of spot-connect in {', '.join(regions)}")
        return 0
    show_table(_COLUMNS, [_cells(line) for line in lines], title="LOCAL" if realm.is_local else "")
    screen.note(_total(lines, regions))
    for instance in (line.instance for line in lines if line.instance.refused):
        screen.warn(f"nothing connects to {instance.name} ({instance.id}): {'; '.join(instance.refused)}")
    return 0


def _regions(realm: Realm, arguments: argparse.Namespace) -> tuple[str, ...]:
    if arguments.all_regions:
        return region_names(realm.cloud(realm.default_region))
    return tuple(arguments.region) or usual_regions(realm)


def _cells(line: Line) -> tuple[str, ...]:
    instance = line.instance
    return (
        instance.name,
        instance.state,
        instance.type,
        instance.zone,
        money(line.price) if line.price is not None else "?",
        _age(line.age),
        money(line.cost) if line.cost is not None else "?",
        instance.id,
    )


def _record(realm: Realm, line: Line) -> dict[str, object]:
    instance = line.instance
    return {
        "name": instance.name,
        "id": instance.id,
        "state": instance.state,
        "type": instance.type,
        "region": instance.region,
        "zone": instance.zone,
        "spot": instance.is_spot,
        "launched": instance.launched.isoformat(),
        "age_seconds": int(line.age.total_seconds()),
        "usd_per_hour": float(line.price) if line.price is not None else None,
        "usd_so_far": float(line.cost) if line.cost is not None else None,
        "address": str(instance.address or ""),
        "profile": instance.profile,
        "cloud": "local" if realm.is_local else "aws",
    }


def _age(age: timedelta) -> str:
    minutes = int(age.total_seconds()) // 60
    if minutes < 60:
        return f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours < 48 else f"{hours // 24}d{hours % 24:02}h"


def _total(lines: tuple[Line, ...], regions: tuple[str, ...]) -> str:
    an_hour = sum((line.price for line in lines if line.price is not None), Decimal(0))
    so_far = sum((line.cost for line in lines if line.cost is not None), Decimal(0))
    count = f"{len(lines)} instance{'s' if len(lines) != 1 else ''}"
    return f"{count}, {money(an_hour)} an hour, {money(so_far)} so far (compute only), in {', '.join(regions)}"
