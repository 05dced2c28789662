"""Rewriting a profile file: what its user wrote around the values stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot_connect.core.errors import UsageError
from spot_connect.core.profile_edits import rewrite_profiles
from spot_connect.core.profiles import HEADER, format_profiles, parse_profiles

MINE = """\
# Grüße: what I use at work
{
    # for tests
    'small': {
        'instance_type': 't3.small',  # ten cents a day
        'price': '0.02',
    },

    'big': {'instance_type': "m5.large", 'scripts': [
        'größe.sh',  # first
    ]}  # no comma
}
# the end
"""


def profiles():
    return parse_profiles(MINE, "f")


def test_profiles_that_did_not_change_leave_the_text_alone():
    assert rewrite_profiles(MINE, "f", profiles()) == MINE


def test_a_changed_value_is_replaced_in_its_place():
    wanted = profiles()
    wanted["small"]["price"] = "0.03"
    wanted["big"]["scripts"] = ["é.sh"]
    expected = MINE.replace("'0.02'", "'0.03'").replace("[\n        'größe.sh',  # first\n    ]", "['é.sh']")
    assert rewrite_profiles(MINE, "f", wanted) == expected


def test_a_new_profile_comes_last():
    wanted = profiles() | {"new": {"instance_type": "t2.nano"}}
    text = rewrite_profiles(MINE, "f", wanted)
    assert text == MINE.replace(
        "]}  # no comma\n}", "]},  # no comma\n    'new': {\n        'instance_type': 't2.nano',\n    },\n}"
    )
    assert rewrite_profiles(text, "f", wanted) == text


def test_a_profile_that_is_gone_is_cut_out():
    wanted = {"big": profiles()["big"]}
    text = rewrite_profiles(MINE, "f", wanted)
    assert parse_profiles(text, "f") == wanted
    assert "# for tests" in text
    assert "t3.small" not in text


def test_a_profile_with_other_keys_is_written_anew_and_the_rest_stays():
    wanted = profiles()
    wanted["small"]["region"] = "eu-west-1"
    text = rewrite_profiles(MINE, "f", wanted)
    assert parse_profiles(text, "f") == wanted
    assert text.startswith("# Grüße")
    assert "# first" in text


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{'small': 5}", "{'a': {'instance_type': 't'}, 'b': {'instance_type': 't'}}"]
)
def test_text_that_cannot_be_edited_gives_way_to_the_usual_layout(text):
    wanted = {"b": {"instance_type": "t3.small"}}
    assert rewrite_profiles(text, "f", wanted) == format_profiles(wanted)


def test_an_empty_dictionary_can_be_filled():
    wanted = {"b": {"instance_type": "t3.small"}}
    assert parse_profiles(rewrite_profiles("# mine\n{}\n", "f", wanted), "f") == wanted
    assert rewrite_profiles("# mine\n{}\n", "f", wanted).startswith("# mine\n")


def test_a_profile_that_cannot_be_read_back_is_refused():
    with pytest.raises(UsageError):
        rewrite_profiles(MINE, "f", {"x": {}})


names = st.sampled_from(["a", "b", "small", "big", "it's", "ü"])
settings = st.fixed_dictionaries(
    {"instance_type": st.sampled_from(["t3.small", "m5.large"])},
    optional={"price": st.sampled_from(["0.02", "0.5", None]), "scripts": st.lists(st.just("ä.sh"), max_size=2)},
)
many = st.dictionaries(names, settings, max_size=5)


@given(many, many)
def test_any_profiles_can_become_any_others(before, after):
    text = rewrite_profiles(format_profiles(before), "f", after)
    assert parse_profiles(text, "f") == after
    assert text.startswith(HEADER)


@given(many)
def test_the_users_own_layout_can_become_anything(after):
    assert parse_profiles(rewrite_profiles(MINE, "f", after), "f") == after
