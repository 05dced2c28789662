"""The user's tags are on everything that is made, in the call that makes it: a policy may refuse the call without."""

from __future__ import annotations

import uuid
from urllib.parse import parse_qs

import pytest

from spot_connect.aws import filesystems
from spot_connect.core.errors import UsageError
from spot_connect.core.names import file_system_group_name, key_pair_name, security_group_name
from spot_connect.launching import connecting, ending, fleets, mounting, orders, replacing
from spot_connect.launching.launch import launch
from spot_connect.launching.realm import Realm
from tests.local_cloud import somebody_else

REGION = "us-east-1"
TAGS = {"team": "ml", "cost center": "42 €"}
FIT_FOR_EFS = {"team": "ml", "cost-center": "42"}
OF_A_LAUNCH = ("instance", "volume", "network-interface", "spot-instances-request")


@pytest.fixture
def ec2(realm):
    return somebody_else()


def told(listed):
    return {tag["Key"]: tag["Value"] for tag in listed}


def asked(body):
    """By kind of resource, the tags that the call gives."""
    fields = {key: value for key, [value] in parse_qs(body, keep_blank_values=True).items()}
    found = {}
    for key, kind in fields.items():
        if key.endswith(".ResourceType"):
            tag = key.replace(".ResourceType", ".Tag.{}.{}")
            numbers = [n for n in range(1, 60) if tag.format(n, "Key") in fields]
            found[kind] = {fields[tag.format(n, "Key")]: fields.get(tag.format(n, "Value"), "") for n in numbers}
    return found


def test_all_that_the_launch_of_a_machine_makes_has_them(realm, request_for, keys, heard, wire, ec2):
    request = request_for(tags=TAGS)
    made = launch(realm, request, keys, heard)
    ending.terminate(realm, [made])
    [launched] = map(asked, wire.bodies("RunInstances"))
    assert set(launched) == set(OF_A_LAUNCH)
    assert all(TAGS.items() <= tags.items() for tags in launched.values())
    assert TAGS.items() <= made.tags.items()
    [pair] = ec2.describe_key_pairs(KeyNames=[key_pair_name(request.name)])["KeyPairs"]
    wanted = [{"Name": "group-name", "Values": [security_group_name(request.name)]}]
    [group] = ec2.describe_security_groups(Filters=wanted)["SecurityGroups"]
    for one in (pair, group):
        assert told(one["Tags"]) == {**TAGS, "spot-connect:managed": "true"}
    [spot] = ec2.describe_spot_instance_requests(SpotInstanceRequestIds=[made.spot_request_id])["SpotInstanceRequests"]
    assert TAGS.items() <= told(spot["Tags"]).items()


def test_an_own_key_beside_that_of_another_computer_has_them_too(realm, request_for, keys, heard, wire, tmp_path):
    request = request_for(tags=TAGS)
    ec2 = somebody_else()
    ec2.create_key_pair(KeyName=key_pair_name(request.name))
    made = launch(realm, request, keys, heard)
    ending.terminate(realm, [made])
    [pair] = ec2.describe_key_pairs(KeyNames=[made.key_name])["KeyPairs"]
    assert made.key_name != key_pair_name(request.name)
    assert TAGS.items() <= told(pair["Tags"]).items()


def test_all_that_the_launch_of_a_fleet_makes_has_them(realm, request_for, keys, heard, wire):
    fleet = fleets.launch_fleet(realm, request_for("t3.micro", tags=TAGS), keys, heard, count=2)
    try:
        [template] = map(asked, wire.bodies("CreateLaunchTemplate"))
        in_it = {kind: tags for kind, tags in template.items() if kind != "launch-template"}
        assert set(in_it) == set(OF_A_LAUNCH)
        [made] = map(asked, wire.bodies("CreateFleet"))
        for tags in (*template.values(), made["fleet"]):
            assert TAGS.items() <= tags.items()
        assert all(TAGS.items() <= one.tags.items() for one in fleet.instances)
    finally:
        fleets.cancel_fleet(realm, fleet, heard)


