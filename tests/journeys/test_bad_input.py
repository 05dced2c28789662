"""Bad input is refused before any call is made, and nothing that is there is touched."""

from __future__ import annotations

import json
import os
import stat

import pytest

VALID = ("-n", "vm1", "-p", "t2.micro")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-n", "vm1", "-p", "t2.mikro"), "t2.micro"),
        ((*VALID, "-a", "perhaps"), "True False yes no 1 0"),
        ((*VALID, "-m", "maybe"), "True False yes no 1 0"),
        ((*VALID, "-s", "missing.sh"), "missing.sh"),
        ((*VALID, "-u", "missing.csv"), "missing.csv"),
        ((*VALID, "-u", "a.csv,,b.csv"), "empty part"),
        ((*VALID, "-fw", "tcp,22,22"), "tcp,22,22,203.0.113.7/32"),
        ((*VALID, "-fw", "tcp,22,22,1.2.3.4/8"), "host bits"),
        ((*VALID, "-prc", "cheap"), "0.05"),
        ((*VALID, "-prc", "0"), "0.001"),
        ((*VALID, "-ud", "missing.txt"), "missing.txt"),
        (("-n", " "), "not an instance name"),
        (("-iid", "vm1"), "i-0123456789abcdef0"),
        (("-n", "vm1", "-iid", "i-0123456789abcdef0"), "-iid"),
        (("-p", "t2.micro"), "no machine is named"),
        (("vm1", "vm2"), "unrecognized arguments"),
        (("--nonsense",), "--help"),
        (("terminate",), "NAME"),
        (("local", "sideways"), "sideways"),
    ],
)
def test_it_is_a_usage_error_that_says_what_to_do(stranger, words, said):
    result = stranger.types(*words)
    assert result.returncode == 2, result.stderr
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(stranger.home.rglob("*.pem"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_key_directory_that_cannot_be_written_is_refused(stranger):
    closed = stranger.directory / "closed"
    closed.mkdir()
    closed.chmod(stat.S_IRUSR | stat.S_IXUSR)
    result = stranger.types(*VALID, "-kd", str(closed))
    assert result.returncode == 2
    assert "closed" in result.stderr


def test_a_key_directory_that_is_a_file_is_refused(stranger):
    stranger.writes("keys", "")
    result = stranger.types(*VALID, "-kd", "keys")
    assert result.returncode == 2, result.stderr
    assert "keys" in result.stderr


@pytest.mark.parametrize("words", [VALID, ("list",), ("vm1",), ("terminate", "vm1")])
def test_without_credentials_both_ways_out_are_named(stranger, words):
    result = stranger.types(*words)
    assert result.returncode == 4, result.stderr
    assert "aws configure" in result.stderr
    assert "--local" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_wrong_word_in_the_variable_is_refused(stranger):
    stranger.environment["SPOT_CONNECT_LOCAL"] = "perhaps"
    assert stranger.types("list").returncode == 2


def test_a_name_that_matches_nothing_never_launches(person):
    before = person.types("list", "--json").stdout
    result = person.types("-n", "nobody-of-that-name")
    assert result.returncode == 1
    assert "-p t3.micro" in result.stderr
    assert json.loads(person.types("list", "--json").stdout) == json.loads(before) or "nobody" not in before


def test_terminate_of_nothing_ends_nothing(person, machine):
    result = person.types("terminate", machine, "nobody-of-that-name")
    assert result.returncode == 1
    names = [one["name"] for one in json.loads(person.types("list", "--json").stdout)]
    assert machine in names


def test_an_image_of_the_wrong_architecture_is_refused(person, name):
    from spot_connect.store import tables

    image = tables.default_image("us-east-1", "arm64")
    result = person.types("-n", name, "-p", "t2.micro", "-ami", image.id)
    assert result.returncode == 2, result.stderr
    assert "arm64" in result.stderr


def test_a_maximum_below_the_market_is_refused_with_the_market_price(person, name):
    result = person.types("-n", name, "-p", "m5.large", "-prc", "0.002")
    assert result.returncode == 4
    assert "lowest spot price" in result.stderr
