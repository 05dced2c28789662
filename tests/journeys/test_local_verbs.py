"""The verb ``local``: what a person reads who starts, empties and stops a local cloud."""

from __future__ import annotations

import pytest


@pytest.fixture
def owner(stranger):
    """Somebody with a local cloud of their own, which is down at first and afterwards."""
    yield stranger
    stranger.types("local", "down")


def test_up_says_once_that_it_starts_and_nothing_when_it_need_not(owner):
    first = owner.types("local", "up")
    assert first.returncode == 0, first.stderr
    assert first.stderr.count("starting the local cloud") == 1
    again = owner.types("local", "up")
    assert "cloud already up" in again.stderr
    assert "starting" not in again.stderr
    assert "Every instance has been ended and everything forgotten." in owner.types("local", "up", "--fresh").stderr


@pytest.mark.parametrize("words", [("interrupt", "vm1"), ("env",), ("fault", "capacity")])
def test_what_needs_a_cloud_says_how_to_start_one(stranger, words):
    result = stranger.types("local", *words)
    assert result.returncode == 1
    assert "the local cloud is not running\n  Run `spot_connect local up` first.\n" in result.stderr


def test_a_home_that_cannot_be_made_is_told_without_the_number_of_the_error(stranger):
    stranger.environment["SPOT_CONNECT_HOME"] = "/proc/nowhere"
    result = stranger.types("local", "up")
    assert result.returncode == 1
    assert "cannot use /proc/nowhere: No such file or directory\n  Set SPOT_CONNECT_HOME to" in result.stderr
    assert "Errno" not in result.stderr


@pytest.mark.parametrize("words", [("-n", "vm1", "-p", "t2.micro"), ("list",), ("terminate", "vm1")])
def test_a_region_that_does_not_exist_is_refused_with_the_nearest(person, words):
    result = person.types(*words, "-reg", "us-est-1")
    assert result.returncode == 4
    assert "Invalid region provided: us-est-1. Did you mean " in result.stderr
    assert "us-east-1" in result.stderr
    assert "wait" not in result.stderr


def test_a_region_that_is_like_no_other_is_refused_too(person):
    result = person.types("-n", "vm1", "-p", "t2.micro", "-reg", "xx-nowhere-1")
    assert result.returncode == 4
    assert "Invalid region provided: xx-nowhere-1. (InvalidParameterValue)" in result.stderr
