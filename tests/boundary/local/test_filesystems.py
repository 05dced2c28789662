"""Elastic file systems: their life, their mount targets, and who may mount them."""

from __future__ import annotations

import ipaddress
import re

import pytest

from spot_connect.core.waiting import Seen, wait_for
from spot_connect.local.mounting import FAILED
from tests.local_cloud import PATIENCE, running_local_cloud


@pytest.fixture(scope="session")
def efs(cloud):
    return cloud.client("efs")


def state_of(found):
    return Seen(found if found["LifeCycleState"] == "available" else None, found["LifeCycleState"])


def file_system(efs, token):
    """A file system that is available."""
    made = efs.create_file_system(CreationToken=token)["FileSystemId"]

    def look():
        return state_of(efs.describe_file_systems(FileSystemId=made)["FileSystems"][0])

    wait_for(made, look, seconds=PATIENCE, every=0.05)
    return made


def mount_target(efs, file_system_id, subnet, *groups):
    """A mount target that is available."""
    wanted = {"SecurityGroups": list(groups)} if groups else {}
    made = efs.create_mount_target(FileSystemId=file_system_id, SubnetId=subnet, **wanted)["MountTargetId"]

    def look():
        return state_of(efs.describe_mount_targets(MountTargetId=made)["MountTargets"][0])

    return wait_for(made, look, seconds=PATIENCE, every=0.05)


@pytest.fixture
def subnets(ec2):
    """The default subnets, by zone."""
    found = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
    return {subnet["AvailabilityZone"]: subnet for subnet in found}


@pytest.fixture
def slowly(cloud):
    cloud.control("POST", "efs-seconds", seconds=3600)
    yield
    cloud.control("POST", "efs-seconds", seconds=0.3)


def test_a_file_system_is_creating_and_then_available(cloud, efs, name, slowly):
    made = efs.create_file_system(CreationToken=name, Encrypted=True, ThroughputMode="elastic")
    assert made["LifeCycleState"] == "creating"
    assert re.fullmatch(r"fs-[0-9a-f]{17}", made["FileSystemId"])
    assert made["ThroughputMode"] == "elastic"
    cloud.control("POST", "clock", forward=3601)
    [found] = efs.describe_file_systems(CreationToken=name)["FileSystems"]
    assert found["LifeCycleState"] == "available"


def test_a_token_in_use_is_refused_with_the_id_of_its_file_system(efs, name):
    made = efs.create_file_system(CreationToken=name)["FileSystemId"]
    with pytest.raises(efs.exceptions.FileSystemAlreadyExists) as caught:
        efs.create_file_system(CreationToken=name)
    assert caught.value.response["FileSystemId"] == made
    assert caught.value.response["ErrorCode"] == "FileSystemAlreadyExists"


def test_a_file_system_that_is_not_ready_takes_no_mount_target(efs, name, subnets, refused, slowly):
    made = efs.create_file_system(CreationToken=name)["FileSystemId"]
    subnet = subnets["us-east-1a"]["SubnetId"]
    code, _ = refused(efs.create_mount_target, FileSystemId=made, SubnetId=subnet)
    assert code == "IncorrectFileSystemLifeCycleState"


def test_a_mount_target_has_an_address_in_the_block_of_its_subnet(efs, name, subnets, group):
    made = file_system(efs, name)
    subnet = subnets["us-east-1b"]
    new = efs.create_mount_target(FileSystemId=made, SubnetId=subnet["SubnetId"], SecurityGroups=[group])
    assert new["LifeCycleState"] == "creating"
    assert re.fullmatch(r"fsmt-[0-9a-f]{17}", new["MountTargetId"])
    assert new["AvailabilityZoneName"] == "us-east-1b"
    assert new["VpcId"] == subnet["VpcId"]
    assert ipaddress.ip_address(new["IpAddress"]) in ipaddress.ip_network(subnet["CidrBlock"])
    guards = efs.describe_mount_target_security_groups(MountTargetId=new["MountTargetId"])
    assert guards["SecurityGroups"] == [group]


def test_without_a_group_the_default_group_guards_it(ec2, efs, name, subnets):
    subnet = subnets["us-east-1a"]
    new = mount_target(efs, file_system(efs, name), subnet["SubnetId"])
    filters = [{"Name": "vpc-id", "Values": [subnet["VpcId"]]}, {"Name": "group-name", "Values": ["default"]}]
    [default] = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    guards = efs.describe_mount_target_security_groups(MountTargetId=new["MountTargetId"])
    assert guards["SecurityGroups"] == [default["GroupId"]]


