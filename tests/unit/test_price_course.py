"""The course of a price: what held counts, nothing is lost between two parts, and its picture keeps its order."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot_connect.core.models import SpotPrice
from spot_connect.core.price_course import courses
from spot_connect.core.prices import saving
from spot_connect.core.sparkline import BARS, sparkline

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
DAY = timedelta(days=1)

amounts = st.decimals("0.0005", "50", places=4)
moments = st.integers(-200_000, 90_000).map(lambda seconds: NOON + timedelta(seconds=seconds))
histories = st.lists(
    st.builds(SpotPrice, st.sampled_from(["t3.micro", "m5.large"]), st.sampled_from("abc"), amounts, moments),
    max_size=15,
)


def price(amount, hours, zone="a"):
    return SpotPrice("t3.micro", zone, Decimal(amount), NOON + timedelta(hours=hours))


def one(*prices):
    (course,) = courses(prices, NOON, NOON + DAY)
    return course


def test_the_price_set_before_the_start_counts_while_it_holds():
    course = one(price("0.1", -30), price("0.5", -20), price("0.2", 12))
    assert (course.low, course.high, course.now) == (Decimal("0.2"), Decimal("0.5"), Decimal("0.2"))


def test_a_price_after_the_end_is_not_known_yet():
    assert one(price("0.1", -1), price("0.9", 25)).now == Decimal("0.1")


def test_zones_and_types_are_apart_and_in_order():
    found = courses([price("1", 0, "b"), price("2", 0, "a")], NOON, NOON + DAY)
    assert [(course.zone, course.now) for course in found] == [("a", 2), ("b", 1)]


def test_a_short_peak_is_seen():
    course = one(price("0.1", -1), price("0.9", 6.1), price("0.1", 6.2))
    assert course.levels(4) == tuple(map(Decimal, ("0.1", "0.9", "0.1", "0.1")))


def test_the_parts_before_the_first_known_price_have_that_one():
    assert one(price("0.3", 20)).levels(3) == (Decimal("0.3"),) * 3


@given(histories, st.integers(1, 40))
def test_levels_have_the_highest_price_and_none_that_never_was(prices, count):
    for course in courses(prices, NOON, NOON + DAY):
        levels = course.levels(count)
        assert len(levels) == count
        assert max(levels) == course.high
        assert set(levels) <= {price.price for price in course.prices}
        assert course.low <= course.now <= course.high


@given(histories)
def test_every_type_and_zone_with_a_price_has_one_course(prices):
    found = courses(prices, NOON, NOON + DAY)
    known = {(price.instance_type, price.zone) for price in prices if price.since <= NOON + DAY}
    assert sorted(known) == [(course.instance_type, course.zone) for course in found]


@given(st.lists(amounts, max_size=40))
def test_a_sparkline_has_a_bar_a_number_in_the_same_order_of_height(numbers):
    bars = sparkline(numbers)
    assert len(bars) == len(numbers)
    assert set(bars) <= set(BARS)
    pairs = sorted(zip(numbers, bars, strict=True))
    assert [BARS.index(bar) for _, bar in pairs] == sorted(BARS.index(bar) for bar in bars)
    if len(set(numbers)) > 1:
        assert {BARS[0], BARS[-1]} <= set(bars)


def test_what_does_not_move_stays_low():
    assert sparkline([Decimal(3)] * 4) == "▁▁▁▁"


@pytest.mark.parametrize(
    ("spot", "on_demand", "percent"), [("0.03", "0.1", 70), ("0.1", "0.1", 0), ("0.2", "0.1", -100), ("1", None, None)]
)
def test_saving(spot, on_demand, percent):
    assert saving(Decimal(spot), Decimal(on_demand) if on_demand else None) == percent
