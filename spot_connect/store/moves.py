"""Changing all profiles at once, with images and prices from the shipped tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import ROUND_CEILING, Decimal
from functools import cache

from spot_connect.core.errors import UsageError
from spot_connect.core.few import few
from spot_connect.core.images import ARCHITECTURES
from spot_connect.core.profiles import Profile, Settings, nearest
from spot_connect.store import tables
from spot_connect.store.tables import ImageRow, PriceRow

_STEP = Decimal("0.0001")
_LEAST_CAP = Decimal("0.0011")
"""EC2 accepts a maximum price only above 0.001."""


def known_region(region: str) -> str:
    """``region`` if the tables have it.

    Raises:
        UsageError: they have not; the error has the nearest codes.
    """
    codes = tables.regions()
    if region in codes:
        return region
    close = nearest(region, codes)
    advice = f"Did you mean {' or '.join(close)}?" if close else f"The Regions are {', '.join(codes)}."
    raise UsageError(f"{region!r} is not a Region in the tables", advice=advice)


def moved(profiles: Mapping[str, Settings], region: str) -> dict[str, Settings]:
    """The profiles with images and prices of ``region``; those that are there already stay as they are.

    An image becomes the one of the same name and architecture. A price that was the on-demand price becomes the
    on-demand price there; a cap of the user's own keeps its distance to the spot price where both spot prices are
    known, and else stays. A figure that no table has becomes ``None``.

    Raises:
        UsageError: the Region is unknown, or an image has no counterpart there; the error names the profiles.
    """
    known_region(region)
    checked = [Profile.from_mapping(name, settings) for name, settings in profiles.items()]
    images = {profile.name: _counterpart(profile, region) for profile in checked if profile.image_id}
    stuck = [profile.name for profile in checked if profile.region != region and images.get(profile.name, True) is None]
    if stuck:
        raise UsageError(
            f"cannot move all profiles to {region}; none was changed",
            f"no image there is known that corresponds to the one of {few(stuck)}",
            "Set their image_id and image_name to None for Amazon Linux 2023, or delete them, then repeat.",
        )
    changes = {profile.name: _move(profile, region, images.get(profile.name)) for profile in checked}
    return {name: {**settings, **changes[name]} for name, settings in profiles.items()}


def with_image(profiles: Mapping[str, Settings], row: ImageRow) -> tuple[dict[str, Settings], tuple[str, ...]]:
    """The profiles with an image of the tables, and the names of those it does not fit, which stay as they are.

    Each profile gets the image of that name in its own Region and for its own architecture.
    """
    return _with_images(profiles, lambda profile: _like(row, profile))


def with_own_image(profiles: Mapping[str, Settings], row: ImageRow) -> tuple[dict[str, Settings], tuple[str, ...]]:
    """The profiles with an image that no table has; only those in its Region, of its architecture."""

    def choose(profile: Profile) -> ImageRow | None:
        return row if (profile.region, _runs(profile)) == (row.region, row.architecture) else None

    return _with_images(profiles, choose)


def fresh(region: str, image: str, price_increase: Decimal) -> dict[str, Settings]:
    """One profile for every type sold as a Linux spot instance in ``region``, named for the type.

    Types whose architecture the image is not made for get Amazon Linux 2023.

    Args:
        region: a Region of the tables.
        image: the id, name or family of an image of the tables.
        price_increase: the cap is the spot price times this.

    Raises:
        UsageError: the Region or the image is unknown, or the cap would be below the spot price.
    """
    known_region(region)
    if not price_increase.is_finite() or price_increase < 1:
        raise UsageError(f"cannot cap prices at {price_increase} of the spot price", advice="Give a number above 1.")
    images = _images_for(region, image)
    fitting = {kind.instance_type: images.get(kind.architecture) for kind in tables.types() if kind.spot}
    rows = [
        (price, tables.fitting(fitting.get(price.instance_type), price.instance_type))
        for price in tables.prices_in(region)
    ]
    return {price.instance_type: _fresh(price, row, price_increase) for price, row in rows if row}


def _images_for(region: str, image: str) -> dict[str, ImageRow | None]:
    row = tables.image_by_id(image)
    name = row.name if row else image
    chosen = {architecture: tables.image(region, architecture, name) for architecture in ARCHITECTURES}
    if not any(chosen.values()):
        names = list(dict.fromkeys(known.name for known in tables.images(region)))
        advice = "Give the id of an image there, or one of: " + "; ".join(names) + "."
        raise UsageError(f"no image {image!r} is known in {region}", advice=advice)
    return {architecture: row or tables.default_image(region, architecture) for architecture, row in chosen.items()}


def _fresh(price: PriceRow, image: ImageRow, price_increase: Decimal) -> Settings:
    return Profile(
        name=price.instance_type,
        instance_type=price.instance_type,
        region=price.region,
        image_id=image.id,
        image_name=image.name,
        username=image.username,
        price=_cap(price.spot * price_increase),
        min_price=price.spot,
    ).to_mapping()


def _move(profile: Profile, region: str, image: ImageRow | None) -> Settings:
    if profile.region == region:
        return {}
    there = _prices(region).get(profile.instance_type)
    spot = there.spot if there else None
    change = {"region": region, "price": _text(_moved_cap(profile, there)), "min_price": _text(spot)}
    return change | ({"image_id": image.id, "image_name": image.name} if image else {})


def _moved_cap(profile: Profile, there: PriceRow | None) -> Decimal | None:
    here = _prices(profile.region).get(profile.instance_type)
    if profile.price is None:
        return None
    if here and profile.price == here.on_demand:
        return there.on_demand if there else None
    if there and profile.min_price:
        return _cap(profile.price / profile.min_price * there.spot)
    return profile.price


def _counterpart(profile: Profile, region: str) -> ImageRow | None:
    row = _image_by_id(profile.image_id)
    name = row.name if row else profile.image_name
    return tables.fitting(_image(region, row.architecture if row else _runs(profile), name), profile.instance_type)


def _like(row: ImageRow, profile: Profile) -> ImageRow | None:
    return tables.fitting(_image(profile.region or row.region, _runs(profile), row.name), profile.instance_type)


def _with_images(
    profiles: Mapping[str, Settings], choose: Callable[[Profile], ImageRow | None]
) -> tuple[dict[str, Settings], tuple[str, ...]]:
    changed: dict[str, Settings] = {}
    left = []
    for name, settings in profiles.items():
        image = choose(Profile.from_mapping(name, settings))
        if image is None:
            left.append(name)
        changed[name] = {**settings, **(_image_settings(image) if image else {})}
    return changed, tuple(left)


def _image_settings(image: ImageRow) -> Settings:
    found = {"image_id": image.id, "image_name": image.name or None, "username": image.username}
    return {key: value for key, value in found.items() if value != ""}


def _runs(profile: Profile) -> str:
    """The profile's architecture; empty for a type that is newer than the tables."""
    return _architectures().get(profile.instance_type, "")


@cache
def _architectures() -> dict[str, str]:
    return {kind.instance_type: kind.architecture for kind in tables.types()}


@cache
def _prices(region: str) -> dict[str, PriceRow]:
    return {row.instance_type: row for row in tables.prices_in(region)}


@cache
def _image(region: str, architecture: str, name: str) -> ImageRow | None:
    return tables.image(region, architecture, name)


@cache
def _image_by_id(image_id: str) -> ImageRow | None:
    return tables.image_by_id(image_id)


def _cap(value: Decimal) -> Decimal:
    return max(value.quantize(_STEP, rounding=ROUND_CEILING), _LEAST_CAP)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"
