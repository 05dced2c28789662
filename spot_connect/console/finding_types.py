"""The verb ``find``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from decimal import Decimal

from spot_connect.console.pricing import bands, list_price_record, listed, percent, stars
from spot_connect.core.offers import Needs
from spot_connect.core.prices import money
from spot_connect.launching.realm import choose_realm
from spot_connect.market import ages, fitting
from spot_connect.market.fitting import Found
from spot_connect.market.naming import check_regions
from spot_connect.screen.reporter import Screen
from spot_connect.screen.streams import say_json
from spot_connect.screen.tables import show_table
from spot_connect.store.where import local_is_chosen

_COLUMNS = ("type", "vcpus", "GiB", "gpu", "price/h", "on-demand", "saving", "risk", "region")


def show_types(arguments: argparse.Namespace) -> int:
    """Print the cheapest types that fit; the exit status."""
    needs = _needs(arguments)
    # Tables need no cloud, so nothing of theirs is a rehearsal.
    screen = Screen(local=local_is_chosen(arguments.use_local) and arguments.live)
    realm = choose_realm(arguments.use_local, screen)
    regions = check_regions(realm, arguments.region, everywhere=arguments.all_regions, ask=arguments.live)
    if arguments.live:
        found = fitting.live(realm, needs, regions, arguments.number, screen)
    else:
        found = fitting.stored(needs, regions, arguments.number)
    if arguments.json:
        say_json([_record(one, live=arguments.live) for one in found])
        return 0
    show_table(_COLUMNS, [_cells(one) for one in found], title="LOCAL" if realm.is_local and arguments.live else "")
    screen.note(_legend(found, live=arguments.live))
    screen.note(f"launch the first: spot_connect -n NAME -p {_type(found[0])} -reg {found[0].offer.region}")
    return 0


def _needs(arguments: argparse.Namespace) -> Needs:
    return Needs(
        vcpus=arguments.vcpus,
        memory_gib=Decimal(arguments.memory),
        gpu=fitting.check_gpu(arguments.gpu),
        gpus=arguments.gpus,
        gpu_memory_gib=Decimal(arguments.gpu_memory),
        architecture=arguments.arch,
        current=arguments.current,
        max_price=arguments.max_price,
    )


def _type(found: Found) -> str:
    return found.offer.hardware.instance_type


def _cells(found: Found) -> tuple[str, ...]:
    kind = found.offer.hardware
    return (
        kind.instance_type,
        str(kind.vcpus),
        f"{kind.memory_gib:f}",
        _gpu(found),
        money(found.offer.spot),
        listed(found.on_demand),
        percent(found.saving),
        found.band or "?",
        found.offer.region,
    )


def _gpu(found: Found) -> str:
    kind = found.offer.hardware
    if not kind.gpu_name:
        return "-"
    memory = f" {kind.gpu_memory_gib:f} GiB" if kind.gpu_memory_gib else ""
    return f"{kind.gpu_count or 1:f} {kind.gpu_name}{memory}"


def _legend(found: Sequence[Found], *, live: bool) -> str:
    told = "live prices" if live else f"spot prices of {ages.prices_date()} from the shipped table (now: --live)"
    return f"{told}, cheapest zone, US dollars{stars([one.on_demand for one in found])}; {bands()}"


def _record(found: Found, *, live: bool) -> dict[str, object]:
    kind = found.offer.hardware
    return {
        "type": kind.instance_type,
        "region": found.offer.region,
        "zone": found.offer.zone or None,
        "vcpus": kind.vcpus,
        "memory_gib": float(kind.memory_gib),
        "arch": kind.architecture,
        "gpu": kind.gpu_name or None,
        "gpus": float(kind.gpu_count) if kind.gpu_count else None,
        "gpu_memory_gib": float(kind.gpu_memory_gib) if kind.gpu_memory_gib else None,
        "current_generation": kind.current_generation,
        "usd_per_hour": float(found.offer.spot),
        "source": "live" if live else "table",
        "as_of": None if live else ages.prices_date(),
        **list_price_record(found.on_demand),
        "saving_percent": found.saving,
        "interrupted": found.band or None,
        "interrupted_as_of": ages.interruptions_date() if found.band else None,
    }
