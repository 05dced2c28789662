"""A machine is reached from the internet where its subnet leads there, and one that has ended has no network."""

from __future__ import annotations

import itertools
import socket

import pytest

from spot_connect.core.waiting import Seen, wait_for
from tests.local_cloud import PATIENCE

_blocks = itertools.count()


@pytest.fixture
def vpc(ec2):
    return ec2.create_vpc(CidrBlock=f"10.{next(_blocks)}.0.0/16")["Vpc"]


@pytest.fixture
def gateway(ec2, vpc):
    made = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=made, VpcId=vpc["VpcId"])
    return made


@pytest.fixture
def subnet(ec2, vpc):
    block = vpc["CidrBlock"].replace("/16", "/24")
    where = {"VpcId": vpc["VpcId"], "AvailabilityZone": "us-east-1a"}
    return ec2.create_subnet(**where, CidrBlock=block)["Subnet"]["SubnetId"]


def leads(ec2, vpc, gateway, subnet=""):
    """Have the main route table of the VPC, or one of the subnet's own, lead to the gateway."""
    if subnet:
        table = ec2.create_route_table(VpcId=vpc["VpcId"])["RouteTable"]["RouteTableId"]
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    else:
        wanted = [
            {"Name": "vpc-id", "Values": [vpc["VpcId"]]},
            {"Name": "association.main", "Values": ["true"]},
        ]
        [found] = ec2.describe_route_tables(Filters=wanted)["RouteTables"]
        table = found["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)


def launched(cloud, subnet, *, public=True):
    interface = {"DeviceIndex": 0, "SubnetId": subnet, "AssociatePublicIpAddress": public}
    return cloud.until(cloud.run(NetworkInterfaces=[interface])["InstanceId"], "running")


def answers(cloud, instance):
    host, _, port = cloud.tags(instance["InstanceId"])["spot-connect:ssh"].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except ConnectionRefusedError:
        return False
    return True


def test_the_default_vpc_leads_to_the_internet(cloud, ec2):
    [vpc] = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    [table] = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["RouteTables"]
    [route] = [each for each in table["Routes"] if each["DestinationCidrBlock"] == "0.0.0.0/0"]
    assert route["GatewayId"].startswith("igw-")
    assert route["State"] == "active"
    assert answers(cloud, cloud.until(cloud.run()["InstanceId"], "running"))


def test_a_subnet_that_leads_nowhere_is_not_reached_though_its_machine_has_a_public_address(cloud, subnet, gateway):
    instance = launched(cloud, subnet)
    host, _, _ = cloud.tags(instance["InstanceId"])["spot-connect:ssh"].rpartition(":")
    assert host == instance["PublicIpAddress"]
    assert not answers(cloud, instance)


@pytest.mark.parametrize("has_its_own_table", [True, False], ids=["its own table", "the main table"])
def test_a_subnet_whose_route_table_leads_to_an_attached_gateway_is_reached(
    cloud, ec2, vpc, subnet, gateway, has_its_own_table
):
    leads(ec2, vpc, gateway, subnet if has_its_own_table else "")
    assert answers(cloud, launched(cloud, subnet))


def test_the_table_of_the_subnet_counts_and_not_the_main_one(cloud, ec2, vpc, subnet, gateway):
    leads(ec2, vpc, gateway)
    own = ec2.create_route_table(VpcId=vpc["VpcId"])["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=own, SubnetId=subnet)
    assert not answers(cloud, launched(cloud, subnet))


def test_without_a_public_address_no_place_of_its_ssh_server_is_told(cloud, ec2, vpc, subnet, gateway):
    leads(ec2, vpc, gateway)
    instance = launched(cloud, subnet, public=False)
    assert "PublicIpAddress" not in instance
    assert "spot-connect:ssh" not in cloud.tags(instance["InstanceId"])


def test_one_that_comes_back_after_a_stop_is_as_unreachable_as_before(cloud, ec2, subnet, gateway):
    instance_id = launched(cloud, subnet)["InstanceId"]
    ec2.stop_instances(InstanceIds=[instance_id])
    cloud.until(instance_id, "stopped")
    ec2.start_instances(InstanceIds=[instance_id])
    assert not answers(cloud, cloud.until(instance_id, "running"))


def test_an_ended_instance_keeps_its_tags_and_loses_its_network_and_its_profile(cloud, ec2, group, name):
    cloud.client("iam").create_instance_profile(InstanceProfileName=name)
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}]
    launch = {"SecurityGroupIds": [group], "IamInstanceProfile": {"Name": name}, "TagSpecifications": tags}
    before = cloud.until(cloud.spot(**launch)["InstanceId"], "running")
    lost = {"IamInstanceProfile", "PrivateIpAddress", "PublicIpAddress", "SubnetId", "VpcId"}
    assert lost < before.keys()
    cloud.end(before["InstanceId"])
    after = cloud.instance(before["InstanceId"])
    assert not lost & {key for key, value in after.items() if value}
    assert after["SecurityGroups"] == after["NetworkInterfaces"] == []
    assert not after.get("PrivateDnsName")
    kept = ("ImageId", "InstanceType", "LaunchTime", "Placement", "SpotInstanceRequestId", "Tags")
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}
    by_vpc = [{"Name": "vpc-id", "Values": [before["VpcId"]]}, {"Name": "tag:Name", "Values": [name]}]
    assert ec2.describe_instances(Filters=by_vpc)["Reservations"] == []


def test_the_address_of_an_ended_instance_is_free_again(cloud, ec2, subnet, gateway):
    def free():
        return ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["AvailableIpAddressCount"]

    before = free()
    instance = launched(cloud, subnet)
    assert free() == before - 1
    cloud.end(instance["InstanceId"])
    wait_for("the address", lambda: Seen(free() == before or None, str(free())), seconds=PATIENCE, every=0.05)
