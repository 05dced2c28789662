"""The profile file: what users may write, what is refused, and where the error points."""

from __future__ import annotations

import ast
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot_connect.core.errors import UnknownProfile, UsageError
from spot_connect.core.firewall import Rule
from spot_connect.core.profiles import (
    HEADER,
    KEYS,
    Profile,
    format_profiles,
    nearest,
    outline,
    parse_one,
    parse_profiles,
)

GOOD = """\
# my own
{
    'small': {
        'instance_type': 't3.small',
        'price': '0.02',
    },
    'big': {
        'instance_type': 'm5.large',
        'region': 'eu-west-1',
    },
}
"""

BROKEN_EDITS = {
    "a comma is missing": (GOOD.replace("'t3.small',", "'t3.small'"), 5),
    "a quote is missing": (GOOD.replace("'t3.small'", "'t3.small"), 4),
    "quotes are missing": (GOOD.replace("'t3.small'", "t3"), 4),
    "a dotted word without quotes": (GOOD.replace("'t3.small'", "t3.small"), 4),
    "a call": (GOOD.replace("'0.02'", "open('x')"), 5),
    "a sum": (GOOD.replace("'0.02'", "1 + 1"), 5),
    "an f-string": (GOOD.replace("'0.02'", "f'{1}'"), 5),
    "a name twice": (GOOD.replace("'big'", "'small'"), 7),
    "a key twice": (GOOD.replace("'price': '0.02'", "'instance_type': 't2.nano'"), 5),
    "an unknown key": (GOOD.replace("'price'", "'prize'"), 5),
    "a price that is none": (GOOD.replace("'0.02'", "'cheap'"), 5),
    "a price that is a flag": (GOOD.replace("'0.02'", "True"), 5),
    "a price EC2 refuses": (GOOD.replace("'0.02'", "0.0001"), 5),
    "a price that is a list": (GOOD.replace("'0.02'", "[1]"), 5),
    "a region that is a number": (GOOD.replace("'eu-west-1'", "7"), 9),
    "a flag that is no word for it": (GOOD.replace("'price': '0.02'", "'efs_mount': 'maybe'"), 5),
    "a flag that is a number": (GOOD.replace("'price': '0.02'", "'efs_mount': 2"), 5),
    "scripts that are a number": (GOOD.replace("'price': '0.02'", "'scripts': 5"), 5),
    "scripts with an empty path": (GOOD.replace("'price': '0.02'", "'scripts': ['']"), 5),
    "a path whose backslash made a line end": (GOOD.replace("'price': '0.02'", r"'scripts': ['C:\new.sh']"), 5),
    "a rule with three parts": (GOOD.replace("'price': '0.02'", "'firewall_ingress': ['tcp,22,22']"), 5),
    "a rule with host bits": (GOOD.replace("'price': '0.02'", "'firewall_ingress': 'tcp,22,22,10.0.0.1/8'"), 5),
    "a login that is none": (GOOD.replace("'price': '0.02'", r"'username': 'me\nProxyCommand x'"), 5),
    "a login with a blank": (GOOD.replace("'price': '0.02'", "'username': 'me too'"), 5),
    "a rule that is a number": (GOOD.replace("'price': '0.02'", "'firewall_ingress': 22"), 5),
    "no instance type": (GOOD.replace("        'instance_type': 't3.small',\n", ""), 3),
    "a profile that is text": (GOOD.replace("    'big': {", "    'odd': 'm5.large',\n    'big': {"), 7),
    "a name without quotes": (GOOD.replace("'big'", "big"), 7),
    "a name that is a number": (GOOD.replace("'big'", "7"), 7),
    "an empty name": (GOOD.replace("'big'", "''"), 7),
    "another dictionary unpacked": (GOOD.replace("    'big': {", "    **{},\n    'big': {"), 7),
    "a brace is missing at the end": (GOOD[: GOOD.rindex("}")], 2),
    "a brace too many": (GOOD + "}\n", 12),
    "a profile that is not closed": (GOOD.replace("    },\n    'big'", "    'big'"), 2),
    "an assignment": (GOOD.replace("{\n    'small'", "profiles = {\n    'small'"), 2),
    "a list instead": ("['small']\n", 1),
    "two dictionaries": (GOOD + GOOD, 13),
    "nothing": ("", 1),
    "only a comment": ("# nothing\n", 1),
    "a null character": (GOOD.replace("small", "sm\0all"), None),
    "far too deep": ("{'a': " + "[" * 5000 + "]" * 5000 + "}", None),
}


