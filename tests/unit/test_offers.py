"""Types that fit, cheapest first."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot_connect.core.offers import Needs, Offer, cheapest
from spot_connect.core.type_names import looks_like_a_type
from spot_connect.store import tables
from spot_connect.store.tables import TypeRow

PLAIN = TypeRow("m5.large", 2, Decimal(8), "x86_64", "", None, None, spot=True, current_generation=True)
GPU = replace(PLAIN, instance_type="g5.xlarge", gpu_name="A10G", gpu_count=Decimal(1), gpu_memory_gib=Decimal(24))

kinds = st.builds(
    TypeRow,
    st.from_regex(r"[a-z][0-9]\.large", fullmatch=True),
    st.integers(1, 8),
    st.integers(1, 64).map(Decimal),
    st.sampled_from(["x86_64", "arm64"]),
    st.sampled_from(["", "T4", "A100"]),
    st.none() | st.integers(1, 8).map(Decimal),
    st.none() | st.integers(1, 80).map(Decimal),
    st.booleans(),
    st.booleans(),
)
offered = st.builds(Offer, kinds, st.sampled_from(["us-east-1", "eu-west-1"]), st.decimals("0.001", "9", places=3))
needed = st.builds(
    Needs,
    st.integers(0, 8),
    st.integers(0, 64).map(Decimal),
    st.sampled_from(["", "t4", "A100"]),
    st.integers(0, 4),
    st.integers(0, 40).map(Decimal),
    st.sampled_from(["", "arm64"]),
    st.booleans(),
    st.none() | st.decimals("0.01", "9", places=2),
)


@given(st.lists(offered, max_size=20), needed, st.integers(1, 25))
def test_what_is_found_fits_is_in_order_and_nothing_cheaper_was_passed_over(offers, needs, count):
    found = cheapest(offers, needs, count)
    assert len(found) <= count
    assert all(needs.met_by(offer.hardware) for offer in found)
    assert all(needs.max_price is None or offer.spot <= needs.max_price for offer in found)
    prices = [offer.spot for offer in found]
    assert prices == sorted(prices)
    everything = cheapest(offers, needs, len(offers) + 1)
    assert found == everything[:count]
    assert len(everything) == sum(needs.met_by(o.hardware) and o in everything for o in offers)


@given(kinds, needed)
def test_asking_for_less_never_finds_less(kind, needs):
    if needs.met_by(kind):
        assert replace(needs, vcpus=0, gpus=0, gpu="").met_by(kind)


def test_of_equal_prices_the_one_with_more_comes_first():
    more = replace(PLAIN, instance_type="z9.large", memory_gib=Decimal(16))
    offers = [Offer(kind, "us-east-1", Decimal("0.1")) for kind in (PLAIN, more)]
    assert [offer.hardware for offer in cheapest(offers, Needs(), 2)] == [more, PLAIN]


@pytest.mark.parametrize(
    ("needs", "fits"),
    [
        (Needs(gpu="a10g"), True),
        (Needs(gpu="A10"), False),
        (Needs(gpus=1), True),
        (Needs(gpus=2), False),
        (Needs(gpu_memory_gib=Decimal(24)), True),
        (Needs(gpu_memory_gib=Decimal("24.1")), False),
    ],
)
def test_gpus(needs, fits):
    assert needs.met_by(GPU) is fits
    assert not needs.met_by(PLAIN)


def test_every_type_of_the_table_looks_like_one():
    assert [kind.instance_type for kind in tables.types() if not looks_like_a_type(kind.instance_type)] == []


@pytest.mark.parametrize("text", ["", "t2", "t2.", ".micro", "t2.mirco", "T2.micro", "t2.micro ", "t2.micro.x", "m5"])
def test_what_does_not_look_like_a_type(text):
    assert not looks_like_a_type(text)
