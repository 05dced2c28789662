"""Refreshing profiles: live figures in, the user's own choices kept, all or nothing."""

from __future__ import annotations

from decimal import Decimal

import pytest

from spot_connect import sutils
from spot_connect.core.errors import AwsError, NotAuthorized, UsageError
from spot_connect.core.requests import LaunchRequest
from spot_connect.launching import preparing
from spot_connect.store import tables
from spot_connect.store.state import home

OWN_IMAGE = "ami-0123456789abcdef0"


@pytest.fixture
def profiles(realm):
    """Save profiles of t3.micro in us-east-1 with these changes."""
    image = tables.default_image("us-east-1", "x86_64")
    usual = {
        "instance_type": "t3.micro",
        "region": "us-east-1",
        "image_id": image.id,
        "image_name": image.name,
        "price": "0.0104",
        "min_price": "0.001",
    }

    def save(**changes):
        sutils.save_profiles({name: {**usual, **change} for name, change in changes.items()})

    return save


def now(name):
    return sutils.load_profiles()[name]


def live_image(realm, name="x86_64", region="us-east-1"):
    parameter = tables.default_image(region, name).ssm_parameter
    return realm.cloud(region).client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"]


def test_prices_become_those_of_now(profiles):
    profiles(mine={})
    report = sutils.refresh_prices(local=True)
    assert (report.changed, report.unchanged, dict(report.left), report.note) == (1, 0, {}, "")
    assert now("mine")["min_price"] == f"{tables.spot_price('t3.micro', 'us-east-1'):f}"
    assert sutils.refresh_prices(local=True).changed == 0


def test_the_variable_chooses_the_local_cloud(profiles, monkeypatch):
    monkeypatch.setenv("SPOT_CONNECT_LOCAL", "1")
    profiles(mine={})
    assert sutils.refresh_prices().changed == 1
    assert sutils.refresh_images().changed == 1


@pytest.mark.parametrize("prices", [("2", "3"), ("0.01", "0.0104")])
def test_the_on_demand_cap_follows_and_a_cap_of_ones_own_stays(profiles, monkeypatch, prices):
    profiles(cap={}, own={"price": "0.02"}, none={"price": None})
    for price in prices:
        told = {("t3.micro", "us-east-1"): Decimal(price)}
        monkeypatch.setattr("spot_connect.aws.on_demand.list_prices", lambda *_, told=told, **__: told)
        sutils.refresh_prices(local=True)
        assert [now(name)["price"] for name in ("cap", "own", "none")] == [price, "0.02", None]


def test_without_the_price_list_caps_stay_and_the_report_says_so(profiles, wire):
    profiles(mine={})
    wire.refuse("GetProducts", "AccessDeniedException")
    from spot_connect.market import refreshing

    report = refreshing.refresh_prices(wire._realm)
    assert report.changed == 1
    assert "injected" in report.note
    assert now("mine")["price"] == "0.0104"


def test_a_type_that_is_not_sold_is_left_and_named(profiles):
    profiles(mine={}, odd={"instance_type": "t99.micro"})
    report = sutils.refresh_prices(local=True)
    assert report.changed == 1
    assert report.left == {"odd": "t99.micro has no spot price in us-east-1"}
    assert now("odd")["min_price"] == "0.001"


def test_each_profile_is_asked_for_in_its_own_region_or_only_those_of_one(profiles):
    there = tables.default_image("eu-west-1", "x86_64")
    profiles(here={}, there={"region": "eu-west-1", "image_id": there.id, "price": None})
    assert sutils.refresh_prices("eu-west-1", local=True).changed == 1
    assert now("here")["min_price"] == "0.001"
    assert now("there")["min_price"] == f"{tables.spot_price('t3.micro', 'eu-west-1'):f}"
    assert sutils.refresh_prices(local=True).changed == 1


@pytest.mark.parametrize("refresh", [sutils.refresh_prices, sutils.refresh_images])
def test_a_region_without_profiles_is_refused(profiles, refresh):
    profiles(mine={})
    with pytest.raises(UsageError, match="change_default_region"):
        refresh("eu-west-1", local=True)


def test_what_fails_in_one_region_changes_nothing_in_another(profiles, wire):
    from spot_connect.market import refreshing

    there = tables.default_image("eu-west-1", "x86_64")
    profiles(here={}, there={"region": "eu-west-1", "image_id": there.id})
    before = (home() / "local" / "client" / "profiles.txt").read_text()
    wire.tap("eu-west-1")
    wire.refuse("DescribeSpotPriceHistory", "UnauthorizedOperation")
    with pytest.raises(NotAuthorized):
        refreshing.refresh_prices(wire._realm)
    wire.refuse("GetParameters", "AccessDeniedException")
    with pytest.raises(AwsError):
        refreshing.refresh_images(wire._realm)
    assert (home() / "local" / "client" / "profiles.txt").read_text() == before


