"""The shipped tables: every look-up against a plain reading of the files, and the facts the profiles are made from."""

from __future__ import annotations

import csv
import runpy
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot_connect.core.images import ARCHITECTURES, DEFAULT_IMAGE_NAME, starts_on
from spot_connect.core.profiles import KEYS, parse_profiles
from spot_connect.store import moves, tables, type_profiles
from spot_connect.store.profiles import SHIPPED

PRICES = list(csv.DictReader((tables.DATA / "spot_instance_pricing.csv").open(encoding="utf-8")))
TYPES = list(csv.DictReader((tables.DATA / "instance_types.csv").open(encoding="utf-8")))
IMAGES = list(csv.DictReader((tables.DATA / "ami_data.csv").open(encoding="utf-8")))
INTERRUPTIONS = list(csv.DictReader((tables.DATA / "interruption.csv").open(encoding="utf-8")))
EDGES = [PRICES[0], PRICES[1], PRICES[-2], PRICES[-1]]


def decimal(text):
    return Decimal(text) if text else None


@given(st.sampled_from(PRICES))
def test_any_price_is_found(row):
    check_price(row)


@pytest.mark.parametrize("row", EDGES)
def test_the_first_and_the_last_price_are_found(row):
    check_price(row)


def check_price(row):
    key = row["instance_type"], row["region"], row["os"]
    found = tables.price(*key)
    assert found
    assert (found.instance_type, found.region, found.os) == key
    assert found.spot == Decimal(row["spot_price_usd_per_hour"])
    assert found.on_demand == decimal(row["on_demand_usd_per_hour"])
    assert found.spot_median == decimal(row["spot_price_median_usd_per_hour"])
    assert tables.spot_price(*key) == found.spot
    assert tables.on_demand_price(*key) == found.on_demand


@given(st.text(max_size=12), st.text(max_size=12))
def test_what_is_not_there_is_none(instance_type, region):
    assert tables.price(instance_type, region) is None


@pytest.mark.parametrize(
    "key", [("a0", "x"), ("zzz", "x"), ("t3.micro", "us-east-"), ("t3.micr", "us-east-1"), ("", "")]
)
def test_what_is_nearly_there_is_none(key):
    assert tables.price(*key) is None
    assert tables.spot_price(*key) is None
    assert tables.on_demand_price(*key) is None
    assert tables.interruption(*key) is None


def test_every_type_is_found():
    for row in TYPES:
        found = tables.type_row(row["instance_type"])
        assert found
        assert found.instance_type == row["instance_type"]
        assert found.memory_gib == Decimal(row["memory_gib"])
        assert found.spot == (row["spot"] == "yes")
        assert tables.architecture(row["instance_type"]) == row["arch"] == found.architecture


def test_an_unknown_type_is_none():
    assert tables.type_row("t9.mega") is None
    assert tables.architecture("t9.mega") is None


@given(st.sampled_from(INTERRUPTIONS))
def test_any_interruption_rate_is_found(row):
    found = tables.interruption(row["instance_type"], row["region"], row["os"])
    assert found == tables.InterruptionRow(row["interruption_rate_band"], int(row["savings_pct"]))


def test_images_are_found_by_id_and_by_name():
    for row in IMAGES[::7]:
        found = tables.image_by_id(row["image_id"])
        assert found
        assert (found.id, found.name, found.region) == (row["image_id"], row["image_name"], row["region"])
        assert tables.image(row["region"], row["arch"], row["image_name"]) == found


def test_a_family_gives_its_stable_image():
    for architecture in ARCHITECTURES:
        found = tables.image("eu-west-1", architecture, "amazon-linux-2023")
        assert found == tables.default_image("eu-west-1", architecture)
        assert found.name == DEFAULT_IMAGE_NAME


def test_every_region_has_a_default_image_for_both_architectures():
    for region in tables.regions():
        assert all(tables.default_image(region, architecture) for architecture in ARCHITECTURES)


