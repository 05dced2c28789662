"""Spot interruptions, as AWS announces and makes them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from spot_connect.core.errors import LocalCloudError
from tests.boundary.local.test_metadata import Metadata

ACTION, TIME, RISK = "spot/instance-action", "spot/termination-time", "events/recommendations/rebalance"


@pytest.fixture
def asked(cloud):
    """``asked(instance)`` are the three places of the metadata service."""

    def asked(instance):
        metadata = Metadata(cloud, instance["InstanceId"])
        metadata.begin()
        return {path: metadata.get(f"meta-data/{path}") for path in (ACTION, TIME, RISK)}

    return asked


def request_of(cloud, instance):
    ids = [instance["SpotInstanceRequestId"]]
    return cloud.client("ec2").describe_spot_instance_requests(SpotInstanceRequestIds=ids)["SpotInstanceRequests"][0]


def interrupt(cloud, instance, **body):
    return cloud.control("POST", f"instances/{instance['InstanceId']}/interrupt", **body)


def test_before_any_notice_there_is_nothing(cloud, asked):
    assert {status for status, _ in asked(cloud.spot()).values()} == {404}


def test_the_notice_names_the_deadline_while_the_instance_runs(cloud, asked):
    instance = cloud.spot()
    cloud.until(instance["InstanceId"], "running")
    now = datetime.fromtimestamp(cloud.control("POST", "clock", forward=0)["now"], timezone.utc)
    interrupt(cloud, instance)
    told = asked(instance)
    action = json.loads(told[ACTION][1])
    deadline = datetime.fromisoformat(action["time"].replace("Z", "+00:00"))
    assert action["action"] == "terminate"
    assert timedelta(seconds=118) <= deadline - now <= timedelta(seconds=121)
    assert told[TIME] == (200, action["time"])
    assert told[RISK][0] == 404
    assert cloud.instance(instance["InstanceId"])["State"]["Name"] == "running"
    assert request_of(cloud, instance)["Status"]["Code"] == "instance-terminated-no-capacity"


def test_at_the_deadline_it_ends_for_want_of_capacity(cloud):
    instance = cloud.spot()
    interrupt(cloud, instance, **{"in": 0.2})
    ended = cloud.until(instance["InstanceId"], "terminated")
    assert ended["StateReason"]["Code"] == "Server.SpotInstanceTermination"
    request = request_of(cloud, instance)
    assert (request["State"], request["Status"]["Code"]) == ("closed", "instance-terminated-no-capacity")


def test_of_two_notices_the_earlier_deadline_holds(cloud):
    instance = cloud.spot()
    first = interrupt(cloud, instance, **{"in": 60})
    assert interrupt(cloud, instance, **{"in": 600}) == first
    interrupt(cloud, instance, **{"in": 0})
    cloud.until(instance["InstanceId"], "terminated")


def test_the_cloud_s_clock_brings_the_deadline(cloud):
    instance = cloud.spot()
    interrupt(cloud, instance, **{"in": 500})
    cloud.control("POST", "clock", forward=501)
    cloud.until(instance["InstanceId"], "terminated")


def test_a_recommendation_to_rebalance_ends_nothing(cloud, asked):
    instance = cloud.spot()
    cloud.until(instance["InstanceId"], "running")
    first = cloud.control("POST", f"instances/{instance['InstanceId']}/rebalance")
    told = asked(instance)
    assert json.loads(told[RISK][1]) == {"noticeTime": first["noticed"]}
    assert told[ACTION][0] == 404
    assert request_of(cloud, instance)["Status"]["Code"] == "fulfilled"


def test_a_user_who_terminates_before_the_deadline_is_the_reason(cloud):
    instance = cloud.spot()
    interrupt(cloud, instance, **{"in": 300})
    cloud.end(instance["InstanceId"])
    assert cloud.instance(instance["InstanceId"])["StateReason"]["Code"] == "Client.UserInitiatedShutdown"


def test_what_is_no_running_spot_instance_cannot_be_interrupted(cloud):
    with pytest.raises(LocalCloudError, match="not a spot instance"):
        interrupt(cloud, cloud.run())
    ended = cloud.spot()
    cloud.end(ended["InstanceId"])
    with pytest.raises(LocalCloudError, match="terminated"):
        interrupt(cloud, ended)
