"""Prices: the order of zones, the cost of a run, and how money is shown."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from spot_connect.core.errors import SpotConnectError, UsageError
from spot_connect.core.models import SpotPrice
from spot_connect.core.prices import cost_between, current, money, order_zones

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
ZONES = ("a", "b", "c", "d")

moments = st.integers(-100_000, 100_000).map(lambda seconds: NOON + timedelta(seconds=seconds))
amounts = st.decimals("0.0005", "50", places=4)
histories = st.lists(st.builds(SpotPrice, st.just("t3.micro"), st.sampled_from(ZONES), amounts, moments), max_size=12)


def price(zone, amount, hours=0.0):
    return SpotPrice("t3.micro", zone, Decimal(amount), NOON + timedelta(hours=hours))


def test_the_cheapest_zone_comes_first_and_an_unknown_one_last():
    prices = [price("b", "0.2"), price("a", "0.3"), price("c", "0.9", -2), price("c", "0.1", 1)]
    assert order_zones(prices, ["a", "x", "b", "c"]) == ("c", "b", "a", "x")


def test_equal_zones_keep_their_order():
    assert order_zones([price("a", "1"), price("b", "1.0")], ["y", "b", "x", "a"]) == ("b", "a", "y", "x")


@given(histories, st.permutations(ZONES))
def test_ordering_neither_loses_nor_invents_zones(prices, zones):
    ordered = order_zones(prices, zones)
    known = current(prices)
    assert sorted(ordered) == sorted(zones)
    assert [zone in known for zone in ordered] == sorted((zone in known for zone in zones), reverse=True)
    figures = [known[zone].price for zone in ordered if zone in known]
    assert figures == sorted(figures)


@given(histories)
def test_the_current_price_is_the_newest(prices):
    for zone, newest in current(prices).items():
        assert newest.since == max(each.since for each in prices if each.zone == zone)


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [(60, "0.36"), (0, "0.006"), (0.5, "0.006"), (1, "0.006"), (120, "1.08"), (150, "1.44")],
)
def test_a_run_costs_the_price_of_each_moment_and_a_minute_at_the_least(minutes, expected):
    prices = [price("a", "0.72", 1), price("a", "0.36", -5), price("b", "9", 0)]
    assert cost_between(prices, "a", NOON, NOON + timedelta(minutes=minutes)) == Decimal(expected)


def test_before_the_first_known_price_that_price_holds():
    assert cost_between([price("a", "0.36", 5)], "a", NOON, NOON + timedelta(hours=1)) == Decimal("0.36")


def test_a_zone_without_prices_is_refused():
    with pytest.raises(SpotConnectError, match="cannot tell the cost in b"):
        cost_between([price("a", "1")], "b", NOON, NOON)


def test_a_run_that_ends_before_it_starts_is_refused():
    with pytest.raises(UsageError, match="ends before it starts"):
        cost_between([price("a", "1")], "a", NOON, NOON - timedelta(seconds=1))


@given(histories, st.lists(moments, min_size=3, max_size=3, unique=True))
def test_the_cost_of_two_parts_is_the_cost_of_the_whole(prices, times):
    start, middle, end = sorted(times)
    assume("a" in current(prices))
    assume(min(middle - start, end - middle) >= timedelta(seconds=60))
    parts = cost_between(prices, "a", start, middle) + cost_between(prices, "a", middle, end)
    assert abs(parts - cost_between(prices, "a", start, end)) < Decimal("1e-18")


@given(histories, moments, st.integers(0, 100_000))
def test_the_cost_lies_between_the_lowest_and_the_highest_price(prices, start, seconds):
    assume("a" in current(prices))
    figures = [each.price for each in prices if each.zone == "a"]
    hours = Decimal(max(seconds, 60)) / 3600
    cost = cost_between(prices, "a", start, start + timedelta(seconds=seconds))
    tiny = Decimal("1e-18")
    assert min(figures) * hours - tiny <= cost <= max(figures) * hours + tiny


@given(st.permutations([price("a", f"0.{hour}", hour) for hour in range(1, 7)]))
def test_the_order_of_the_history_does_not_matter(prices):
    in_order = sorted(prices, key=lambda each: each.since)
    end = NOON + timedelta(hours=9)
    assert cost_between(prices, "a", NOON, end) == cost_between(in_order, "a", NOON, end)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "$0.00"),
        ("0.0052", "$0.0052"),
        ("0.005", "$0.005"),
        ("0.1", "$0.10"),
        ("3", "$3.00"),
        ("1234.5", "$1,234.50"),
        ("0.00004", "<$0.0001"),
        ("0.00005", "$0.0001"),
        ("0.12345", "$0.1235"),
        ("-0.5", "-$0.50"),
        ("1E+2", "$100.00"),
    ],
)
def test_money_has_two_to_four_decimals(value, text):
    assert money(Decimal(value)) == text
