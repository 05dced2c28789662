"""A machine is launched where it can be reached: in a public subnet, or in the one that was named."""

from __future__ import annotations

import uuid
from urllib.parse import parse_qs

import pytest

from spot_connect.aws import filesystems, networks
from spot_connect.core.errors import AwsError, AwsObjectMissing, UsageError
from spot_connect.core.names import SUBNET_TAG
from spot_connect.launching import connecting, ending, fleets, mounting
from spot_connect.launching.launch import launch
from spot_connect.launching.preparing import prepare
from spot_connect.launching.requesting import launch_request
from spot_connect.ssh.command import run
from tests.boundary.launching.networks import OwnVpc
from tests.local_cloud import somebody_else

REGION = "us-east-1"
NOWHERE = "subnet-0123456789abcdef0"
MAKING = {"ImportKeyPair", "CreateSecurityGroup", "RunInstances", "CreateLaunchTemplate", "CreateFleet"}


@pytest.fixture
def vpc(realm):
    return OwnVpc(somebody_else())


@pytest.fixture
def group(vpc):
    return vpc.group(f"theirs-{uuid.uuid4().hex[:8]}")


@pytest.fixture
def chosen(realm, vpc):
    """By zone the id of the subnet that a launch in the VPC would take."""

    def chosen():
        return {each.zone: each.id for each in networks.subnets(realm.cloud(REGION), vpc.id)}

    return chosen


@pytest.mark.parametrize("last", ["private", "public"])
def test_of_a_zone_with_both_the_public_subnet_is_taken_whichever_is_listed_last(vpc, chosen, last):
    made = {kind: vpc.subnet(public=kind == "public") for kind in sorted(("private", "public"), key=last.__eq__)}
    assert chosen() == {"us-east-1a": made["public"]}


@pytest.mark.parametrize("number", range(4))
def test_of_many_the_one_public_subnet_is_taken_wherever_it_stands(vpc, chosen, number):
    made = [vpc.subnet(public=place == number) for place in range(4)]
    assert chosen() == {"us-east-1a": made[number]}


def test_zones_without_a_public_subnet_are_left_out_while_others_have_one(vpc, chosen):
    vpc.subnet("us-east-1a", public=False)
    public = vpc.subnet("us-east-1b", public=True)
    assert chosen() == {"us-east-1b": public}


def test_a_subnet_that_gives_addresses_and_leads_nowhere_is_private(vpc, chosen):
    vpc.subnet(public=False, gives_addresses=True)
    leading = vpc.subnet(public=True, gives_addresses=False)
    vpc.subnet(public=False, gives_addresses=True)
    assert chosen() == {"us-east-1a": leading}


def test_of_two_that_lead_out_the_one_that_gives_addresses_is_taken(vpc, chosen):
    giving = vpc.subnet(public=True)
    vpc.subnet(public=True, gives_addresses=False)
    assert chosen() == {"us-east-1a": giving}


def test_the_main_route_table_counts_where_a_subnet_has_none_of_its_own(realm, vpc):
    subnet = vpc.subnet(public=False)
    assert not networks.subnet(realm.cloud(REGION), subnet).is_public
    vpc.opens_main_table()
    assert networks.subnet(realm.cloud(REGION), subnet).is_public


def test_a_gateway_that_was_detached_leaves_a_route_that_leads_nowhere(realm, vpc, monkeypatch):
    subnet = vpc.subnet(public=True)
    cloud = realm.cloud(REGION)

    def blackholed(parsed, **_):
        for table in parsed["RouteTables"]:
            for route in table["Routes"]:
                route["State"] = "blackhole"

    cloud.ec2.meta.events.register("after-call.ec2.DescribeRouteTables", blackholed)
    try:
        assert not networks.subnet(cloud, subnet).is_public
    finally:
        cloud.ec2.meta.events.unregister("after-call.ec2.DescribeRouteTables", blackholed)


def test_who_may_not_look_at_route_tables_goes_by_what_subnets_give(realm, vpc, wire, chosen):
    giving = vpc.subnet(public=True)
    vpc.subnet(public=False)
    wire.refuse("DescribeRouteTables", "UnauthorizedOperation")
    assert chosen() == {"us-east-1a": giving}
    assert wire.calls["DescribeRouteTables"] == 1