def attempt(action):
    """What it gave, or how it was refused; anything but a refusal of ours goes through."""
    try:
        return action(), None
    except UsageError as error:
        return None, error


@pytest.mark.parametrize("edit", BROKEN_EDITS)
def test_a_broken_edit_names_its_file_and_line(edit):
    text, line = BROKEN_EDITS[edit]
    with pytest.raises(UsageError) as caught:
        parse_profiles(text, "my/profiles.txt")
    found = re.search(r"my/profiles\.txt, line (\d+)", caught.value.what)
    assert found
    assert line in (None, int(found[1]))
    assert caught.value.said
    assert caught.value.advice


@pytest.mark.parametrize("edit", BROKEN_EDITS)
def test_reading_one_profile_names_the_same_line_or_is_not_concerned(edit):
    text, line = BROKEN_EDITS[edit]
    for name in ("small", "big"):
        settings, refusal = attempt(lambda name=name: parse_one(text, "my/profiles.txt", name))
        if settings is not None:
            assert settings["instance_type"] == {"small": "t3.small", "big": "m5.large"}[name]
        elif not isinstance(refusal, UnknownProfile):
            assert line is None or refusal.what == f"cannot read my/profiles.txt, line {line}"


def test_an_unknown_key_gets_the_nearest_one():
    with pytest.raises(UsageError, match=r"Did you mean 'region'\?"):
        Profile.from_mapping("x", {"instance_type": "t3.small", "regoin": "eu-west-1"})


def test_a_key_like_no_other_gets_the_whole_list():
    with pytest.raises(UsageError, match="The keys are efs_mount, "):
        Profile.from_mapping("x", {"instance_type": "t3.small", "zzz": 1})


def test_a_profile_needs_an_instance_type():
    with pytest.raises(UsageError, match="profile 'x' has no instance_type"):
        Profile.from_mapping("x", {"region": "eu-west-1"})


@pytest.mark.parametrize(
    ("settings", "image_name", "username"),
    [
        ({}, "Amazon Linux 2023 AMI (kernel 6.1)", "ec2-user"),
        ({"image_id": None, "image_name": "", "username": None}, "Amazon Linux 2023 AMI (kernel 6.1)", "ec2-user"),
        ({"image_name": "Rocky Linux 9"}, "Rocky Linux 9", "rocky"),
        ({"image_id": "ami-12345678"}, "", "ec2-user"),
        ({"image_id": "ami-12345678", "username": "me"}, "", "me"),
    ],
)
def test_an_image_and_a_user_are_filled_in(settings, image_name, username):
    profile = Profile.from_mapping("x", {"instance_type": "t3.small", **settings})
    assert (profile.image_name, profile.username) == (image_name, username)


def test_an_unknown_profile_gets_the_nearest_names():
    with pytest.raises(UnknownProfile, match=r"there is no profile 'smal'\. Did you mean small\?"):
        parse_one(GOOD, "profiles.txt", "smal")
    with pytest.raises(UnknownProfile, match="load_profiles"):
        parse_one(GOOD, "profiles.txt", "zzzzzz")


def test_nearest_is_the_likeliest_first():
    assert nearest("t2.mirco", ["m5.large", "t2.micro", "t3.micro"])[0] == "t2.micro"


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("price", "0.05", Decimal("0.05")),
        ("price", 0.05, Decimal("0.05")),
        ("price", 1, Decimal(1)),
        ("price", None, None),
        ("price", "", None),
        ("min_price", "0.0005", Decimal("0.0005")),
        ("min_price", None, None),
        ("efs_mount", "yes", True),
        ("efs_mount", False, False),
        ("scripts", None, ()),
        ("scripts", "a.sh", ("a.sh",)),
        ("scripts", ("a.sh", "b.sh"), ("a.sh", "b.sh")),
        ("region", None, ""),
        ("region", " eu-west-1 ", "eu-west-1"),
        ("firewall_ingress", None, ()),
        ("firewall_ingress", "tcp,22,22,203.0.113.7/32", (Rule("tcp", 22, 22, "203.0.113.7/32"),)),
        ("firewall_ingress", ("tcp", 22, 22, "203.0.113.7/32"), (Rule("tcp", 22, 22, "203.0.113.7/32"),)),
        ("firewall_ingress", [("tcp", 22, 22, "203.0.113.7/32")], (Rule("tcp", 22, 22, "203.0.113.7/32"),)),
    ],
)
def test_what_a_setting_may_be(key, value, expected):
    profile = Profile.from_mapping("x", {"instance_type": "t3.small", key: value})
    assert getattr(profile, key) == expected