def test_a_zone_has_one_mount_target_and_an_address_one_owner(efs, name, subnets, refused):
    made = file_system(efs, name)
    first, second = subnets["us-east-1a"]["SubnetId"], subnets["us-east-1b"]["SubnetId"]
    mount_target(efs, made, first)
    assert refused(efs.create_mount_target, FileSystemId=made, SubnetId=first)[0] == "MountTargetConflict"
    address = mount_target(efs, made, second)["IpAddress"]
    other = file_system(efs, f"{name}-2")
    taken = {"FileSystemId": other, "SubnetId": second, "IpAddress": address}
    assert refused(efs.create_mount_target, **taken)[0] == "IpAddressInUse"


def test_a_group_that_guards_a_mount_target_cannot_be_deleted(ec2, efs, name, subnets, group, refused):
    target = mount_target(efs, file_system(efs, name), subnets["us-east-1a"]["SubnetId"], group)
    assert refused(ec2.delete_security_group, GroupId=group)[0] == "DependencyViolation"
    efs.delete_mount_target(MountTargetId=target["MountTargetId"])
    ec2.delete_security_group(GroupId=group)


def test_a_file_system_is_deleted_after_its_mount_targets_and_with_its_files(cloud, efs, name, subnets, refused):
    made = file_system(efs, name)
    target = mount_target(efs, made, subnets["us-east-1a"]["SubnetId"])
    assert refused(efs.delete_file_system, FileSystemId=made)[0] == "FileSystemInUse"
    folder = cloud.home / "local" / "efs" / made
    folder.mkdir(parents=True)
    efs.delete_mount_target(MountTargetId=target["MountTargetId"])
    efs.delete_file_system(FileSystemId=made)
    assert not folder.exists()
    assert efs.describe_file_systems(CreationToken=name)["FileSystems"] == []


class Client:
    """An instance that mounts, as its mount command asks the daemon."""

    def __init__(self, cloud, instance):
        self.cloud = cloud
        self.id = instance["InstanceId"]
        self.zone = instance["Placement"]["AvailabilityZone"]
        self.subnet = instance["SubnetId"]
        self.group = instance["SecurityGroups"][0]["GroupId"]

    def mount(self, source, target="/mnt"):
        said = self.cloud.control("POST", f"instances/{self.id}/mount", source=source, target=target)
        assert (said["status"] == 0) == (said["said"] == "")
        assert said["status"] in (0, FAILED)
        return said["said"]

    def unmount(self, target="/mnt"):
        return self.cloud.control("POST", f"instances/{self.id}/umount", target=target)["status"]


@pytest.fixture(scope="module")
def client(cloud):
    instance = cloud.run()
    cloud.until(instance["InstanceId"], "running")
    if not service_is_isolated(cloud):
        pytest.skip("without namespaces there is no /mnt of its own")
    yield Client(cloud, cloud.instance(instance["InstanceId"]))
    cloud.end(instance["InstanceId"])


def service_is_isolated(cloud):
    return cloud.control("GET", "status")["level"] != "plain"


@pytest.fixture
def served(efs, name, client, group):
    """A file system with a mount target in the client's zone, whose group lets nobody in."""
    made = file_system(efs, name)
    return made, mount_target(efs, made, client.subnet, group)["IpAddress"]


def let_in(ec2, group, **rule):
    ports = {"IpProtocol": "tcp", "FromPort": 2049, "ToPort": 2049}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[ports | rule])


def test_a_closed_group_lets_nobody_mount(client, served):
    _, address = served
    assert client.mount(f"{address}:/") == "Connection timed out"


