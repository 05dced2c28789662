"""The shipped files can be made again from a live cloud, by the two scripts that docs/data.md names."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spot_connect.core.profiles import parse_profiles
from spot_connect.store import tables

ROOT = Path(__file__).resolve().parents[3]
SMALL = ("--regions", "us-east-1", "--types", "t2.micro,t3.micro")


def run(script, *words, home, **variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(
        [sys.executable, str(ROOT / "tools" / script), *map(str, words)],
        env=kept | {"SPOT_CONNECT_HOME": str(home), "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def made(cloud_home, tmp_path_factory):
    """The files that would be shipped, of two types in one Region."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
    scraped = run("scrape_live.py", source, *SMALL, "--local", home=cloud_home)
    assert scraped.returncode == 0, scraped.stderr
    built = run("build_data.py", source, target, home=cloud_home)
    assert built.returncode == 0, built.stderr
    return target


def test_it_makes_every_file_with_the_columns_that_are_shipped(made):
    assert sorted(path.name for path in made.iterdir()) == sorted(
        path.name for path in tables.DATA.iterdir() if path.suffix in (".csv", ".txt")
    )
    for path in made.glob("*.csv"):
        heading = path.read_text(encoding="utf-8").partition("\n")[0]
        assert heading == (tables.DATA / path.name).read_text(encoding="utf-8").partition("\n")[0]


def test_prices_and_types_are_those_of_the_cloud(made):
    found = {row["instance_type"]: row for row in rows(made / "spot_instance_pricing.csv") if row["os"] == "Linux"}
    assert list(found) == ["t2.micro", "t3.micro"]
    for name, row in found.items():
        known = tables.price(name, "us-east-1")
        assert row["spot_price_usd_per_hour"] == f"{known.spot:f}"
        assert row["on_demand_usd_per_hour"] == f"{known.on_demand:f}"
        assert row["on_demand_as_of"] > known.on_demand_as_of
    old = {row["instance_type"]: row for row in rows(tables.DATA / "instance_types.csv")}
    for row in rows(made / "instance_types.csv"):
        assert {**row, "as_of": ""} == {**old[row["instance_type"]], "as_of": ""}


def test_images_are_the_newest_and_those_without_a_parameter_stay(made):
    found = rows(made / "ami_data.csv")
    assert {(row["image_name"], row["arch"]) for row in found} == {
        (row.name, row.architecture) for row in tables.images("us-east-1")
    }
    stay = [row for row in found if not row["ssm_parameter"]]
    assert stay
    assert all(tables.image_by_id(row["image_id"]).as_of == row["as_of"] for row in stay)


def test_the_profiles_are_made_from_them(made):
    profiles = parse_profiles((made / "profiles.txt").read_text(encoding="utf-8"), "profiles.txt")
    assert list(profiles) == ["t2.micro", "t3.micro"]
    images = {row["image_id"] for row in rows(made / "ami_data.csv")}
    assert all(settings["image_id"] in images for settings in profiles.values())


def test_the_dates_say_what_is_new_and_what_is_not(made):
    dates = {row["table"]: row["as_of"] for row in rows(made / "dates.csv")}
    assert dates["interruption.csv"] == tables.interruptions_date()
    assert dates["spot_instance_pricing.csv"] > tables.prices_date()


def test_without_credentials_nothing_is_written(tmp_path):
    nowhere = {"AWS_CONFIG_FILE": str(tmp_path / "c"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "s")}
    target = tmp_path / "source"
    result = run("scrape_live.py", target, *SMALL, home=tmp_path, AWS_EC2_METADATA_DISABLED="true", **nowhere)
    assert result.returncode == 4
    assert "aws configure" in result.stderr
    assert not target.exists()