def test_machines_that_are_ordered_later_have_them_too(realm, request_for, keys, heard, wire):
    fleet = fleets.launch_fleet(realm, request_for("t3.micro", tags=TAGS), keys, heard, count=1)
    order = orders.write(realm, fleet, user_data="#!/bin/sh\n", tags={"spot-connect:filesystem": "data"})
    try:
        [later] = orders.place(realm, order, fleet.name, [f"{fleet.name}_0"], heard, token=uuid.uuid4().hex)
        assert TAGS.items() <= later.tags.items()
        assert all(
            TAGS.items() <= asked(body)["launch-template"].items() for body in wire.bodies("CreateLaunchTemplate")
        )
        assert all(TAGS.items() <= asked(body)["fleet"].items() for body in wire.bodies("CreateFleet"))
    finally:
        orders.withdraw(realm, order)
        fleets.cancel_fleet(realm, fleet, heard)


def test_a_file_system_and_its_group_have_those_of_the_machine(realm, request_for, keys, heard, ec2):
    token = f"fs-{uuid.uuid4().hex[:8]}"
    reached = connecting.reach(realm, request_for(tags=FIT_FOR_EFS, filesystem=token), keys, heard)
    try:
        mounting.mount(realm, reached.instance, reached.connection, token, heard, new_target=False)
        [made] = realm.cloud(REGION).client("efs").describe_file_systems(CreationToken=token)["FileSystems"]
        assert FIT_FOR_EFS.items() <= told(made["Tags"]).items()
        wanted = [{"Name": "group-name", "Values": [file_system_group_name(token)]}]
        [group] = ec2.describe_security_groups(Filters=wanted)["SecurityGroups"]
        assert FIT_FOR_EFS.items() <= told(group["Tags"]).items()
    finally:
        reached.connection.close()
        ending.terminate(realm, [reached.instance])


def test_of_a_machines_tags_a_file_system_has_those_that_efs_takes(realm, request_for, keys, heard):
    token = f"fs-{uuid.uuid4().hex[:8]}"
    reached = connecting.reach(realm, request_for(tags={"team": "ml", "cost": "#42"}), keys, heard)
    try:
        mounting.mount(realm, reached.instance, reached.connection, token, heard, new_target=False)
        [made] = realm.cloud(REGION).client("efs").describe_file_systems(CreationToken=token)["FileSystems"]
        assert told(made["Tags"]) == {"Name": token, "spot-connect:managed": "true", "team": "ml"}
    finally:
        reached.connection.close()
        ending.terminate(realm, [reached.instance])


def test_the_setting_counts_for_a_file_system_that_is_made_alone(realm, heard, monkeypatch):
    token = f"fs-{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("SPOT_CONNECT_TAGS", "team=ml")
    made = mounting.create(realm, token, REGION, heard)
    [raw] = realm.cloud(REGION).client("efs").describe_file_systems(FileSystemId=made.id)["FileSystems"]
    assert told(raw["Tags"])["team"] == "ml"


def test_a_setting_that_efs_does_not_take_makes_no_file_system(realm, heard, monkeypatch):
    token = f"fs-{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("SPOT_CONNECT_TAGS", "team=m#l")
    with pytest.raises(UsageError, match="EFS"):
        mounting.create(realm, token, REGION, heard)
    assert filesystems.find(realm.cloud(REGION), token) is None


def test_tags_for_which_a_fleet_has_no_room_are_refused_before_any_call(realm, request_for, keys, heard, wire):
    request = request_for("t3.micro", tags={f"key-{number}": "" for number in range(6)})
    with pytest.raises(UsageError, match="cannot give 6 tags"):
        fleets.launch_fleet(realm, request, keys, heard, count=1000)
    assert not wire.calls


def test_a_machine_in_the_place_of_another_has_its_tags_those_of_the_setting_and_none_of_ours_twice(
    realm, request_for, keys, heard, monkeypatch
):
    first = launch(realm, request_for(tags=TAGS), keys, heard)
    somebody_else().create_tags(Resources=[first.id], Tags=[{"Key": "owner", "Value": "ann"}])
    monkeypatch.setenv("SPOT_CONNECT_TAGS", "project=x")
    realm = Realm(local=True)
    [now] = connecting.finding.again(realm, [first]).values()
    second, is_ours = replacing.replace(realm, now, keys, heard)
    ending.terminate(realm, [first, second])
    assert is_ours
    assert {**TAGS, "owner": "ann", "project": "x"}.items() <= second.tags.items()
    assert set(second.tags) - set(first.tags) == {"owner", "project"}
