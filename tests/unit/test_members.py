"""The names of a fleet's instances in tags that all of them share."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot_connect.core.errors import UsageError
from spot_connect.core.members import member_name, member_tags, name_tags, shared_name
from spot_connect.core.names import instance_name

IDS = st.lists(st.integers(0, 16**17 - 1).map("i-{:017x}".format), min_size=1, max_size=60, unique=True)
NAMES = st.from_regex(r"[A-Za-z0-9._\-:/()#,@\[\]+=&;{}!$*]{1,20}", fullmatch=True)


@given(IDS)
def test_each_is_known_by_its_place(ids):
    tags = member_tags(ids)
    assert [member_name(one, shared_name("w"), tags) for one in ids] == [f"w_{number}" for number in range(len(ids))]


def test_a_thousand_are_within_what_ec2_allows():
    ids = [f"i-{number * 7919**3 % 16**17:017x}" for number in range(1000)]
    tags = member_tags(ids)
    assert len(tags) <= 40
    assert all(re.fullmatch(r"[0-9a-f ]{1,256}", value) for value in tags.values())
    assert member_name(ids[999], shared_name("w"), tags) == "w_999"


def test_fifty_need_one_tag():
    assert list(member_tags([f"i-{number:017x}" for number in range(50)])) == ["spot-connect:members-0"]


def test_ids_that_end_alike_are_told_apart():
    ids = [f"i-{number:x}".ljust(19, "0") for number in range(1, 16)]
    assert [member_name(one, "w_%", member_tags(ids)) for one in ids] == [f"w_{number}" for number in range(15)]


@pytest.mark.parametrize("tags", [{}, {"spot-connect:members-0": "1111 2222"}])
def test_one_that_is_not_numbered_has_no_name(tags):
    assert member_name("i-0123456789abcdef0", shared_name("w"), tags) == ""


def test_a_name_of_its_own_counts_before_the_place():
    tags = member_tags(["i-0123456789abcdef0"])
    assert member_name("i-0123456789abcdef0", "w_7", tags) == "w_7"


@given(NAMES, st.integers(0, 2000))
def test_a_machine_is_looked_for_by_its_own_name_and_by_its_fleets(prefix, number):
    assert name_tags(f"{prefix}_{number}") == (f"{prefix}_{number}", shared_name(prefix))


@pytest.mark.parametrize("name", ["vm1", "w_", "_1", "w_01", "w_x", "w_1 "])
def test_other_names_are_no_members(name):
    assert name_tags(name) == (name,)


@given(NAMES)
def test_no_instance_can_be_given_the_name_that_a_fleet_shares(prefix):
    with pytest.raises(UsageError):
        instance_name(shared_name(prefix))
