"""How instances stop, start and end."""

from __future__ import annotations

import pytest

from spot_connect.core.waiting import Seen, wait_for
from tests.local_cloud import PATIENCE

LONG = 1000


def test_terminate_answers_shutting_down_and_ends_terminated_for_a_reason(cloud, ec2):
    instance_id = cloud.run()["InstanceId"]
    reply = ec2.terminate_instances(InstanceIds=[instance_id])["TerminatingInstances"][0]
    assert reply["CurrentState"]["Name"] == "shutting-down"
    ended = cloud.until(instance_id, "terminated")
    assert ended["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert ended["StateReason"]["Message"] == "Client.UserInitiatedShutdown: User initiated shutdown"
    assert ended["StateTransitionReason"].startswith("User initiated (")
    assert "PublicIpAddress" not in ended


def test_terminating_twice_is_no_error(cloud, ec2):
    instance_id = cloud.spot()["InstanceId"]
    cloud.end(instance_id)
    reply = ec2.terminate_instances(InstanceIds=[instance_id])["TerminatingInstances"][0]
    assert reply["PreviousState"]["Name"] == "terminated"
    assert cloud.instance(instance_id)["State"]["Name"] == "terminated"


def test_one_unknown_id_and_none_is_terminated(cloud, ec2, refused):
    instance_id = cloud.run()["InstanceId"]
    code, _ = refused(ec2.terminate_instances, InstanceIds=[instance_id, "i-0123456789abcdef0"])
    assert code == "InvalidInstanceID.NotFound"
    assert cloud.until(instance_id, "running")


def test_a_one_time_spot_instance_cannot_be_stopped(cloud, ec2, refused):
    instance_id = cloud.spot()["InstanceId"]
    code, message = refused(ec2.stop_instances, InstanceIds=[instance_id])
    assert code == "UnsupportedOperation"
    assert "You can only stop Spot Instances associated with persistent Spot Instance requests." in message


def test_a_stopped_instance_comes_back_at_another_address(cloud, ec2):
    before = cloud.until(cloud.run()["InstanceId"], "running")
    instance_id = before["InstanceId"]
    reply = ec2.stop_instances(InstanceIds=[instance_id])["StoppingInstances"][0]
    assert reply["CurrentState"]["Name"] == "stopping"
    assert "PublicIpAddress" not in cloud.until(instance_id, "stopped")
    reply = ec2.start_instances(InstanceIds=[instance_id])["StartingInstances"][0]
    assert reply["CurrentState"]["Name"] == "pending"
    after = cloud.until(instance_id, "running")
    assert after["PublicIpAddress"] != before["PublicIpAddress"]
    assert cloud.tags(instance_id)["spot-connect:ssh"].startswith(after["PublicIpAddress"])


@pytest.mark.parametrize("verb", ["start_instances", "stop_instances", "reboot_instances"])
def test_what_has_ended_does_not_come_back(cloud, ec2, refused, verb):
    instance_id = cloud.run()["InstanceId"]
    cloud.end(instance_id)
    assert refused(getattr(ec2, verb), InstanceIds=[instance_id])[0] == "IncorrectInstanceState"


def test_the_status_is_initializing_until_the_instance_has_booted(cloud, ec2):
    cloud.control("POST", "boot-seconds", seconds=LONG)
    try:
        instance_id = cloud.until(cloud.run()["InstanceId"], "running")["InstanceId"]
        assert _status(ec2, instance_id) == "initializing"
        cloud.control("POST", "clock", forward=LONG)
        assert _status(ec2, instance_id) == "ok"
    finally:
        cloud.control("POST", "boot-seconds", seconds=0)


def test_an_instance_is_forgotten_an_hour_after_its_end(cloud, ec2, refused):
    launched = cloud.spot()
    cloud.end(launched["InstanceId"])
    cloud.control("POST", "clock", forward=3000)
    assert cloud.instance(launched["InstanceId"])
    cloud.control("POST", "clock", forward=700)
    assert refused(ec2.describe_instances, InstanceIds=[launched["InstanceId"]])[0] == "InvalidInstanceID.NotFound"
    request = {"SpotInstanceRequestIds": [launched["SpotInstanceRequestId"]]}
    assert ec2.describe_spot_instance_requests(**request)["SpotInstanceRequests"]
    cloud.control("POST", "clock", forward=4 * 3600)
    assert refused(ec2.describe_spot_instance_requests, **request)[0] == "InvalidSpotInstanceRequestID.NotFound"


@pytest.mark.parametrize(
    ("instance_id", "code"),
    [("i-0123456789abcdef0", "InvalidInstanceID.NotFound"), ("vm1", "InvalidInstanceID.Malformed")],
)
def test_unknown_and_malformed_ids(ec2, refused, instance_id, code):
    for call in (ec2.describe_instances, ec2.terminate_instances):
        assert refused(call, InstanceIds=[instance_id])[0] == code


def test_a_group_in_use_cannot_be_deleted_until_the_instance_has_ended(cloud, ec2, refused, group):
    instance_id = cloud.run(SecurityGroupIds=[group])["InstanceId"]
    assert refused(ec2.delete_security_group, GroupId=group) == (
        "DependencyViolation",
        f"resource {group} has a dependent object",
    )
    cloud.end(instance_id)
    ec2.delete_security_group(GroupId=group)


def test_a_group_that_another_groups_rule_names_cannot_be_deleted(ec2, refused, group, name):
    other = ec2.create_security_group(GroupName=f"{name}-efs", Description="test")["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 2049, "ToPort": 2049, "UserIdGroupPairs": [{"GroupId": group}]}
    ec2.authorize_security_group_ingress(GroupId=other, IpPermissions=[rule])
    assert refused(ec2.delete_security_group, GroupId=group)[0] == "DependencyViolation"
    ec2.delete_security_group(GroupId=other)
    ec2.delete_security_group(GroupId=group)


def test_an_ended_instance_leaves_no_interface(cloud, ec2):
    launched = cloud.run()
    interface = launched["NetworkInterfaces"][0]["NetworkInterfaceId"]
    cloud.end(launched["InstanceId"])
    wanted = [{"Name": "network-interface-id", "Values": [interface]}]
    assert ec2.describe_network_interfaces(Filters=wanted)["NetworkInterfaces"] == []


def test_the_console_shows_the_host_key_of_the_instance(cloud, ec2):
    instance_id = cloud.run()["InstanceId"]

    def look():
        text = ec2.get_console_output(InstanceId=instance_id).get("Output", "")
        return Seen(text if "-----END SSH HOST KEY KEYS-----" in text else None, text)

    text = wait_for("host key", look, seconds=PATIENCE, every=0.05)
    assert "ssh-ed25519 " in text.partition("-----BEGIN SSH HOST KEY KEYS-----")[2]


def _status(ec2, instance_id):
    found = ec2.describe_instance_status(InstanceIds=[instance_id])["InstanceStatuses"][0]
    return found["InstanceStatus"]["Status"]
