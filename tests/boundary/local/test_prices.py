"""Spot prices, their history, on-demand prices, limits and scores."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest

LINUX = "Linux/UNIX"


@pytest.fixture
def now(cloud):
    return datetime.fromtimestamp(cloud.control("POST", "clock", forward=0)["now"], timezone.utc)


@pytest.fixture
def history(ec2):
    def history(**query):
        query = {"InstanceTypes": ["t3.medium"], "ProductDescriptions": [LINUX], **query}
        pages = ec2.get_paginator("describe_spot_price_history").paginate(**query)
        return [change for page in pages for change in page["SpotPriceHistory"]]

    return history


def test_the_cheapest_zone_has_the_price_of_the_table(history, now):
    prices = [Decimal(one["SpotPrice"]) for one in history(StartTime=now)]
    assert min(prices) == Decimal("0.017")
    assert len(set(prices)) > 1


def test_from_now_on_each_zone_has_one_price(history, now):
    found = history(StartTime=now)
    zones = [one["AvailabilityZone"] for one in found]
    assert len(zones) == len(set(zones)) > 2
    assert all(one["Timestamp"] <= now for one in found)
    assert all(one["AvailabilityZoneId"].startswith("use1-az") for one in found)


def test_prices_change_every_few_days_for_90_days(history, now):
    by_zone = defaultdict(list)
    for one in history():
        by_zone[one["AvailabilityZone"]].append(one["Timestamp"])
    for times in by_zone.values():
        assert times == sorted(times, reverse=True)
        assert now - times[-1] < timedelta(days=96)
        assert now - times[-1] >= timedelta(days=90)
        assert all(timedelta(days=1) <= a - b <= timedelta(days=6) for a, b in itertools.pairwise(times))


def test_the_same_question_has_the_same_answer(history):
    assert history() == history()


def test_start_and_end_bound_the_changes_and_the_price_that_held_at_the_start_is_told(history, now):
    start, end = now - timedelta(days=30), now - timedelta(days=10)
    found = history(StartTime=start, EndTime=end, AvailabilityZone="us-east-1a")
    assert {one["AvailabilityZone"] for one in found} == {"us-east-1a"}
    times = [one["Timestamp"] for one in found]
    assert times[0] <= end
    assert [time for time in times if time <= start] == times[-1:]


@pytest.mark.parametrize(
    "query",
    [
        {"Filters": [{"Name": "availability-zone", "Values": ["us-east-1b"]}]},
        {"Filters": [{"Name": "product-description", "Values": [LINUX]}], "ProductDescriptions": []},
        {"Filters": [{"Name": "instance-type", "Values": ["t3.medium"]}], "InstanceTypes": []},
        {"ProductDescriptions": [f"{LINUX} (Amazon VPC)"]},
    ],
)
def test_filters_say_the_same(history, now, query):
    found = history(StartTime=now, **query)
    assert found
    assert {one["InstanceType"] for one in found} == {"t3.medium"}
    assert len({one["ProductDescription"] for one in found}) == 1


def test_pages_hold_as_many_as_asked_for_and_all_together_everything(ec2, history):
    query = {"InstanceTypes": ["t3.medium"], "ProductDescriptions": [LINUX]}
    first = ec2.describe_spot_price_history(MaxResults=7, **query)
    assert len(first["SpotPriceHistory"]) == 7
    assert first["NextToken"]
    assert history(PaginationConfig={"PageSize": 7}) == history()


def test_what_is_not_sold_as_spot_has_no_price(history, now):
    assert history(StartTime=now, InstanceTypes=["mac1.metal"]) == []


def test_a_region_has_its_own_prices(cloud, now):
    found = cloud.client("ec2", "eu-west-1").describe_spot_price_history(
        InstanceTypes=["t3.medium"], ProductDescriptions=[LINUX], StartTime=now
    )["SpotPriceHistory"]
    assert {one["AvailabilityZone"][:-1] for one in found} == {"eu-west-1"}


def test_placement_scores_are_low_for_few_types(ec2):
    few = ec2.get_spot_placement_scores(TargetCapacity=1, InstanceTypes=["t3.micro"], RegionNames=["us-east-1"])
    many = ec2.get_spot_placement_scores(
        TargetCapacity=1, InstanceTypes=["t3.micro", "t3.small", "t3.medium"], SingleAvailabilityZone=True
    )
    assert [score["Region"] for score in few["SpotPlacementScores"]] == ["us-east-1"]
    assert few["SpotPlacementScores"][0]["Score"] <= 3
    scores = [score["Score"] for score in many["SpotPlacementScores"]]
    assert scores == sorted(scores, reverse=True)
    assert all(1 <= score <= 10 for score in scores)
    assert all(score["AvailabilityZoneId"] for score in many["SpotPlacementScores"])


def test_on_demand_prices(cloud):
    wanted = {
        "instanceType": "t3.medium",
        "regionCode": "us-east-1",
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    filters = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in wanted.items()]
    pricing = cloud.client("pricing")
    products = pricing.get_products(ServiceCode="AmazonEC2", Filters=filters)["PriceList"]
    assert len(products) == 1
    [term] = json.loads(products[0])["terms"]["OnDemand"].values()
    [dimension] = term["priceDimensions"].values()
    assert Decimal(dimension["pricePerUnit"]["USD"]) == Decimal("0.0416")
    filters[2]["Value"] = "Windows"
    assert pricing.get_products(ServiceCode="AmazonEC2", Filters=filters)["PriceList"] == []


def test_limits(cloud, refused):
    quotas = cloud.client("service-quotas")
    quota = quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-34B43A08")["Quota"]
    assert quota["Value"] > 0
    defaults = quotas.list_aws_default_service_quotas(ServiceCode="ec2")["Quotas"]
    assert quota["QuotaCode"] in [one["QuotaCode"] for one in defaults]
    code, _ = refused(quotas.get_service_quota, ServiceCode="ec2", QuotaCode="L-00000000")
    assert code == "NoSuchResourceException"