def test_images_that_are_not_there_are_none():
    assert tables.image_by_id("ami-00000000000000000") is None
    assert tables.image("eu-west-1", "x86_64", "windows") is None
    assert tables.image("nowhere", "x86_64", DEFAULT_IMAGE_NAME) is None


def test_the_prices_of_a_region_are_all_of_them():
    expected = [row["instance_type"] for row in PRICES if row["region"] == "eu-west-1" and row["os"] == "Windows"]
    assert [row.instance_type for row in tables.prices_in("eu-west-1", "Windows")] == expected


@pytest.mark.parametrize(
    ("name", "columns"), [("spot_instance_pricing", 3), ("instance_types", 1), ("interruption", 3), ("regions", 1)]
)
def test_tables_are_sorted_as_the_search_needs_them(name, columns):
    lines = (tables.DATA / f"{name}.csv").read_bytes().splitlines()[1:]
    assert lines == sorted(lines)
    assert len({tuple(line.split(b",")[:columns]) for line in lines}) == len(lines)


def test_shipped_profiles_are_what_the_tables_say():
    profiles = parse_profiles(SHIPPED.read_text(encoding="utf-8"), "profiles.txt")
    here = {row["instance_type"]: row for row in PRICES if (row["region"], row["os"]) == ("us-east-1", "Linux")}
    spot = {row["instance_type"]: row["arch"] for row in TYPES if row["spot"] == "yes"}
    assert list(profiles) == sorted(set(here) & set(spot))
    for name, settings in profiles.items():
        assert sorted(settings) == list(KEYS)
        assert settings["instance_type"] == name
        assert settings["image_id"] == tables.fitting(tables.default_image("us-east-1", spot[name]), name).id
        assert decimal(settings["price"]) == decimal(here[name]["on_demand_usd_per_hour"])
        assert decimal(settings["min_price"]) == Decimal(here[name]["spot_price_usd_per_hour"])
        assert (settings["efs_mount"], settings["firewall_ingress"], settings["scripts"]) == (False, None, [])
        assert settings["region"] == "us-east-1"


def test_the_tables_can_be_built_again_from_themselves(tmp_path, monkeypatch):
    script = Path(__file__).parents[2] / "tools" / "build_data.py"
    build = runpy.run_path(str(script))
    source = tmp_path / "source"
    source.mkdir()
    for name, (shipped, _key) in build["SHIPPED"].items():
        (source / name).write_bytes((tables.DATA / shipped).read_bytes())
    target = tmp_path / "target"
    target.mkdir()
    assert build["main"]([str(source), str(target)]) == 0
    for path in target.iterdir():
        assert path.read_bytes() == (tables.DATA / path.name).read_bytes()
    assert build["main"]([]) == 2


def test_the_dates_of_the_tables_are_days():
    for day in (tables.prices_date(), tables.interruptions_date()):
        assert date.fromisoformat(day).year >= 2025


def test_every_shipped_profile_has_an_image_that_its_type_starts():
    wrong = []
    for name, settings in parse_profiles(SHIPPED.read_text(encoding="utf-8"), "profiles.txt").items():
        row = tables.image_by_id(settings["image_id"])
        architecture = tables.architecture(settings["instance_type"])
        if (row.architecture, row.name, row.username) != (architecture, settings["image_name"], settings["username"]):
            wrong.append(name)
        if not starts_on(row.name, settings["instance_type"]):
            wrong.append(name)
    assert not wrong


def test_a_type_that_amazon_linux_2023_does_not_start_on_gets_another_image_in_every_region():
    for region in tables.regions():
        made = type_profiles.of_type("a1.medium", region)
        assert starts_on(made.image_name, "a1.medium")
        moved = moves.fresh(region, "amazon-linux-2023", Decimal("1.5")).get("a1.medium", {"image_name": ""})
        assert starts_on(moved["image_name"], "a1.medium")