@pytest.mark.parametrize("by", ["group", "block", "all"])
def test_an_open_group_lets_its_instances_mount(ec2, client, served, group, by):
    rules = {
        "group": {"UserIdGroupPairs": [{"GroupId": client.group}]},
        "block": {"IpRanges": [{"CidrIp": "172.31.0.0/16"}]},
        "all": {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": client.group}]},
    }
    let_in(ec2, group, **rules[by])
    assert client.mount(f"{served[1]}:/") == ""
    assert client.unmount() == 0
    assert client.unmount() == 1


@pytest.mark.parametrize(
    "rule",
    [
        {"IpProtocol": "udp", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        {"FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        {"IpRanges": [{"CidrIp": "198.51.100.0/24"}]},
    ],
)
def test_another_rule_does_not(ec2, client, served, group, rule):
    let_in(ec2, group, **rule)
    assert client.mount(f"{served[1]}:/") == "Connection timed out"


def test_it_is_found_by_each_of_its_names(ec2, client, served, group):
    made, address = served
    let_in(ec2, group, UserIdGroupPairs=[{"GroupId": client.group}])
    dns = f"{made}.efs.us-east-1.amazonaws.com"
    for source in (address, dns, f"{client.zone}.{dns}", made):
        assert client.mount(f"{source}:/") == ""
        assert client.mount(f"{source}:/") == ""
        assert client.unmount() == 0


@pytest.mark.parametrize(
    "server", ["fs-00000000000000000.efs.us-east-1.amazonaws.com", "fs-00000000000000000", "nowhere.example", 'a"b']
)
def test_an_unknown_name_is_not_resolved(client, server):
    assert client.mount(f"{server}:/").startswith("Failed to resolve server")


def test_a_name_means_the_mount_target_of_the_own_zone_and_an_address_any(ec2, efs, client, name, subnets, group):
    made = file_system(efs, name)
    elsewhere = next(subnet["SubnetId"] for zone, subnet in subnets.items() if zone != client.zone)
    target = mount_target(efs, made, elsewhere, group)
    let_in(ec2, group, UserIdGroupPairs=[{"GroupId": client.group}])
    dns = f"{made}.efs.us-east-1.amazonaws.com"
    assert client.mount(f"{dns}:/").startswith("Failed to resolve server")
    assert client.mount(f"{target['IpAddress']}:/") == ""
    assert client.unmount() == 0


def test_nobody_answers_before_the_mount_target_is_ready(ec2, efs, client, name, group, cloud):
    made = file_system(efs, name)
    let_in(ec2, group, UserIdGroupPairs=[{"GroupId": client.group}])
    cloud.control("POST", "efs-seconds", seconds=3600)
    new = efs.create_mount_target(FileSystemId=made, SubnetId=client.subnet, SecurityGroups=[group])
    cloud.control("POST", "efs-seconds", seconds=0.3)
    assert client.mount(f"{new['IpAddress']}:/") == "Connection timed out"


@pytest.mark.parametrize("source", ["", ":/", "x:/../y", "x:/a/../../y"])
def test_a_source_that_is_none_is_refused(client, source):
    assert client.mount(source) == "the source is not SERVER:/PATH"


def test_two_things_are_not_mounted_at_one_place(ec2, efs, client, served, group):
    _, address = served
    let_in(ec2, group, UserIdGroupPairs=[{"GroupId": client.group}])
    assert client.mount(f"{address}:/") == ""
    assert client.mount(f"{address}:/absent") == "/mnt is busy"
    assert client.unmount() == 0
    assert client.mount(f"{address}:/absent") == "No such file or directory"


def test_files_and_mounts_survive_down_and_up_but_not_fresh(tmp_path):
    home = tmp_path / "home"
    with running_local_cloud(home) as cloud:
        efs = cloud.client("efs")
        made = file_system(efs, "data")
        instance = cloud.instance(cloud.run()["InstanceId"])
        cloud.until(instance["InstanceId"], "running")
        client = Client(cloud, instance)
        if not service_is_isolated(cloud):
            pytest.skip("without namespaces there is no /mnt of its own")
        group = client.group
        let_in(cloud.client("ec2"), group, UserIdGroupPairs=[{"GroupId": group}])
        address = mount_target(efs, made, client.subnet, group)["IpAddress"]
        assert client.mount(f"{address}:/") == ""
        (home / "local" / "efs" / made / "file").write_text("kept")
    with running_local_cloud(home) as cloud:
        [found] = cloud.client("efs").describe_file_systems()["FileSystems"]
        assert (found["FileSystemId"], found["LifeCycleState"]) == (made, "available")
        assert (home / "local" / "efs" / made / "file").read_text() == "kept"
        client.cloud = cloud
        wait_for("machine", lambda: Seen(client.unmount() == 0 or None), seconds=PATIENCE, every=0.05)
    with running_local_cloud(home, fresh=True) as cloud:
        assert cloud.client("efs").describe_file_systems()["FileSystems"] == []
        assert not (home / "local" / "efs" / made).exists()


def test_a_reset_removes_file_systems(tmp_path):
    from spot_connect.local import service

    home = tmp_path / "home"
    with running_local_cloud(home) as cloud:
        (home / "local" / "efs" / "fs-0").mkdir(parents=True)
        file_system(cloud.client("efs"), "data")
        service.reset(home)
        assert cloud.client("efs").describe_file_systems()["FileSystems"] == []
        assert not (home / "local" / "efs").exists()


@pytest.mark.parametrize("value", ["a(b)", "a#b", "a,b", "a[b]", "a{b}", "a&b", "a;b", "a!b", "a$b", "a*b"])
def test_a_tag_of_a_file_system_takes_fewer_signs_than_its_token(efs, name, refused, value):
    """https://docs.aws.amazon.com/efs/latest/ug/API_Tag.html"""
    token = f"{name}{value}"
    wrong = [{"Key": "Name", "Value": token}]
    assert refused(efs.create_file_system, CreationToken=token, Tags=wrong)[0] == "ValidationException"
    assert efs.describe_file_systems(CreationToken=token)["FileSystems"] == []
    made = efs.create_file_system(CreationToken=token, Tags=[{"Key": "Name", "Value": "Ä 1_.:/=+-@"}])
    assert refused(efs.tag_resource, ResourceId=made["FileSystemId"], Tags=wrong)[0] == "ValidationException"