def test_the_subnets_of_the_default_vpc_are_public(realm):
    found = networks.subnets(realm.cloud(REGION))
    assert len(found) > 3
    assert all(each.is_public for each in found)


def test_a_machine_with_a_group_of_a_vpc_with_both_kinds_is_reached(realm, vpc, group, request_for, keys, heard):
    vpc.subnet(public=False)
    public = vpc.subnet(public=True)
    vpc.subnet(public=False)
    reached = connecting.reach(realm, request_for(security_group=group), keys, heard)
    try:
        assert reached.instance.subnet_id == public
        assert run(reached.connection, "echo in").stdout == b"in\n"
        assert heard.warnings == []
    finally:
        reached.connection.close()
        ending.terminate(realm, [reached.instance])


def test_before_a_launch_that_cannot_be_reached_one_line_says_so_and_what_to_do(
    realm, vpc, group, request_for, keys, heard, wire
):
    vpc.subnet("us-east-1a", public=False)
    vpc.subnet("us-east-1b", public=False)
    request = request_for(security_group=group)
    prepare(realm, request, keys, heard)
    [warning] = heard.warnings
    assert "\n" not in warning
    assert all(word in warning for word in (request.name, vpc.id, "private", "--subnet", "0.0.0.0/0"))
    assert wire.calls["RunInstances"] == 0


def test_a_private_subnet_that_was_named_is_used_and_said_to_be_private(realm, vpc, request_for, keys, heard):
    vpc.subnet(public=True)
    private = vpc.subnet(public=False)
    made = launch(realm, request_for(subnet=private), keys, heard)
    ending.terminate(realm, [made])
    assert made.subnet_id == private
    [warning] = heard.warnings
    assert private in warning


@pytest.mark.parametrize("has_a_group", [True, False], ids=["with a group", "without a group"])
def test_a_subnet_that_was_named_is_used_and_kept_in_mind(
    realm, vpc, group, request_for, keys, heard, wire, has_a_group
):
    vpc.subnet("us-east-1a", public=True)
    named = vpc.subnet("us-east-1b", public=True)
    vpc.subnet("us-east-1b", public=True)
    asked = {"subnet": named, **({"security_group": group} if has_a_group else {})}
    reached = connecting.reach(realm, request_for(**asked), keys, heard)
    try:
        assert (reached.instance.subnet_id, reached.instance.zone) == (named, "us-east-1b")
        assert reached.instance.tags[SUBNET_TAG] == named
        assert reached.instance.vpc_id == vpc.id
        assert (group in reached.instance.groups) == has_a_group
        assert run(reached.connection, "echo in").stdout == b"in\n"
        assert [parse_qs(body)["NetworkInterface.1.SubnetId"] for body in wire.bodies("RunInstances")] == [[named]]
    finally:
        reached.connection.close()
        ending.terminate(realm, [reached.instance])


def test_a_group_of_another_vpc_is_refused_before_anything_is_made(realm, vpc, group, request_for, keys, heard, wire):
    subnet = OwnVpc(somebody_else()).subnet(public=True)
    wire.calls.clear()
    with pytest.raises(UsageError, match=f"{subnet}.*{group}.*another VPC"):
        launch(realm, request_for(subnet=subnet, security_group=group), keys, heard)
    assert not MAKING & wire.calls.keys()


def test_a_group_that_is_named_by_its_name_is_looked_for_in_the_vpc_of_the_subnet(
    realm, vpc, request_for, keys, heard, wire
):
    other = OwnVpc(somebody_else())
    name = f"web-{uuid.uuid4().hex[:8]}"
    elsewhere = vpc.group(name)
    subnet = other.subnet(public=True)
    request = request_for(subnet=subnet, security_group=name)
    with pytest.raises(UsageError, match="another VPC"):
        prepare(realm, request, keys, heard)
    assert not MAKING & wire.calls.keys()
    there = other.group(name)
    assert prepare(realm, request, keys, heard).spec.group_id == there != elsewhere


