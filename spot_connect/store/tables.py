"""The shipped tables: prices, instance types, images, Regions. Facts to start from, not to bet on.

Each table is sorted by its key, so that one look-up reads a few lines of it. ``data/SOURCES.md`` tells where every
figure comes from and how old it is. Prices are US dollars per hour.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from spot_connect.core.errors import StateError
from spot_connect.core.images import DEFAULT_IMAGE_NAME, STARTS_ANYWHERE, starts_on

DATA = Path(__file__).parent.parent / "data"
_PRICES = DATA / "spot_instance_pricing.csv"
_TYPES = DATA / "instance_types.csv"
_IMAGES = DATA / "ami_data.csv"
_REGIONS = DATA / "regions.csv"
_INTERRUPTIONS = DATA / "interruption.csv"
_DATES = DATA / "dates.csv"


_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class PriceRow:
    """What a type cost in a Region: spot is the lowest zone's price on the table's date, on-demand the list price."""

    instance_type: str
    region: str
    os: str
    spot: Decimal
    spot_median: Decimal | None
    spot_max: Decimal | None
    on_demand: Decimal | None
    on_demand_as_of: str


@dataclass(frozen=True, slots=True)
class TypeRow:
    """What a type is made of; GPU memory is the total of its GPUs."""

    instance_type: str
    vcpus: int
    memory_gib: Decimal
    architecture: str
    gpu_name: str
    gpu_count: Decimal | None
    gpu_memory_gib: Decimal | None
    spot: bool
    current_generation: bool


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image in one Region; ``ssm_parameter`` holds the id of its successor, and is empty where AWS has none."""

    name: str
    id: str
    region: str
    architecture: str
    username: str
    family: str
    as_of: str
    ssm_parameter: str


@dataclass(frozen=True, slots=True)
class InterruptionRow:
    """How often a type is interrupted in a Region, in a band such as ``<5%``, and the average saving in percent."""

    band: str
    savings_percent: int


def price(instance_type: str, region: str, os: str = "Linux") -> PriceRow | None:
    """The prices of a type in a Region; ``None`` when the table has no spot price there. ``os`` may be Windows."""
    fields = _find(_PRICES, instance_type, region, os)
    return _price_row(fields) if fields else None


def spot_price(instance_type: str, region: str, os: str = "Linux") -> Decimal | None:
    """The spot price of a type in a Region on the table's date.

    Example:
        >>> spot_price("t3.micro", "us-east-1") < on_demand_price("t3.micro", "us-east-1")
        True
    """
    row = price(instance_type, region, os)
    return row.spot if row else None


def on_demand_price(instance_type: str, region: str, os: str = "Linux") -> Decimal | None:
    """The list price of a type in a Region; ``None`` where no source has one."""
    row = price(instance_type, region, os)
    return row.on_demand if row else None


def prices_in(region: str, os: str = "Linux") -> Iterator[PriceRow]:
    """The prices of every type with a spot price in a Region, in the order of their names."""
    wanted = f",{region},{os},".encode()
    with _PRICES.open("rb") as file:
        for line in file:
            if wanted in line:
                yield _price_row(_fields(line))


def prices_of(types: Collection[str], regions: Collection[str], os: str = "Linux") -> Iterator[PriceRow]:
    """The prices of some types in some Regions, in one pass over the table; those without a spot price are left out."""
    kinds = {kind.encode() for kind in types}
    places = {f"{region},{os}".encode() for region in regions}
    with _PRICES.open("rb") as file:
        for line in file:
            kind, _, rest = line.partition(b",")
            if kind in kinds and b",".join(rest.split(b",", 2)[:2]) in places:
                yield _price_row(_fields(line))


def type_row(instance_type: str) -> TypeRow | None:
    """What a type is made of; ``None`` for a type the table does not know."""
    fields = _find(_TYPES, instance_type)
    return _type_row(fields) if fields else None


def types() -> Iterator[TypeRow]:
    """Every type the table knows, in the order of their names."""
    return (_type_row(fields) for fields in _rows(_TYPES))


def architecture(instance_type: str) -> str | None:
    """What a type runs, ``x86_64`` or ``arm64``; ``None`` for a type the table does not know.

    Example:
        >>> architecture("t4g.nano")
        'arm64'
    """
    fields = _find(_TYPES, instance_type)
    return _type_row(fields).architecture if fields else None


def image(region: str, architecture: str, name: str) -> ImageRow | None:
    """The image of a name or family in a Region for an architecture; ``None`` when the table has none.

    A family with several images gives the one with the stable kernel.
    """
    rows = [row for row in images(region) if row.architecture == architecture]
    named = next((row for row in rows if row.name == name), None)
    return named or next((row for row in rows if row.family == name), None)


