"""Spot requests as AWS keeps them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest


@pytest.fixture
def request_of(ec2):
    def request_of(instance):
        ids = [instance["SpotInstanceRequestId"]]
        return ec2.describe_spot_instance_requests(SpotInstanceRequestIds=ids)["SpotInstanceRequests"][0]

    return request_of


def test_a_spot_instance_has_a_request_that_knows_it(cloud, request_of, name):
    tags = [{"Key": "Name", "Value": name}]
    launched = cloud.spot(
        options={"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"},
        TagSpecifications=[{"ResourceType": one, "Tags": tags} for one in ("instance", "spot-instances-request")],
    )
    request = request_of(launched)
    assert launched["InstanceLifecycle"] == "spot"
    assert request["InstanceId"] == launched["InstanceId"]
    assert (request["State"], request["Status"]["Code"]) == ("active", "fulfilled")
    assert (request["Type"], request["InstanceInterruptionBehavior"]) == ("one-time", "terminate")
    assert request["Tags"] == tags
    assert request["LaunchedAvailabilityZone"] == launched["Placement"]["AvailabilityZone"]
    assert request["LaunchSpecification"]["InstanceType"] == "t3.micro"
    now = datetime.fromtimestamp(cloud.control("POST", "clock", forward=0)["now"], timezone.utc)
    assert abs(now - request["CreateTime"]) < timedelta(hours=1)
    assert abs(now - request["Status"]["UpdateTime"]) < timedelta(hours=1)


def test_without_a_maximum_the_on_demand_price_is_the_maximum(cloud, request_of):
    assert Decimal(request_of(cloud.spot())["SpotPrice"]) == Decimal("0.0104")


def test_an_on_demand_instance_has_no_request(cloud):
    launched = cloud.run()
    assert "SpotInstanceRequestId" not in launched
    assert "InstanceLifecycle" not in launched


def test_a_maximum_below_the_price_is_refused_in_the_words_of_aws(cloud, ec2, refused):
    code, message = refused(cloud.spot, options={"MaxPrice": "0.0011"}, Placement={"AvailabilityZone": "us-east-1a"})
    now = datetime.now(timezone.utc) + timedelta(days=1)
    prices = ec2.describe_spot_price_history(
        InstanceTypes=["t3.micro"],
        ProductDescriptions=["Linux/UNIX"],
        AvailabilityZone="us-east-1a",
        StartTime=now,
        EndTime=now,
    )["SpotPriceHistory"]
    assert code == "SpotMaxPriceTooLow"
    needed = message.removesuffix(".").rpartition(" ")[2]
    assert message == (
        "Your Spot request price of 0.0011 is lower than the minimum required "
        f"Spot request fulfillment price of {needed}."
    )
    assert Decimal(needed) == Decimal(prices[0]["SpotPrice"])


def test_a_maximum_at_the_price_is_granted(cloud, request_of):
    launched = cloud.spot(options={"MaxPrice": "0.02"})
    assert Decimal(request_of(launched)["SpotPrice"]) == Decimal("0.02")


@pytest.mark.parametrize("price", ["abc", "0", "-1", "0.001", "NaN"])
def test_a_maximum_that_is_no_price_is_refused(cloud, refused, price):
    assert refused(cloud.spot, options={"MaxPrice": price})[0] == "InvalidParameterValue"


@pytest.mark.parametrize(
    "options",
    [
        {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "stop"},
        {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": "terminate"},
        {"SpotInstanceType": "one-time", "ValidUntil": datetime(2099, 1, 1, tzinfo=timezone.utc)},
    ],
)
def test_options_that_do_not_go_together_are_refused(cloud, refused, options):
    assert refused(cloud.spot, options=options)[0] == "InvalidParameterCombination"


def test_terminating_the_instance_closes_the_request(cloud, request_of):
    launched = cloud.spot()
    cloud.end(launched["InstanceId"])
    request = request_of(launched)
    assert (request["State"], request["Status"]["Code"]) == ("closed", "instance-terminated-by-user")


def test_a_cancelled_request_stays_and_so_does_its_instance(cloud, ec2, request_of):
    launched = cloud.spot()
    cancelled = ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[launched["SpotInstanceRequestId"]])
    assert cancelled["CancelledSpotInstanceRequests"][0]["State"] == "cancelled"
    request = request_of(launched)
    assert (request["State"], request["Status"]["Code"]) == ("cancelled", "request-canceled-and-instance-running")
    assert cloud.until(launched["InstanceId"], "running")


def test_unknown_requests_are_refused(ec2, refused):
    unknown = {"SpotInstanceRequestIds": ["sir-0123abcd"]}
    for call in (ec2.describe_spot_instance_requests, ec2.cancel_spot_instance_requests):
        assert refused(call, **unknown) == (
            "InvalidSpotInstanceRequestID.NotFound",
            "The spot instance request ID 'sir-0123abcd' does not exist",
        )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status-code", "fulfilled"),
        ("state", "active"),
        ("launch.instance-type", "t3.nano"),
        ("launched-availability-zone", "us-east-1*"),
        ("instance-id", None),
        ("spot-instance-request-id", None),
    ],
)
def test_requests_are_found_by(cloud, ec2, name, value):
    launched = cloud.spot(InstanceType="t3.nano")
    own = {"instance-id": launched["InstanceId"], "spot-instance-request-id": launched["SpotInstanceRequestId"]}
    mine = {"Name": name, "Values": [value or own[name]]}
    found = ec2.describe_spot_instance_requests(Filters=[mine])["SpotInstanceRequests"]
    assert launched["InstanceId"] in [request["InstanceId"] for request in found]
    other = {"Name": name, "Values": ["nothing"]}
    assert ec2.describe_spot_instance_requests(Filters=[other])["SpotInstanceRequests"] == []


@pytest.mark.parametrize("name", ["instance-lifecycle", "spot-instance-request-id"])
def test_instances_are_found_by(cloud, ec2, name):
    spot, other = cloud.spot(), cloud.run()
    values = {"instance-lifecycle": "spot", "spot-instance-request-id": spot["SpotInstanceRequestId"]}
    pages = ec2.get_paginator("describe_instances").paginate(Filters=[{"Name": name, "Values": [values[name]]}])
    ids = [one["InstanceId"] for page in pages for many in page["Reservations"] for one in many["Instances"]]
    assert spot["InstanceId"] in ids
    assert other["InstanceId"] not in ids


def test_the_old_api_makes_requests_of_the_same_kind(ec2, cloud, refused):
    launch = {"ImageId": cloud.image(), "InstanceType": "t3.micro"}
    made = ec2.request_spot_instances(LaunchSpecification=launch)["SpotInstanceRequests"][0]
    assert cloud.instance(made["InstanceId"])["SpotInstanceRequestId"] == made["SpotInstanceRequestId"]
    assert refused(ec2.request_spot_instances, SpotPrice="abc", LaunchSpecification=launch)[0] == (
        "InvalidParameterValue"
    )