@pytest.mark.parametrize("what", [{"subnet": NOWHERE}, {"security_group": "sg-0123456789abcdef0"}], ids=list)
def test_what_does_not_exist_is_refused_before_anything_is_made(realm, request_for, keys, heard, wire, what):
    [named] = what.values()
    with pytest.raises(AwsObjectMissing, match=named):
        launch(realm, request_for(**what), keys, heard)
    assert not MAKING & wire.calls.keys()


@pytest.mark.parametrize("odd", ["subnet-1", "vpc-0123456789abcdef0", "subnet-0123456789ABCDEF0", "subnet-1*", "\x1b"])
def test_what_is_no_id_of_a_subnet_is_refused_before_any_call(realm, wire, odd):
    with pytest.raises(UsageError, match="not the id of a subnet"):
        launch_request(realm, "vm1", subnet=odd)
    assert not wire.calls


def test_without_a_default_vpc_the_advice_names_the_flag(realm, wire, monkeypatch):
    cloud = realm.cloud("eu-north-1")
    other = somebody_else("eu-north-1")
    for one in other.describe_subnets()["Subnets"]:
        other.delete_subnet(SubnetId=one["SubnetId"])
    with pytest.raises(AwsObjectMissing, match=r"--subnet.*create-default-vpc"):
        networks.subnets(cloud)


def test_a_fleet_runs_in_the_subnet_that_was_named(realm, vpc, request_for, keys, heard):
    vpc.subnet("us-east-1a", public=True)
    named = vpc.subnet("us-east-1b", public=True)
    fleet = fleets.launch_fleet(realm, request_for("t3.micro", subnet=named), keys, heard, count=2)
    try:
        assert {one.subnet_id for one in fleet.instances} == {named}
        assert {one.tags[SUBNET_TAG] for one in fleet.instances} == {named}
    finally:
        fleets.cancel_fleet(realm, fleet, heard)


def test_a_fleet_in_a_vpc_of_both_kinds_has_public_subnets_alone(realm, vpc, group, request_for, keys, heard):
    public = {vpc.subnet("us-east-1a", public=True), vpc.subnet("us-east-1b", public=True)}
    for zone in ("us-east-1a", "us-east-1b", "us-east-1c"):
        vpc.subnet(zone, public=False)
    fleet = fleets.launch_fleet(realm, request_for("t3.micro", security_group=group), keys, heard, count=2)
    try:
        assert {pool.subnet.id for pool in fleet.pools} <= public
        assert {one.subnet_id for one in fleet.instances} <= public
    finally:
        fleets.cancel_fleet(realm, fleet, heard)


def test_the_mount_target_is_made_in_the_subnet_that_was_named(realm, vpc, request_for, keys, heard):
    vpc.subnet("us-east-1a", public=True)
    named = vpc.subnet("us-east-1b", public=True)
    reached = connecting.reach(realm, request_for(subnet=named), keys, heard)
    place = realm, reached.instance, reached.connection
    token = f"fs-{uuid.uuid4().hex[:8]}"
    try:
        mounted = mounting.mount(*place, token, heard, new_target=False)
        [target] = filesystems.mount_targets(realm.cloud(REGION), mounted.file_system.id)
        assert (target.subnet_id, target.zone) == (named, "us-east-1b")
    finally:
        reached.connection.close()
        ending.terminate(realm, [reached.instance])


def test_a_file_system_of_another_vpc_is_said_before_anything_is_made(realm, vpc, request_for, keys, heard, wire):
    token = f"fs-{uuid.uuid4().hex[:8]}"
    reached = connecting.reach(realm, request_for(), keys, heard)
    mounting.mount(realm, reached.instance, reached.connection, token, heard, new_target=False)
    reached.connection.close()
    ending.terminate(realm, [reached.instance])
    wire.calls.clear()
    with pytest.raises(AwsError, match=f"{reached.instance.vpc_id}.*{vpc.id}.*--subnet"):
        launch(realm, request_for(subnet=vpc.subnet(public=True), filesystem=token), keys, heard)
    assert not MAKING & wire.calls.keys()
