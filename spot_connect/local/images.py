"""Machine images of this cloud: those of moto and those of the shipped table."""

from __future__ import annotations

import csv
import functools
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from importlib import resources
from typing import Any

_LOGINS = (("ubuntu", "ubuntu"), ("debian", "admin"), ("rocky", "rocky"), ("centos", "centos"), ("fedora", "fedora"))
_OWNERS = {"ubuntu": "099720109477", "debian": "136693071363", "rhel": "309956199498", "rocky": "792107900819"}
_OWNER_LOGINS = {"099720109477": "ubuntu", "136693071363": "admin", "792107900819": "rocky"}
_AMAZON = "137112412989"
_BEST_KNOWN = "us-east-1"
# "al2023-ami-2023.12.20260925.0" holds the date without dots, and before it what only looks like one.
_DATES = (re.compile(r"(20[12]\d)([01]\d)([0-3]\d)"), re.compile(r"(20[12]\d)[.-]([01]\d)[.-]([0-3]\d)"))
_UNDATED = datetime(2020, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class Known:
    """An image of the table."""

    id: str
    name: str
    architecture: str
    owner: str
    root_device: str
    made: str
    parameter: str


def known(region: str) -> tuple[Known, ...]:
    """The images of the table in that Region; of one that it does not know, those of a known one under other ids."""
    return _table().get(region) or tuple(
        replace(image, id=f"ami-{hashlib.sha256(f'{region} {image.id}'.encode()).hexdigest()[:17]}")
        for image in _table()[_BEST_KNOWN]
    )


def is_in_table(region: str) -> bool:
    """Whether the table has images of that Region; it has none of China and GovCloud."""
    return region in _table()


def parameters(region: str, prefix: str) -> Iterator[tuple[str, str]]:
    """Names of public parameters that begin with ``prefix``, and the image ids they hold."""
    for image in known(region):
        if image.parameter.startswith(prefix):
            yield image.parameter, image.id


def login_name(instance: Any) -> str:
    """The user that the image of the instance makes at first boot."""
    image = instance.ec2_backend.amis.get(instance.image_id)
    if image is None:
        return "ec2-user"
    if image.owner_id in _OWNER_LOGINS:
        return _OWNER_LOGINS[image.owner_id]
    name = (image.name or "").lower()
    return next((login for word, login in _LOGINS if word in name), "ec2-user")


def creation_date(name: str | None) -> datetime:
    """When the image was made, which most names tell."""
    found = next(filter(None, (date.search(name or "") for date in _DATES)), None)
    if found is None:
        return _UNDATED
    try:
        return datetime(int(found[1]), int(found[2]), int(found[3]), tzinfo=timezone.utc)
    except ValueError:
        return _UNDATED


@functools.lru_cache(maxsize=1)
def _table() -> dict[str, tuple[Known, ...]]:
    """The shipped table by Region. The names of its file and columns stand here only."""
    path = resources.files("spot_connect") / "data" / "ami_data.csv"
    found: dict[str, list[Known]] = {}
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["region"], []).append(_known(row))
    return {region: tuple(images) for region, images in found.items()}


def _known(row: dict[str, str]) -> Known:
    family = row["family"]
    owner = next((number for word, number in _OWNERS.items() if word in family), _AMAZON)
    return Known(
        id=row["image_id"],
        name=f"{row['image_name']} {row['arch']} {row['as_of']}",
        architecture=row["arch"],
        owner=owner,
        root_device="/dev/xvda" if owner in (_AMAZON, _OWNERS["debian"]) else "/dev/sda1",
        made=row["as_of"],
        parameter=row["ssm_parameter"],
    )
