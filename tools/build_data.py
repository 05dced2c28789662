"""Build the tables that the package ships from the source tables.

Usage: python tools/build_data.py SOURCE_DIRECTORY [TARGET_DIRECTORY]

The source directory holds images.csv, instance_types.csv, interruption.csv, regions.csv and spot_prices.csv with the
columns that spot_connect/data/SOURCES.md describes, and dates.csv if the dates of the tables have changed.
tools/scrape_live.py makes such a directory from live AWS.

Rows are written in the order of their keys, which look-ups by bisection rely on; the profiles are made from the other
tables.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from spot_connect.core.images import ARCHITECTURES, DEFAULT_IMAGE_NAME, STARTS_ANYWHERE, starts_on
from spot_connect.core.profiles import Profile, format_profiles

SHIPPED = {
    "images.csv": ("ami_data.csv", ("image_name", "region", "arch")),
    "spot_prices.csv": ("spot_instance_pricing.csv", ("instance_type", "region", "os")),
    "instance_types.csv": ("instance_types.csv", ("instance_type",)),
    "interruption.csv": ("interruption.csv", ("instance_type", "region", "os")),
    "regions.csv": ("regions.csv", ("code",)),
    "dates.csv": ("dates.csv", ("table",)),
}
"""Source file: what it is called in the package, and its key."""

OPTIONAL = ("dates.csv",)

HOME_REGION = "us-east-1"

Row = dict[str, str]


def main(argv: list[str]) -> int:
    """Write all tables; 2 when called without a source directory."""
    if not argv:
        sys.stderr.write(__doc__ or "")
        return 2
    source = Path(argv[0])
    target = Path(argv[1]) if argv[1:] else Path(__file__).parent.parent / "spot_connect" / "data"
    tables = {name: read(source / name) for name in SHIPPED if name not in OPTIONAL or (source / name).exists()}
    for name, rows in tables.items():
        shipped, key = SHIPPED[name]
        write(target / shipped, rows, key)
    made = profiles(tables["spot_prices.csv"], tables["instance_types.csv"], tables["images.csv"])
    text = format_profiles({name: profile.to_mapping() for name, profile in made.items()})
    (target / "profiles.txt").write_text(text, encoding="utf-8", newline="\n")
    return 0


def read(path: Path) -> list[Row]:
    """The rows of a table."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[Row], key: tuple[str, ...]) -> None:
    """A table sorted by its key, with LF line ends."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: [row[column] for column in key]))


def profiles(prices: list[Row], types: list[Row], images: list[Row]) -> dict[str, Profile]:
    """One profile for each type that is sold as a Linux spot instance in the home Region."""
    known = {row["instance_type"]: row for row in types}
    here = [row for row in images if row["region"] == HOME_REGION]
    by_name = {(row["image_name"], row["arch"]): row for row in here}
    sold = [row for row in prices if row["region"] == HOME_REGION and row["os"] == "Linux"]
    usable = [row for row in sold if _is_usable(known.get(row["instance_type"], {}))]
    return {
        row["instance_type"]: _profile(row, by_name[_image(row["instance_type"]), known[row["instance_type"]]["arch"]])
        for row in sorted(usable, key=lambda row: row["instance_type"])
    }


def _image(instance_type: str) -> str:
    return DEFAULT_IMAGE_NAME if starts_on(DEFAULT_IMAGE_NAME, instance_type) else STARTS_ANYWHERE


def _is_usable(kind: Mapping[str, str]) -> bool:
    return kind.get("spot") == "yes" and kind.get("arch") in ARCHITECTURES


def _profile(price: Row, image: Row) -> Profile:
    on_demand = price["on_demand_usd_per_hour"]
    return Profile(
        name=price["instance_type"],
        instance_type=price["instance_type"],
        region=HOME_REGION,
        image_id=image["image_id"],
        image_name=image["image_name"],
        username=image["username"],
        price=Decimal(on_demand) if on_demand else None,
        min_price=Decimal(price["spot_price_usd_per_hour"]),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