@pytest.mark.parametrize("value", ["-1", "NaN", "Infinity", "much", True, [1]])
def test_a_figure_that_is_no_price_is_refused(value):
    with pytest.raises(UsageError, match="min_price"):
        Profile.from_mapping("x", {"instance_type": "t3.small", "min_price": value})


words = st.text(st.characters(min_codepoint=33, max_codepoint=0x24F).filter(lambda c: c.isprintable()), max_size=12)
prices = st.none() | st.decimals("0.0011", "500", places=4)
rules = st.builds(
    lambda port, block: Rule("tcp", port, port, f"10.{block}.0.0/16"), st.integers(0, 65535), st.integers(0, 255)
)
any_profile = st.builds(
    Profile,
    name=words.filter(bool),
    instance_type=words.filter(bool),
    region=words,
    image_id=words,
    image_name=words.filter(bool),
    username=st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", fullmatch=True),
    price=prices,
    min_price=prices,
    efs_mount=st.booleans(),
    firewall_ingress=st.lists(rules, max_size=3).map(tuple),
    scripts=st.lists(words.filter(bool), max_size=3).map(tuple),
)


@given(any_profile)
def test_a_profile_survives_its_mapping(profile):
    assert Profile.from_mapping(profile.name, profile.to_mapping()) == profile


@given(st.lists(any_profile, max_size=4, unique_by=lambda profile: profile.name))
def test_profiles_survive_their_file(profiles):
    settings = {profile.name: profile.to_mapping() for profile in profiles}
    text = format_profiles(settings)
    assert parse_profiles(text, "x") == settings
    assert ast.literal_eval(text) == settings
    for name, one in settings.items():
        assert parse_one(text, "x", name) == one


@given(st.text(max_size=60) | st.text(st.sampled_from("{}[]():,'\"# \nab0\\"), max_size=60))
def test_any_text_is_read_or_refused_with_a_line(text):
    _, refusal = attempt(lambda: parse_profiles(text, "file"))
    assert refusal is None or re.match(r"cannot read file, line \d+$", refusal.what)


def test_the_text_explains_every_key():
    for key in KEYS:
        assert f"# {key} " in HEADER


def test_a_profile_that_cannot_be_read_back_is_not_written():
    with pytest.raises(UsageError, match="profile 'x'"):
        format_profiles({"x": {"instance_type": 5}})


def test_values_that_are_no_literals_become_some():
    rule = Rule("tcp", 22, 22, "203.0.113.7/32")
    settings = {"instance_type": "t3.small", "price": Decimal("0.05"), "firewall_ingress": (rule,), "scripts": ("a",)}
    assert parse_profiles(format_profiles({"x": settings}), "f")["x"] == {
        "instance_type": "t3.small",
        "price": "0.05",
        "firewall_ingress": (("tcp", 22, 22, "203.0.113.7/32"),),
        "scripts": ("a",),
    }


def test_one_profile_is_found_in_a_layout_of_the_users_own():
    text = "{'a': {'instance_type': 't3.small'}, \"b\": dict, 'c': {'instance_type': 'm5.large'}}".replace(
        '"b": dict', '"b": {"instance_type": "x"}'
    )
    assert parse_one(text, "f", "c") == {"instance_type": "m5.large"}
    assert list(outline(text, "f").entries) == ["a", "b", "c"]


def test_a_profile_that_is_there_twice_is_refused_when_it_is_read_alone():
    text = format_profiles({"a": {"instance_type": "t3.small"}})
    doubled = text.replace("    },\n}", "    },\n    \"a\": {'instance_type': 'm5.large'},\n}")
    with pytest.raises(UsageError, match="twice"):
        parse_one(doubled, "f", "a")


def test_names_that_look_like_patterns_or_like_each_other_are_kept_apart():
    names = ["a.b", "a_b", "aa.b", "x(", "it's"]
    text = format_profiles({name: {"instance_type": f"type of {name}"} for name in names})
    for name in names:
        assert parse_one(text, "f", name) == {"instance_type": f"type of {name}"}