def test_the_shipped_profiles_are_refreshed_in_few_calls(realm, wire):
    from spot_connect.market import refreshing

    report = refreshing.refresh_prices(wire._realm)
    assert report.changed + report.unchanged == 1081
    assert wire.calls["DescribeSpotPriceHistory"] < 10
    assert wire.calls["GetProducts"] < 15
    # The local cloud has the prices of the shipped table: there is nothing to save.
    assert not (home() / "local" / "client" / "profiles.txt").exists()


def test_images_become_the_newest_of_their_kind_and_again(profiles, realm):
    profiles(mine={}, own={"image_id": OWN_IMAGE}, open={"image_id": None})
    report = sutils.refresh_images(local=True)
    assert report.changed == 1
    assert set(report.left) == {"own", "open"}
    assert OWN_IMAGE in report.left["own"]
    assert now("mine")["image_id"] == live_image(realm)
    assert now("own")["image_id"] == OWN_IMAGE
    again = sutils.refresh_images(local=True)
    assert (again.changed, again.unchanged) == (0, 1)


def test_what_a_refresh_wrote_is_not_taken_for_the_users_own(profiles, realm, monkeypatch):
    from datetime import datetime, timezone

    from spot_connect.aws.images import Newest

    profiles(mine={})
    parameter = tables.default_image("us-east-1", "x86_64").ssm_parameter
    for image in ("ami-0aaaaaaaaaaaaaaaa", "ami-0bbbbbbbbbbbbbbbb"):
        newest = {parameter: Newest(image, datetime.now(timezone.utc))}
        monkeypatch.setattr("spot_connect.aws.images.newest_ids", lambda *_, newest=newest: newest)
        assert sutils.refresh_images(local=True).changed == 1
        assert now("mine")["image_id"] == image


def test_architectures_keep_apart(profiles, realm):
    arm = tables.default_image("us-east-1", "arm64")
    profiles(intel={}, arm={"instance_type": "t4g.nano", "image_id": arm.id})
    sutils.refresh_images(local=True)
    assert now("arm")["image_id"] == live_image(realm, "arm64")
    assert now("arm")["image_id"] != now("intel")["image_id"]


def test_a_broken_memory_is_no_error(profiles, realm):
    profiles(mine={})
    (home() / "refreshed.json").write_text("{ not json")
    assert sutils.refresh_images(local=True).changed == 1


@pytest.fixture
def image_for(realm):
    """The id and user name that a launch of a profile would take."""

    def choose(name, region="us-east-1"):
        profile = realm.profiles.get(name)
        request = LaunchRequest("vm1", profile=profile, region=region)
        return preparing._image_id(realm.cloud(region), request, profile, profile.instance_type, "x86_64")

    return choose


def test_a_refreshed_profile_still_launches_the_newest_also_elsewhere(profiles, realm, image_for):
    profiles(mine={})
    sutils.refresh_images(local=True)
    assert image_for("mine") == (live_image(realm), "ec2-user")
    assert image_for("mine", "eu-west-1") == (live_image(realm, region="eu-west-1"), "ec2-user")


def test_where_parameters_may_not_be_read_a_refreshed_profile_launches_its_own_image(profiles, realm, wire, image_for):
    profiles(mine={})
    sutils.refresh_images(local=True)
    wire.refuse("GetParameter", "AccessDeniedException")
    assert preparing._image_id(
        wire._realm.cloud("us-east-1"),
        LaunchRequest("vm1"),
        wire._realm.profiles.get("mine"),
        "t3.micro",
        "x86_64",
    ) == (now("mine")["image_id"], "ec2-user")


def test_an_image_of_the_users_own_is_launched_as_it_is(profiles, image_for):
    profiles(own={"image_id": OWN_IMAGE})
    sutils.refresh_images(local=True)
    assert image_for("own")[0] == OWN_IMAGE


def test_a_rehearsal_leaves_the_profiles_for_aws_alone(profiles, realm, monkeypatch):
    monkeypatch.setenv("SPOT_CONNECT_LOCAL", "0")
    profiles(mine={})
    real = (home() / "profiles.txt").read_text()
    sutils.refresh_images(local=True)
    assert (home() / "profiles.txt").read_text() == real
    assert realm.profiles.get("mine").image_id == live_image(realm)
