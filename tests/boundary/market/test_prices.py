"""Prices and types that fit, asked of a real local cloud in few calls."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from urllib.parse import parse_qs

import pytest

from spot_connect.aws import images, instance_types, on_demand, prices
from spot_connect.core.errors import NotAuthorized, SpotConnectError, Throttled, UsageError
from spot_connect.core.offers import Needs
from spot_connect.launching.realm import Realm
from spot_connect.market import fitting, list_prices
from spot_connect.market.naming import check_regions, check_types
from spot_connect.market.quotes import not_sold, quotes
from spot_connect.store import tables

HERE = ("us-east-1",)
WEEK = timedelta(days=7)
BIG = Needs(vcpus=8, memory_gib=Decimal(32))


def test_every_zone_has_its_price_and_the_bounds_hold_it(realm, heard):
    found = quotes(realm, ("t3.small", "m5.large"), HERE, WEEK, heard)
    assert [quote.course.instance_type for quote in found] == sorted(
        (quote.course.instance_type for quote in found), reverse=True
    )
    assert len({quote.course.zone for quote in found}) > 1
    assert all(quote.course.low <= quote.course.now <= quote.course.high for quote in found)
    assert min(q.course.now for q in found if q.course.instance_type == "t3.small") == tables.spot_price(
        "t3.small", "us-east-1"
    )
    assert all(quote.band and quote.saving for quote in found)


def test_on_demand_prices_are_live_where_the_price_list_may_be_read(realm, heard):
    (quote, *_) = quotes(realm, ("t3.small",), HERE, WEEK, heard)
    assert quote.on_demand == list_prices.ListPrice(Decimal("0.0208"), "live")
    assert heard.notes == []


def test_on_demand_prices_are_those_of_the_table_where_it_may_not(realm, wire, heard):
    wire.refuse("GetProducts", "AccessDeniedException")
    (quote, *_) = quotes(realm, ("t3.small",), HERE, WEEK, heard)
    row = tables.price("t3.small", "us-east-1")
    assert quote.on_demand == list_prices.ListPrice(row.on_demand, "table", row.on_demand_as_of)
    assert "shipped table" in heard.notes[0]


def test_it_is_one_call_for_prices_and_one_a_type_for_the_list(realm, wire, heard):
    quotes(realm, ("t3.small", "m5.large"), HERE, WEEK, heard)
    assert wire.calls == {"DescribeSpotPriceHistory": 1, "GetProducts": 2}


def test_the_period_is_the_one_asked_for(realm, wire, heard):
    noon = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)
    quotes(realm, ("t3.small",), HERE, WEEK, heard, now=noon)
    (body,) = wire.bodies("DescribeSpotPriceHistory")
    assert parse_qs(body)["StartTime"] == ["2026-10-25T12:00:00Z"]


def test_several_regions_are_one_question_to_the_price_list(realm, wire, heard):
    regions = ("eu-west-1", "us-east-1")
    found = quotes(realm, ("t3.small",), regions, WEEK, heard)
    assert [*dict.fromkeys(quote.region for quote in found)] == list(regions)
    assert {quote.on_demand.source for quote in found} == {"live"}
    assert wire.calls["GetProducts"] == 1
    (body,) = wire.bodies("GetProducts")
    assert "regionCode" not in {one["Field"] for one in json.loads(body)["Filters"]}


def test_a_region_that_refuses_does_not_hide_the_others(realm, wire, heard):
    wire.tap("eu-west-1")
    wire.refuse("DescribeSpotPriceHistory", "UnauthorizedOperation")
    found = quotes(realm, ("t3.small",), ("us-east-1", "eu-west-1"), WEEK, heard)
    assert len({quote.region for quote in found}) == 1
    assert len(heard.warnings) == 1


def test_if_every_region_refuses_so_do_we(realm, wire, heard):
    wire.refuse("DescribeSpotPriceHistory", "UnauthorizedOperation")
    with pytest.raises(NotAuthorized, match="us-east-1"):
        quotes(realm, ("t3.small",), HERE, WEEK, heard)


def test_a_type_that_is_not_sold_has_no_quote(realm, heard):
    found = quotes(realm, ("t3.small", "t99.small"), HERE, WEEK, heard)
    assert not_sold(found, ("t3.small", "t99.small")) == ("t99.small",)


def test_what_is_neither_known_nor_like_a_type_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"t3\.small"):
        check_types(["t3.smal"])
    assert check_types(["t3.small", "x99z.4xlarge", "t3.small"]) == ("t3.small", "x99z.4xlarge")


def test_regions(realm):
    assert check_regions(realm, [], everywhere=False) == HERE
    assert check_regions(realm, ["eu-west-1"], everywhere=False) == ("eu-west-1",)
    assert "eu-west-1" in check_regions(realm, [], everywhere=True)
    assert check_regions(realm, [], everywhere=True, ask=False) == tuple(tables.regions())
    with pytest.raises(UsageError, match="eu-west-1"):
        check_regions(realm, ["eu-west-11"], everywhere=False)
    with pytest.raises(UsageError, match="all-regions"):
        check_regions(realm, ["eu-west-1"], everywhere=True)


def test_live_prices_find_what_the_tables_find_since_the_local_cloud_has_their_prices(realm, heard):
    live = fitting.live(realm, BIG, HERE, 5, heard)
    stored = fitting.stored(BIG, HERE, 5)
    assert [one.offer.hardware for one in live] == [one.offer.hardware for one in stored]
    assert [one.offer.spot for one in live] == [one.offer.spot for one in stored]
    assert all(one.offer.zone.startswith("us-east-1") and one.on_demand.source == "live" for one in live)
    assert all(one.on_demand.source == "table" for one in stored)


def test_many_types_are_read_in_few_calls(realm, wire, heard):
    fitting.live(realm, BIG, HERE, 3, heard)
    assert wire.calls["DescribeSpotPriceHistory"] <= 6
    assert wire.calls["GetProducts"] == 3


def test_what_is_found_can_be_launched_with_p(realm):
    everywhere = tuple(tables.regions())
    for one in fitting.stored(Needs(gpus=1), everywhere, 60):
        name, region = one.offer.hardware.instance_type, one.offer.region
        profile = realm.profiles.get(name, region)
        assert profile.instance_type == name


def test_nothing_that_fits_is_an_error_that_says_what_to_do(realm, heard):
    needs = replace(BIG, vcpus=9999)
    with pytest.raises(SpotConnectError, match="--all-regions"):
        fitting.stored(needs, HERE, 5)
    with pytest.raises(SpotConnectError, match="--all-regions"):
        fitting.live(realm, needs, HERE, 5, heard)


def test_a_gpu_that_no_type_has_is_refused():
    assert fitting.check_gpu("rtx pro 4500") == "RTX PRO 4500"
    with pytest.raises(UsageError, match="A100"):
        fitting.check_gpu("A1000")


def test_the_facts_of_types_are_those_of_the_tables(realm):
    names = ["g6f.large", "inf2.xlarge", "m5.large", "t4g.nano", "nosuch.large"]
    found = {one.instance_type: one for one in instance_types.facts(realm.cloud("us-east-1"), names)}
    assert sorted(found) == names[:4]
    for name, one in found.items():
        row = tables.type_row(name)
        assert {field: getattr(one, field) for field in row.__slots__} == {
            field: getattr(row, field) for field in row.__slots__
        }
    assert (found["inf2.xlarge"].accelerator_name, found["inf2.xlarge"].accelerator_count) == ("Inferentia2", 1)


def test_list_prices_of_a_region_agree_with_those_of_a_type(realm, wire):
    cloud = realm.cloud("us-east-1")
    everything = on_demand.list_prices(cloud, region="us-east-1")
    assert len(everything) > 900
    one = on_demand.list_prices(cloud, region="us-east-1", instance_type="t3.small")
    assert one == {("t3.small", "us-east-1"): everything["t3.small", "us-east-1"]}


def test_throttling_is_told(realm, wire):
    wire.refuse("GetProducts", *["ThrottlingException"] * 5)
    with pytest.raises(Throttled):
        on_demand.list_prices(realm.cloud("us-east-1"), instance_type="t3.small")


def test_windows_has_prices_of_its_own(realm):
    cloud = realm.cloud("us-east-1")
    (linux, *_) = prices.spot_prices(cloud, ["m5.large"])
    windows = prices.spot_prices(cloud, ["m5.large"], os="Windows")
    assert all(price.price > linux.price for price in windows)


def test_the_newest_images_come_ten_in_a_call(realm, wire):
    names = {row.ssm_parameter for row in tables.images("us-east-1") if row.ssm_parameter}
    found = images.newest_ids(realm.cloud("us-east-1"), names | {"/aws/service/no/such"})
    assert set(found) == names
    assert all(newest.id.startswith("ami-") for newest in found.values())
    assert wire.calls["GetParameters"] == -(-(len(names) + 1) // 10)


def test_a_realm_without_a_cloud_can_still_find(tmp_path, monkeypatch):
    monkeypatch.setenv("SPOT_CONNECT_HOME", str(tmp_path))
    regions = check_regions(Realm(local=False), [], everywhere=False)
    assert fitting.stored(BIG, regions, 1)
