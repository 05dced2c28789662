"""A type that the profile file lacks is a profile all the same; a name that is no type is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot_connect.core.errors import UnknownProfile, UsageError
from spot_connect.core.images import ARCHITECTURES
from spot_connect.core.profiles import Profile
from spot_connect.store import tables
from spot_connect.store.profiles import SHIPPED, ProfileFile
from spot_connect.store.state import realm
from spot_connect.store.type_profiles import of_type

SHIPPED_NAMES = set(ProfileFile(realm()).load())
SOLD = [kind for kind in tables.types() if kind.spot and kind.architecture in ARCHITECTURES]
ELSEWHERE = [kind.instance_type for kind in SOLD if kind.instance_type not in SHIPPED_NAMES]
NOT_SPOT = next(kind.instance_type for kind in tables.types() if not kind.spot and kind.architecture in ARCHITECTURES)


@pytest.fixture
def profiles():
    return ProfileFile(realm())


def test_there_are_types_that_the_file_lacks():
    assert ELSEWHERE


@given(st.sampled_from(SOLD), st.sampled_from(sorted(tables.regions())))
def test_every_type_makes_a_profile_that_the_file_could_hold(kind, region):
    made = of_type(kind.instance_type, region)
    assert Profile.from_mapping(made.name, made.to_mapping()) == made
    assert made.region == region
    image = tables.image_by_id(made.image_id) if made.image_id else None
    assert image is None or (image.region, image.architecture) == (region, kind.architecture)


@settings(max_examples=20)
@given(st.sampled_from(ELSEWHERE))
def test_a_type_of_another_region_is_a_profile_for_the_region_asked_for(name):
    made = ProfileFile(realm()).get(name, "eu-west-1")
    assert (made.name, made.instance_type, made.region) == (name, name, "eu-west-1")
    assert made.price == tables.on_demand_price(name, "eu-west-1")


def test_without_a_region_it_is_for_the_default_one(profiles):
    profiles.save({"mine": {"instance_type": "t3.micro", "region": "eu-west-2"}})
    assert profiles.get("m5.large").region == "eu-west-2"


def test_a_type_that_the_file_mentions_under_another_name_is_one_too(profiles):
    profiles.save({"mine": {"instance_type": "m5.large", "region": "eu-west-2"}})
    assert profiles.get("m5.large").name == "m5.large"


def test_a_profile_of_the_file_comes_first(profiles):
    profiles.save({"m5.large": {"instance_type": "t3.micro", "region": "eu-west-2"}})
    assert profiles.get("m5.large", "us-east-1").instance_type == "t3.micro"


def test_the_shipped_profile_is_the_one_that_would_be_made(profiles):
    assert profiles.path == SHIPPED
    shipped = profiles.get("t3.micro")
    assert replace(of_type("t3.micro", "us-east-1"), firewall_ingress=shipped.firewall_ingress) == shipped


@pytest.mark.parametrize("name", ["t3.mikro", "vm1", "", "t99.micro"])
def test_a_name_that_is_no_type_is_still_unknown(profiles, name):
    with pytest.raises(UnknownProfile):
        profiles.get(name)


def test_a_type_that_was_not_sold_as_spot_is_left_to_aws_to_judge(profiles):
    made = profiles.get(NOT_SPOT)
    assert (made.instance_type, made.price) == (NOT_SPOT, None)


def test_a_type_without_an_image_of_ours_is_refused(profiles):
    with pytest.raises(UsageError, match="arm64_mac only"):
        profiles.get("mac2.metal")
