"""What a launch opens in the account and leaves on this computer, looked at by somebody else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from spot_connect.holding.place import socket_of
from spot_connect.local import service
from tests.holders import end_holder, until_held
from tests.journeys.test_command import root_of
from tests.local_cloud import LocalCloud


@pytest.fixture
def ec2(person):
    endpoint = service.up(person.home).endpoint
    return LocalCloud(person.home, endpoint).client("ec2")


def rules_of(ec2, name):
    reservations = ec2.describe_instances(Filters=[{"Name": "tag:spot-connect:name", "Values": [name]}])
    [instance] = reservations["Reservations"][0]["Instances"]
    groups = [group["GroupId"] for group in instance["SecurityGroups"]]
    found = ec2.describe_security_groups(GroupIds=groups)["SecurityGroups"]
    return [rule for group in found for rule in group["IpPermissions"]]


def test_only_ssh_from_this_one_address_is_let_in(person, machine, ec2):
    [rule] = rules_of(ec2, machine)
    assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == ("tcp", 22, 22)
    assert [each["CidrIp"] for each in rule["IpRanges"]] == ["127.0.0.1/32"]
    assert not rule.get("Ipv6Ranges")
    assert not rule.get("UserIdGroupPairs")
    assert not rule.get("PrefixListIds")


def test_metadata_needs_a_token_and_the_disk_is_encrypted(person, machine, ec2):
    reservations = ec2.describe_instances(Filters=[{"Name": "tag:spot-connect:name", "Values": [machine]}])
    [instance] = reservations["Reservations"][0]["Instances"]
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    volumes = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [instance["InstanceId"]]}])[
        "Volumes"
    ]
    assert volumes
    assert all(volume["Encrypted"] for volume in volumes)


def test_what_a_launch_leaves_here_is_for_this_user_alone(person, machine):
    assert person.types("-n", machine, "-c", "true").returncode == 0
    root = str(root_of(person))
    until_held(root, machine)
    try:
        private = [*person.home.rglob("*.pem"), Path(socket_of(root, machine) or "")]
        assert len(private) > 1
        for path in private:
            assert path.is_file() or path.is_socket()
            assert stat.S_IMODE(path.stat().st_mode) in (0o600, 0o400), path
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700, path
            assert path.stat().st_uid == os.getuid()
    finally:
        end_holder(root, machine)