def image_by_id(image_id: str) -> ImageRow | None:
    """The row of an image id; ``None`` for an image the table does not know."""
    wanted = f",{image_id},".encode()
    with _IMAGES.open("rb") as file:
        return next((_image_row(_fields(line)) for line in file if wanted in line), None)


def default_image(region: str, architecture: str) -> ImageRow | None:
    """The image that shipped profiles have: Amazon Linux 2023 with its stable kernel.

    Example:
        >>> default_image("eu-west-1", "arm64").username
        'ec2-user'
    """
    return image(region, architecture, DEFAULT_IMAGE_NAME)


def fitting(row: ImageRow | None, instance_type: str) -> ImageRow | None:
    """The image itself, or another one of its Region where images like it do not start on the type.

    Example:
        >>> fitting(default_image("eu-west-1", "arm64"), "a1.medium").family
        'ubuntu-24.04'
    """
    if row is None or starts_on(row.name, instance_type):
        return row
    return image(row.region, row.architecture, STARTS_ANYWHERE)


def images(region: str) -> Iterator[ImageRow]:
    """Every image of a Region."""
    wanted = f",{region},".encode()
    with _IMAGES.open("rb") as file:
        for line in file:
            if wanted in line:
                yield _image_row(_fields(line))


def regions() -> dict[str, str]:
    """The Regions, code to name: those of the ``aws`` partition, neither China nor GovCloud.

    Example:
        >>> regions()["us-east-1"]
        'US East (N. Virginia)'
    """
    return dict(_made(lambda code, name, *_: (code, name), fields) for fields in _rows(_REGIONS))


def interruption(instance_type: str, region: str, os: str = "Linux") -> InterruptionRow | None:
    """How often a type was interrupted in a Region; ``None`` when the advisor has no figure."""
    fields = _find(_INTERRUPTIONS, instance_type, region, os)
    return _made(lambda *row: InterruptionRow(row[3], int(row[4] or 0)), fields) if fields else None


def prices_date() -> str:
    """The day of the spot prices, as ``2026-01-19``; the on-demand price of each row has a date of its own."""
    return _date(_PRICES)


def interruptions_date() -> str:
    """The day of the interruption bands."""
    return _date(_INTERRUPTIONS)


def _date(table: Path) -> str:
    return next((fields[1] for fields in _rows(_DATES) if fields[:1] == [table.name] and fields[1:]), "an unknown day")


def _find(path: Path, *key: str) -> list[str] | None:
    """The row that starts with ``key``, by bisection: the comma sorts before every character of a key."""
    wanted = "".join(f"{part}," for part in key).encode()
    with path.open("rb") as file:
        file.readline()
        low, high = file.tell(), path.stat().st_size
        while low < high:
            middle = (low + high) // 2
            file.seek(middle - 1)
            file.readline()  # ends where the first line at or after the middle begins
            start, line = file.tell(), file.readline()
            if start < high and line < wanted:
                low = start + len(line)
            else:
                high = middle
        file.seek(low)
        line = file.readline()
    return _fields(line) if line.startswith(wanted) else None


def _rows(path: Path) -> Iterator[list[str]]:
    with path.open("rb") as file:
        file.readline()
        for line in file:
            yield _fields(line)


def _fields(line: bytes) -> list[str]:
    try:
        return next(csv.reader([line.decode()]), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise _damaged(repr(line)) from error


def _made(make: Callable[..., _Row], fields: list[str]) -> _Row:
    """What a row is, from its fields."""
    try:
        return make(*fields)
    except (TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise _damaged(repr(",".join(fields))) from error


def _damaged(row: str) -> StateError:
    return StateError(f"cannot read a table in {DATA}", f"no row of it is {row[:100]}", "Install spot-connect again.")


def _image_row(fields: list[str]) -> ImageRow:
    return _made(ImageRow, fields)


def _price_row(fields: list[str]) -> PriceRow:
    return _made(_price_row_of, fields)


def _price_row_of(*fields: str) -> PriceRow:
    kind, region, os, spot, median, highest, _, on_demand, as_of = fields
    return PriceRow(kind, region, os, Decimal(spot), _decimal(median), _decimal(highest), _decimal(on_demand), as_of)


def _type_row(fields: list[str]) -> TypeRow:
    return _made(_type_row_of, fields)


def _type_row_of(*fields: str) -> TypeRow:
    kind, vcpus, memory, arch, gpu, gpus, gpu_memory, _, _, spot, current, _ = fields
    return TypeRow(
        kind,
        int(vcpus),
        Decimal(memory),
        arch,
        gpu,
        _decimal(gpus),
        _decimal(gpu_memory),
        spot == "yes",
        current == "yes",
    )


def _decimal(text: str) -> Decimal | None:
    return Decimal(text) if text else None
