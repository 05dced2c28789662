"""What was just made is unknown to other calls for a while, as in AWS, where one server hears of it before the next."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from spot_connect.core.waiting import Seen, wait_for
from spot_connect.local.faults import Faults
from spot_connect.local.lag import Lag
from tests.local_cloud import PATIENCE

AN_HOUR = 3600


@pytest.fixture(autouse=True)
def lag(cloud):
    """``lag(seconds)`` begins it."""

    def lag(seconds=AN_HOUR, seed=1):
        return cloud.control("POST", "faults", kind="lag", seconds=seconds, seed=seed)

    yield lag
    cloud.control("DELETE", "faults")


@pytest.fixture
def efs(cloud):
    return cloud.client("efs")


@pytest.fixture
def iam(cloud):
    return cloud.client("iam")


def code_of(call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"]


def by_name(name):
    return [{"Name": "tag:Name", "Values": [name]}]


def named(kind, name):
    return [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}]}]


def test_a_group_is_neither_listed_nor_opened_nor_launched_with(cloud, ec2, name, lag):
    lag()
    group = ec2.create_security_group(GroupName=name, Description="x")["GroupId"]
    assert ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [name]}])["SecurityGroups"] == []
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "192.0.2.1/32"}
    assert code_of(ec2.authorize_security_group_ingress, GroupId=group, **rule) == "InvalidGroup.NotFound"
    assert code_of(cloud.run, SecurityGroupIds=[group]) == "InvalidGroup.NotFound"
    interface = {"DeviceIndex": 0, "Groups": [group]}
    assert code_of(cloud.run, NetworkInterfaces=[interface]) == "InvalidGroup.NotFound"
    # Who makes it again is told that it is there.
    assert code_of(ec2.create_security_group, GroupName=name, Description="x") == "InvalidGroup.Duplicate"


def test_a_key_pair_is_neither_found_nor_launched_with(cloud, ec2, name, lag):
    lag()
    ec2.create_key_pair(KeyName=name)
    assert code_of(ec2.describe_key_pairs, KeyNames=[name]) == "InvalidKeyPair.NotFound"
    assert name not in [pair["KeyName"] for pair in ec2.describe_key_pairs()["KeyPairs"]]
    assert code_of(cloud.run, KeyName=name) == "InvalidKeyPair.NotFound"
    assert code_of(ec2.create_key_pair, KeyName=name) == "InvalidKeyPair.Duplicate"


def test_an_instance_is_known_to_nobody_but_who_launched_it(cloud, ec2, name, lag):
    lag()
    launched = cloud.spot(TagSpecifications=named("instance", name))
    one, request = launched["InstanceId"], launched["SpotInstanceRequestId"]
    assert {"Key": "Name", "Value": name} in launched["Tags"]
    for found in (by_name(name), [{"Name": "instance-id", "Values": [one]}]):
        assert ec2.describe_instances(Filters=found)["Reservations"] == []
    unknown = "InvalidInstanceID.NotFound"
    assert code_of(ec2.describe_instances, InstanceIds=[one]) == unknown
    assert code_of(ec2.create_tags, Resources=[one], Tags=[{"Key": "a", "Value": "b"}]) == unknown
    assert code_of(ec2.get_console_output, InstanceId=one) == unknown
    assert code_of(ec2.describe_instance_attribute, InstanceId=one, Attribute="userData") == unknown
    assert code_of(ec2.terminate_instances, InstanceIds=[one]) == unknown
    unknown = "InvalidSpotInstanceRequestID.NotFound"
    assert code_of(ec2.describe_spot_instance_requests, SpotInstanceRequestIds=[request]) == unknown
    assert code_of(ec2.cancel_spot_instance_requests, SpotInstanceRequestIds=[request]) == unknown
    assert request not in str(ec2.describe_spot_instance_requests()["SpotInstanceRequests"])


def test_a_repeated_launch_with_the_token_is_the_same_launch(cloud, ec2, name, lag):
    lag()
    first = cloud.spot(ClientToken=name)
    assert cloud.spot(ClientToken=name)["InstanceId"] == first["InstanceId"]


def test_tags_show_what_they_were_before(cloud, ec2, name, lag):
    one = cloud.run(TagSpecifications=named("instance", f"{name}-old"))["InstanceId"]
    lag()
    ec2.create_tags(Resources=[one], Tags=[{"Key": "Name", "Value": f"{name}-new"}, {"Key": "more", "Value": "x"}])
    assert (cloud.tags(one)["Name"], "more" in cloud.tags(one)) == (f"{name}-old", False)
    assert ec2.describe_instances(Filters=by_name(f"{name}-new"))["Reservations"] == []
    cloud.control("DELETE", "faults")
    assert (cloud.tags(one)["Name"], cloud.tags(one)["more"]) == (f"{name}-new", "x")


def test_a_profile_and_its_role_are_unknown_to_iam_and_to_ec2(cloud, iam, name, lag):
    lag()
    iam.create_instance_profile(InstanceProfileName=name)
    iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    assert code_of(iam.get_instance_profile, InstanceProfileName=name) == "NoSuchEntity"
    assert code_of(iam.get_role, RoleName=name) == "NoSuchEntity"
    both = {"InstanceProfileName": name, "RoleName": name}
    assert code_of(iam.add_role_to_instance_profile, **both) == "NoSuchEntity"
    assert name not in [one["InstanceProfileName"] for one in iam.list_instance_profiles()["InstanceProfiles"]]
    assert code_of(cloud.run, IamInstanceProfile={"Name": name}) == "InvalidParameterValue"


def fleet_request(template, kind="instant"):
    return {
        "Type": kind,
        "LaunchTemplateConfigs": [
            {"LaunchTemplateSpecification": {"LaunchTemplateId": template, "Version": "$Latest"}}
        ],
        "TargetCapacitySpecification": {"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "spot"},
    }


def template_of(cloud, ec2, name, **data):
    given = {"ImageId": cloud.image(), "InstanceType": "t3.micro", **data}
    return ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=given)["LaunchTemplate"][
        "LaunchTemplateId"
    ]


def test_a_template_is_unknown_to_a_fleet(cloud, ec2, name, lag):
    lag()
    template = template_of(cloud, ec2, name)
    assert code_of(ec2.create_fleet, **fleet_request(template)) == "InvalidLaunchTemplateId.NotFound"
    assert code_of(ec2.describe_launch_templates, LaunchTemplateIds=[template]) == "InvalidLaunchTemplateId.NotFound"
    assert template not in str(ec2.describe_launch_templates()["LaunchTemplates"])


@pytest.mark.parametrize("market", ["spot", "on-demand"])
def test_what_a_template_names_fails_pool_by_pool(cloud, ec2, name, lag, market):
    template = template_of(cloud, ec2, name, KeyName=name)
    lag()
    ec2.create_key_pair(KeyName=name)
    request = fleet_request(template)
    request["TargetCapacitySpecification"]["DefaultTargetCapacityType"] = market
    answer = ec2.create_fleet(**request)
    assert answer["Instances"] == []
    assert {error["ErrorCode"] for error in answer["Errors"]} == {"InvalidKeyPair.NotFound"}


def test_a_maintained_fleet_is_unknown_to_who_would_delete_it(cloud, ec2, name, lag):
    template = template_of(cloud, ec2, name)
    lag()
    fleet = ec2.create_fleet(**fleet_request(template, "maintain"))["FleetId"]
    assert code_of(ec2.describe_fleets, FleetIds=[fleet]) == "InvalidFleetId.NotFound"
    refused = ec2.delete_fleets(FleetIds=[fleet], TerminateInstances=True)["UnsuccessfulFleetDeletions"]
    assert [one["Error"]["Code"] for one in refused] == ["fleetIdDoesNotExist"]
    cloud.control("DELETE", "faults")
    assert not ec2.delete_fleets(FleetIds=[fleet], TerminateInstances=True)["UnsuccessfulFleetDeletions"]


def test_a_file_system_and_what_belongs_to_it_are_unknown_to_efs(cloud, ec2, efs, name, lag):
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    older = efs.create_file_system(CreationToken=f"{name}-older")["FileSystemId"]
    wait_for("file system", lambda: _available(efs, older), seconds=PATIENCE, every=0.05)
    lag()
    target = efs.create_mount_target(FileSystemId=older, SubnetId=subnet)["MountTargetId"]
    assert efs.describe_mount_targets(FileSystemId=older)["MountTargets"] == []
    assert code_of(efs.describe_mount_targets, MountTargetId=target) == "MountTargetNotFound"
    assert code_of(efs.describe_mount_target_security_groups, MountTargetId=target) == "MountTargetNotFound"
    point = efs.create_access_point(ClientToken=name, FileSystemId=older)["AccessPointId"]
    assert efs.describe_access_points(FileSystemId=older)["AccessPoints"] == []
    assert code_of(efs.describe_access_points, AccessPointId=point) == "AccessPointNotFound"
    newer = efs.create_file_system(CreationToken=name)["FileSystemId"]
    assert efs.describe_file_systems(CreationToken=name)["FileSystems"] == []
    assert code_of(efs.describe_file_systems, FileSystemId=newer) == "FileSystemNotFound"
    assert code_of(efs.create_mount_target, FileSystemId=newer, SubnetId=subnet) == "FileSystemNotFound"
    assert code_of(efs.create_file_system, CreationToken=name) == "FileSystemAlreadyExists"
    group = ec2.create_security_group(GroupName=name, Description="x")["GroupId"]
    given = {"FileSystemId": older, "SubnetId": subnet, "SecurityGroups": [group]}
    assert code_of(efs.create_mount_target, **given) == "SecurityGroupNotFound"


def _available(efs, file_system):
    [told] = efs.describe_file_systems(FileSystemId=file_system)["FileSystems"]
    return Seen(True if told["LifeCycleState"] == "available" else None)


def test_in_the_end_everybody_knows(cloud, ec2, name, lag):
    lag(1)
    one = cloud.run(TagSpecifications=named("instance", name))["InstanceId"]

    def look():
        found = ec2.describe_instances(Filters=by_name(name))["Reservations"]
        return Seen(found or None)

    assert wait_for("the instance", look, seconds=PATIENCE, every=0.05)[0]["Instances"][0]["InstanceId"] == one
    cloud.control("POST", "clock", forward=2)
    assert all(look().value for _ in range(20))


def test_what_was_there_before_stays_known_and_a_clear_makes_all_known(cloud, ec2, name, group, lag):
    lag()
    assert ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    other = ec2.create_security_group(GroupName=f"{name}-2", Description="x")["GroupId"]
    cloud.control("DELETE", "faults")
    assert ec2.describe_security_groups(GroupIds=[other])["SecurityGroups"]


def drawn(seed, questions, *, seconds=2.0):
    """Which of the questions, each a time after the making, meet a server that does not know it yet."""
    faults, now = Faults(), [0.0]
    faults.plan({"kind": "lag", "seconds": seconds, "seed": seed})
    lag = Lag(faults, lambda: now[0])
    with lag.call():
        lag.made("sg-1")
        assert not lag.hides("sg-1")
    hidden = []
    for at in questions:
        now[0] = at
        with lag.call():
            hidden.append(lag.hides("sg-1"))
            assert lag.hides("sg-1") == hidden[-1]
    return hidden


@given(st.integers(1, 1000), st.lists(st.floats(0, 4), max_size=20).map(sorted))
def test_the_seed_decides_who_knows_and_after_that_long_all_do(seed, questions):
    hidden = drawn(seed, questions)
    assert hidden == drawn(seed, questions)
    assert not any(is_hidden for at, is_hidden in zip(questions, hidden, strict=True) if at >= 2)


def test_one_server_knows_it_while_the_next_does_not():
    assert len({tuple(drawn(seed, [1.0] * 20)) for seed in range(1, 6)}) == 5
    assert set(drawn(1, [1.0] * 20)) == {True, False}
