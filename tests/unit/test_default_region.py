"""Where a launch goes if -reg does not say it: what was said to spot-connect, to AWS's tools, or to nobody."""

from __future__ import annotations

import pytest

from spot_connect import sutils
from spot_connect.core.images import DEFAULT_IMAGE_NAME
from spot_connect.core.requests import LaunchRequest
from spot_connect.launching.preparing import region_of
from spot_connect.launching.realm import Realm
from spot_connect.launching.requesting import launch_request
from spot_connect.store.refreshed import Refreshed
from spot_connect.store.state import State, home

OWN_IMAGE = "ami-0123456789abcdef0"


@pytest.fixture
def configured(tmp_path, monkeypatch):
    """`aws configure` has been run, twice."""
    path = tmp_path / "config"
    path.write_text("[default]\nregion = eu-west-1\n[profile other]\nregion = sa-east-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))


def where(profile="t3.micro", *, local=False, **given):
    realm = Realm(local=local)
    return region_of(realm, launch_request(realm, "vm1", profile=profile, **given))


def edit(name="t3.micro", **settings):
    profiles = sutils.load_profiles()
    sutils.save_profiles({**profiles, name: {**profiles["t3.micro"], **settings}})


def test_nobody_has_said_anything():
    assert where() == Realm(local=False).default_region == "us-east-1"


def test_the_order_of_what_was_said_to_all_aws_tools(configured, monkeypatch):
    assert where() == Realm(local=False).default_region == "eu-west-1"
    monkeypatch.setenv("AWS_PROFILE", "other")
    assert where() == "sa-east-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert where() == "eu-central-1"
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    assert where() == Realm(local=False).default_region == "eu-north-1"
    assert where(region="us-west-2") == "us-west-2"


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_an_empty_variable_says_nothing(configured, monkeypatch, name):
    monkeypatch.setenv(name, "")
    assert where() == "eu-west-1"


@pytest.mark.parametrize("chosen", ["us-west-2", "us-east-1"])
@pytest.mark.parametrize(
    "choose",
    [sutils.change_default_region, lambda region: sutils.reset_profiles(1.2, region, DEFAULT_IMAGE_NAME)],
)
def test_a_region_chosen_for_the_profiles_stays_also_the_one_they_come_with(configured, monkeypatch, chosen, choose):
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    choose(chosen)
    assert where() == Realm(local=False).default_region == chosen
    assert where("p5.4xlarge") == chosen
    assert where(region="sa-east-1") == "sa-east-1"


def test_without_profiles_of_ones_own_nothing_is_chosen_any_more(configured):
    sutils.change_default_region("us-east-1")
    home().joinpath("profiles.txt").unlink()
    assert where() == "eu-west-1"


@pytest.mark.parametrize(
    "settings",
    [
        {"region": "us-west-2"},
        {"image_id": OWN_IMAGE, "image_name": None},
        {"price": "0.0011"},
    ],
)
def test_a_profile_stays_where_its_region_image_or_cap_was_written_for(configured, settings):
    edit(**settings)
    assert where() == settings.get("region", "us-east-1")
    assert where("t3.nano") == "eu-west-1"


def test_a_profile_of_ones_own_stays_in_its_region(configured):
    edit("mine")
    assert where("mine") == "us-east-1"
    assert where({"instance_type": "t3.micro", "region": "us-west-2"}) == "us-west-2"
    assert where({"instance_type": "t3.micro"}) == "eu-west-1"


def test_what_else_is_changed_in_a_profile_binds_it_to_no_region(configured):
    edit(scripts=["setup.sh"], firewall_ingress=[("tcp", 22, 22, "203.0.113.0/24")], efs_mount=True)
    assert where() == "eu-west-1"


def test_what_a_refresh_has_written_binds_to_no_region(configured):
    edit(image_id=OWN_IMAGE, price="0.0107", min_price="0.001")
    assert where() == "us-east-1"
    memory = Refreshed(State(home()))
    memory.remember(images={OWN_IMAGE: "some image"}, prices={("t3.micro", "us-east-1"): "0.0107"})
    assert where() == "eu-west-1"


def test_a_type_without_a_profile_goes_where_the_others_go(configured):
    assert where("p5.4xlarge") == "eu-west-1"


def test_the_local_cloud_heeds_no_settings_of_aws(configured, monkeypatch):
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    realm = Realm(local=True)
    monkeypatch.setattr(Realm, "_endpoint", lambda _: pytest.fail("the local cloud was started to ask it for nothing"))
    assert region_of(realm, LaunchRequest("vm1", profile=realm.profiles.get("t3.micro"))) == "us-east-1"
    assert realm.default_region == "us-east-1"
