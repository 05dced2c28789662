"""Live prices and images into the user's profiles, all at once or not at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from typing import TypeVar

from spot_connect.aws import images, prices
from spot_connect.core.errors import UsageError
from spot_connect.core.profiles import Profile, Settings
from spot_connect.launching.realm import Realm
from spot_connect.market import list_prices
from spot_connect.market.list_prices import LIVE, ListPrices
from spot_connect.store import tables
from spot_connect.store.refreshed import Refreshed
from spot_connect.store.state import State, home
from spot_connect.store.tables import ImageRow

T = TypeVar("T")
P = TypeVar("P", Profile, ImageRow)


@dataclass(frozen=True, slots=True)
class Report:
    """What a refresh did.

    ``changed`` and ``unchanged`` count profiles whose figures are now those of AWS. ``left`` has the others by name,
    with the reason. ``note`` says why on-demand prices were not read; empty when they were.
    """

    changed: int
    unchanged: int
    left: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


def refresh_prices(realm: Realm, region: str = "") -> Report:
    """Today's spot price into ``min_price``, and today's on-demand price where it was the cap.

    A cap of the user's own stays as it is, and so does no cap.

    Raises:
        UsageError: no profile is for ``region``, or a broken edit in the file.
        AwsError: AWS refused the spot prices; nothing was changed.
    """
    profiles = _wanted(realm, region)
    types = _by_region(profiles, lambda profile: profile.instance_type)
    spot = _in_each(types, lambda where: _lowest(realm, where, types[where]))
    listed = _in_each(types, lambda where: list_prices.current(realm, {(kind, where) for kind in types[where]}))
    memory = Refreshed(State(home()))
    changes: dict[str, Settings] = {}
    left: dict[str, str] = {}
    for profile in profiles:
        now = spot[profile.region].get(profile.instance_type)
        if now is None:
            left[profile.name] = f"{profile.instance_type} has no spot price in {profile.region}"
        else:
            changes[profile.name] = {"min_price": _plain(now)} | _cap(profile, listed[profile.region], memory)
    memory.remember(prices=_live(listed.values()))
    refused = next((one.refused for one in listed.values() if one.refused), "")
    return _apply(realm, changes, left, refused)


def refresh_images(realm: Realm, region: str = "") -> Report:
    """The id of the newest image of the same name into every profile whose image comes from the tables.

    An image of the user's own stays as it is, and so does an open one, which each launch looks up anyway.

    Raises:
        UsageError: no profile is for ``region``, or a broken edit in the file.
        AwsError: AWS refused; nothing was changed.
    """
    memory = Refreshed(State(home()))
    found = {profile.name: _row(profile, memory) for profile in _wanted(realm, region)}
    left = {name: row for name, row in found.items() if isinstance(row, str)}
    rows = {name: row for name, row in found.items() if isinstance(row, ImageRow)}
    asked = _by_region(rows.values(), lambda row: row.ssm_parameter)
    told = _in_each(asked, lambda where: images.newest_ids(realm.cloud(where), asked[where]))
    changes: dict[str, Settings] = {}
    for name, row in rows.items():
        newest = told[row.region].get(row.ssm_parameter)
        if newest is None:
            left[name] = f"{row.region} has no {row.ssm_parameter}"
        else:
            changes[name] = {"image_id": newest.id, "image_name": row.name}
    memory.remember(images={change["image_id"]: change["image_name"] for change in changes.values()})
    return _apply(realm, changes, left)


def _wanted(realm: Realm, region: str) -> list[Profile]:
    """The profiles, each with its Region; those of one Region only if it is given."""
    usual = realm.default_region
    loaded = (Profile.from_mapping(name, settings) for name, settings in realm.profiles.load().items())
    found = [replace(profile, region=profile.region or usual) for profile in loaded]
    some = [profile for profile in found if region in ("", profile.region)]
    if region and not some:
        raise UsageError(
            f"no profile is for {region}",
            f"they are for {', '.join(sorted({profile.region for profile in found}))}",
            f"Move them with change_default_region({region!r}).",
        )
    return some


def _by_region(things: Iterable[P], key: Callable[[P], str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for thing in things:
        found[thing.region].add(key(thing))
    return dict(found)


def _in_each(regions: Collection[str], ask: Callable[[str], T]) -> dict[str, T]:
    with ThreadPoolExecutor(max_workers=8) as pool:
        return dict(zip(regions, pool.map(ask, regions), strict=True))


def _lowest(realm: Realm, region: str, types: Collection[str]) -> dict[str, Decimal]:
    """The spot price of each type in its cheapest zone."""
    found: dict[str, Decimal] = {}
    for price in prices.spot_prices(realm.cloud(region), types):
        found[price.instance_type] = min(price.price, found.get(price.instance_type, price.price))
    return found


def _cap(profile: Profile, listed: ListPrices, memory: Refreshed) -> Settings:
    """The new cap, if the old one was an on-demand price."""
    kind, region = profile.instance_type, profile.region
    now = listed.get(kind, region)
    if profile.price is None or now is None or now.source != LIVE:
        return {}
    was = {tables.on_demand_price(kind, region), _decimal(memory.price(kind, region))}
    return {"price": _plain(now.amount)} if profile.price in was else {}


def _live(listed: Collection[ListPrices]) -> dict[tuple[str, str], str]:
    return {key: _plain(price.amount) for one in listed for key, price in one.by_key.items() if price.source == LIVE}


def _row(profile: Profile, memory: Refreshed) -> ImageRow | str:
    """The row of the tables that the profile's image comes from, or why there is none."""
    if not profile.image_id:
        return "its image is looked up at each launch"
    known = _image_by_id(profile.image_id)
    name = known.name if known else memory.image_name(profile.image_id)
    if not name:
        return f"{profile.image_id} is an image of your own"
    architecture = known.architecture if known else tables.architecture(profile.instance_type) or ""
    row = tables.fitting(_image(profile.region, architecture, name), profile.instance_type)
    if row is None or not row.ssm_parameter:
        return f"AWS does not publish the newest {name!r} in {profile.region}"
    return row


@cache
def _image_by_id(image_id: str) -> ImageRow | None:
    return tables.image_by_id(image_id)


@cache
def _image(region: str, architecture: str, name: str) -> ImageRow | None:
    return tables.image(region, architecture, name)


def _apply(realm: Realm, changes: Mapping[str, Settings], left: Mapping[str, str], note: str = "") -> Report:
    changed: list[str] = []

    def edit(profiles: dict[str, Settings]) -> dict[str, Settings]:
        # AWS was asked without the lock: a profile that went away meanwhile stays away.
        new = {name: {**old, **changes.get(name, {})} for name, old in profiles.items()}
        changed[:] = [name for name, old in profiles.items() if new[name] != old]
        return new

    edit(realm.profiles.load())
    # Without need no copy is made: a user without one goes on with the shipped profiles, also after an upgrade.
    if changed:
        realm.profiles.change(edit)
    return Report(len(changed), len(changes) - len(changed), left, note)


def _plain(value: Decimal) -> str:
    """The figure without the zeros that AWS pads it with, as the file has it."""
    return f"{value.normalize():f}"


def _decimal(text: str) -> Decimal | None:
    return Decimal(text) if text else None
