"""Tags that users give: what AWS takes, room for ours beside them, and what a machine in another's place gets."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from spot_connect.core.errors import UsageError
from spot_connect.core.fleets import common_tags
from spot_connect.core.members import member_tags
from spot_connect.core.names import fits_file_system
from spot_connect.core.profiles import Profile
from spot_connect.core.requests import LaunchRequest
from spot_connect.core.tags import file_system_tags, given_tags, inherited_tags, listed_tags, room
from spot_connect.launching.preparing import _tags
from spot_connect.launching.realm import Realm
from spot_connect.launching.requesting import launch_request

TEXT = (
    st.text(st.sampled_from("aAwWsS:spot-connect Name=,\t\n\x00\x1b\x7f\x85\u2028\ud800\uffff#é東"), max_size=20)
    | st.text()
)
KEY = TEXT | st.integers(100, 140).map("k".__mul__)
VALUE = TEXT | st.integers(240, 270).map("v".__mul__)


def may_be_given(key, value):
    """As the EC2 User Guide says it, and what the answers of EC2 can tell."""
    letters = [unicodedata.category(letter) for letter in key + value]
    return (
        0 < len(key.encode("utf-16-le", "surrogatepass")) <= 256
        and len(value.encode("utf-16-le", "surrogatepass")) <= 512
        and key == key.strip()
        and key != "Name"
        and not key.lower().startswith(("aws:", "spot-connect:"))
        and not {"Cc", "Cs", "Zl", "Zp"}.intersection(letters)
        and not {"\ufffe", "\uffff"}.intersection(key + value)
    )


@given(KEY, VALUE)
def test_a_tag_is_taken_as_it_is_or_refused_in_one_line_that_names_it(key, value):
    if may_be_given(key, value):
        assert given_tags({key: value}) == {key: value}
        return
    with pytest.raises(UsageError, match="cannot use the tag") as caught:
        given_tags({key: value})
    assert str(caught.value).isprintable()


@given(KEY, VALUE)
def test_a_text_is_cut_at_its_first_equals_sign(key, value):
    assume("=" not in key and may_be_given(key, value))
    assert given_tags([f"{key}={value}"]) == given_tags(f"{key}={value}") == {key: value}


@pytest.mark.parametrize(
    ("given_to_it", "said"),
    [
        (["team"], "'team' is not a tag"),
        (["te\x1bam"], r"te\\x1bam"),
        (["=ml"], "empty"),
        (["team =ml"], "blank"),
        (["team=ml", "team=web"], "given twice"),
        (["aws:team=ml"], "aws:"),
        (["AWS:team=ml"], "aws:"),
        (["spot-connect:name=vm2"], "spot-connect:"),
        (["Spot-Connect:managed=false"], "spot-connect:"),
        (["Name=vm2"], "-n"),
        ([f"{'k' * 129}="], "128"),
        ([f"team={'v' * 257}"], "256"),
        (["team=m\x00l"], "control"),
        ({"team": 42}, "texts"),
        ({7: "ml"}, "texts"),
    ],
    ids=str,
)
def test_what_a_user_may_not_give_is_said(given_to_it, said):
    with pytest.raises(UsageError, match=said) as caught:
        given_tags(given_to_it)
    assert str(caught.value).isprintable()


def test_the_same_tag_twice_is_no_mistake():
    assert given_tags(["team=ml", "team=ml"]) == {"team": "ml"}


def test_nothing_is_no_tags():
    assert given_tags(None) == given_tags([]) == given_tags({}) == listed_tags(" , ") == {}


def test_a_setting_holds_several():
    assert listed_tags("team=ml,cost-center=42, project=a=b") == {"team": "ml", "cost-center": "42", "project": "a=b"}


def test_a_wrong_setting_says_where_it_is(monkeypatch):
    monkeypatch.setenv("SPOT_CONNECT_TAGS", "team=ml,Name=vm1")
    with pytest.raises(UsageError, match="SPOT_CONNECT_TAGS"):
        launch_request(Realm(local=True), "vm1")


def test_what_is_given_comes_before_the_setting(monkeypatch):
    monkeypatch.setenv("SPOT_CONNECT_TAGS", "team=ml,project=x")
    request = launch_request(Realm(local=True), "vm1", tags=["team=web"])
    assert request.all_tags == {"team": "web", "project": "x"}
    assert "tags" in request.launch_only
    assert "tags" not in launch_request(Realm(local=True), "vm1").launch_only


def many(count):
    return {f"key-{number}": "" for number in range(count)}


@pytest.mark.parametrize("standing", [0, 5])
def test_there_is_room_for_so_many_tags_and_no_more(standing):
    fitting = {"standing_tags": many(standing), "tags": {f"own-{n}": "" for n in range(room() - standing)}}
    assert len(LaunchRequest("vm1", **fitting).all_tags) == room()
    with pytest.raises(UsageError, match="50"):
        LaunchRequest("vm1", **{**fitting, "tags": {**fitting["tags"], "one more": ""}})


@given(st.sets(st.integers(0, 16**17 - 1), min_size=1, max_size=1000))
def test_with_the_most_of_ours_beside_them_no_resource_has_more_than_fifty(numbers):
    ids = [f"i-{number:017x}" for number in numbers]
    members = member_tags(ids)
    # Whatever ids AWS gives; hypothesis finds such as have much in common, which AWS does not.
    assume(max(len(end) for end in " ".join(members.values()).split()) <= 7)
    subnet = {"subnet": "subnet-0123456789abcdef0", "security_group": "web", "instance_profile": "reader"}
    request = LaunchRequest("w", tags=many(room(len(ids))), filesystem="data", **subnet)
    launched = common_tags(
        "w", _tags(request, Profile("t3.small", instance_type="t3.small"), "ec2-user", "sg-0123456789abcdef0")
    )
    later = {"spot-connect:successor": "", "spot-connect:ssh": ""}
    assert len({**launched, **members, **later}) <= 50


@given(st.text())
def test_efs_is_given_what_its_own_pattern_allows(text):
    allowed = all(unicodedata.category(letter)[0] in "LZN" or letter in "_.:/=+-@" for letter in text)
    assert fits_file_system(text) == allowed


@pytest.mark.parametrize("tags", [{"team": "a#b"}, {"te(am)": "ml"}, {"team": "😀"}], ids=str)
def test_tags_that_efs_does_not_take_are_refused_where_there_is_a_file_system(tags):
    assert LaunchRequest("vm1", tags=tags).tags == tags
    for place in ("tags", "standing_tags"):
        with pytest.raises(UsageError, match="EFS takes only"):
            LaunchRequest("vm1", filesystem="data", **{place: tags})
    with pytest.raises(UsageError, match="EFS"):
        file_system_tags(tags)


@given(st.dictionaries(KEY, VALUE, max_size=60), st.booleans(), st.integers(0, 60))
def test_whatever_a_machine_has_for_tags_what_comes_in_its_place_can_be_launched(tags, file_system, taken):
    kept = inherited_tags(tags, file_system=file_system, taken=taken)
    assert kept.items() <= tags.items()
    assert given_tags(kept) == kept
    assert len(kept) + taken <= max(room(), taken)
    if not file_system and len(kept) + taken < room():
        assert kept == {key: value for key, value in tags.items() if may_be_given(key, value)}
    if taken <= room():
        standing = {f"\N{NUMERO SIGN}{number}" if not file_system else f"n{number}": "" for number in range(taken)}
        LaunchRequest("vm1", tags=kept, standing_tags=standing, filesystem="data" if file_system else "")
