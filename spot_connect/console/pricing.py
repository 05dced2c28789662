"""The verb ``prices``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from spot_connect.core.errors import SpotConnectError
from spot_connect.core.prices import money
from spot_connect.core.sparkline import BARS, sparkline
from spot_connect.launching.realm import Realm, choose_realm
from spot_connect.market import ages
from spot_connect.market.list_prices import LIVE, ListPrice
from spot_connect.market.naming import check_regions, check_types
from spot_connect.market.quotes import Quote, not_sold, quotes
from spot_connect.screen.reporter import Screen
from spot_connect.screen.streams import say_json
from spot_connect.screen.tables import room_beside, show_table
from spot_connect.store.where import local_is_chosen

_COLUMNS = ("type", "zone", "now", "low", "high", "on-demand", "saving", "risk")
_USUAL = timedelta(hours=24)
_MOST_BARS = 24
_LEAST_BARS = 8


def show_prices(arguments: argparse.Namespace) -> int:
    """Print what the types cost; the exit status."""
    types = check_types(arguments.types)
    picture = _picture(arguments.plot)
    screen = Screen(local=local_is_chosen(arguments.use_local))
    realm = choose_realm(arguments.use_local, screen)
    regions = check_regions(realm, arguments.region, everywhere=arguments.all_regions)
    period = arguments.history or _USUAL
    found = quotes(realm, types, regions, period, screen)
    missing = not_sold(found, types)
    if missing:
        _tell_missing(screen, missing, regions, nothing=not found)
    if arguments.json:
        say_json([_record(realm, quote) for quote in found])
    else:
        _show(realm, screen, found, period)
    if picture:
        _draw(realm, screen, picture, found, period)
    return 0


def _picture(file: str) -> Path | None:
    from spot_connect.screen.plots import check_plot

    return check_plot(file) if file else None


def _tell_missing(screen: Screen, missing: Sequence[str], regions: Sequence[str], *, nothing: bool) -> None:
    where = ", ".join(regions) if len(regions) <= 3 else f"{len(regions)} Regions"
    what = f"{', '.join(missing)}: not sold on the spot market in {where}"
    if nothing:
        raise SpotConnectError(what, advice="Try --all-regions, or `spot_connect find` for types that are.")
    screen.warn(what)


def _show(realm: Realm, screen: Screen, found: Sequence[Quote], period: timedelta) -> None:
    columns: tuple[str, ...] = _COLUMNS
    rows = [_cells(quote) for quote in found]
    title = "LOCAL" if realm.is_local else ""
    if _is_short_of_room(columns, rows):
        title = f"{title} {rows[0][0]}".strip()
        columns, rows = columns[1:], [row[1:] for row in rows]
    bars = min(room_beside(columns, rows, BARS), _MOST_BARS)
    if bars >= _LEAST_BARS:
        columns = (*columns, f"last {_length(period)}")
        rows = [(*row, sparkline(quote.course.levels(bars))) for row, quote in zip(rows, found, strict=True)]
    show_table(columns, rows, title=title)
    screen.note(_legend(found, period))


def _is_short_of_room(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether the bars fit only without the type, which is the same in every row."""
    if len({row[0] for row in rows}) > 1 or room_beside(columns, rows, BARS) >= _LEAST_BARS:
        return False
    return room_beside(columns[1:], [row[1:] for row in rows], BARS) >= _LEAST_BARS


def _cells(quote: Quote) -> tuple[str, ...]:
    course = quote.course
    return (
        course.instance_type,
        course.zone,
        money(course.now),
        money(course.low),
        money(course.high),
        listed(quote.on_demand),
        percent(quote.saving),
        quote.band or "?",
    )


def listed(price: ListPrice | None) -> str:
    """An on-demand price in a cell; one of the shipped table is marked.

    Example:
        >>> listed(None)
        '?'
    """
    if price is None:
        return "?"
    return money(price.amount) + ("" if price.source == LIVE else "*")


def percent(value: int | None) -> str:
    """A saving in a cell.

    Example:
        >>> percent(70), percent(None)
        ('70%', '?')
    """
    return "?" if value is None else f"{value}%"


def stars(prices: Sequence[ListPrice | None]) -> str:
    """What the mark in a column of on-demand prices means; empty when none is marked."""
    days = sorted({price.as_of for price in prices if price and price.source != LIVE})
    return f"; * from the shipped table of {' and '.join(days)}" if days else ""


def bands() -> str:
    """What the column of interruption bands means, and how old they are."""
    return f"risk: share interrupted in a month ({ages.interruptions_date()})"


def _legend(found: Sequence[Quote], period: timedelta) -> str:
    marked = stars([quote.on_demand for quote in found])
    return f"US dollars per hour; low and high over the last {_length(period)}{marked}; {bands()}"


def _length(period: timedelta) -> str:
    hours = int(period.total_seconds()) // 3600
    return f"{hours}h" if hours < 48 or hours % 24 else f"{hours // 24}d"


def _record(realm: Realm, quote: Quote) -> dict[str, object]:
    course = quote.course
    return {
        "type": course.instance_type,
        "region": quote.region,
        "zone": course.zone,
        "usd_per_hour": float(course.now),
        "lowest_usd_per_hour": float(course.low),
        "highest_usd_per_hour": float(course.high),
        "hours": int((course.end - course.start).total_seconds()) // 3600,
        **list_price_record(quote.on_demand),
        "saving_percent": quote.saving,
        "interrupted": quote.band or None,
        "interrupted_as_of": ages.interruptions_date() if quote.band else None,
        "history": [{"since": one.since.isoformat(), "usd_per_hour": float(one.price)} for one in course.prices],
        "cloud": "local" if realm.is_local else "aws",
    }


def list_price_record(price: ListPrice | None) -> dict[str, object]:
    """An on-demand price as ``--json`` has it, with where it comes from."""
    return {
        "on_demand_usd_per_hour": float(price.amount) if price else None,
        "on_demand_source": price.source if price else None,
        "on_demand_as_of": (price.as_of or None) if price else None,
    }


def _draw(realm: Realm, screen: Screen, path: Path, found: Sequence[Quote], period: timedelta) -> None:
    from spot_connect.screen.plots import draw_courses

    mark = "LOCAL: " if realm.is_local else ""
    draw_courses(path, f"{mark}spot prices over the last {_length(period)}", [quote.course for quote in found])
    screen.note(f"drew {path}")
