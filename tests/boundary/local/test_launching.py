"""RunInstances does what AWS does where moto does not."""

from __future__ import annotations

import ipaddress

import pytest


def test_the_same_client_token_and_request_is_one_launch(cloud, name):
    first = cloud.spot(ClientToken=name)
    again = cloud.spot(ClientToken=name)
    assert again["InstanceId"] == first["InstanceId"]


def test_the_same_client_token_with_another_request_is_refused(cloud, name, refused):
    cloud.run(ClientToken=name)
    code, _ = refused(cloud.run, ClientToken=name, InstanceType="t3.small")
    assert code == "IdempotentParameterMismatch"


def test_a_client_token_counts_for_one_zone(cloud, name):
    first = cloud.run(ClientToken=name, Placement={"AvailabilityZone": "us-east-1a"})
    second = cloud.run(ClientToken=name, Placement={"AvailabilityZone": "us-east-1b"})
    assert first["InstanceId"] != second["InstanceId"]


def test_the_client_token_of_an_ended_instance_is_refused(cloud, name, refused):
    cloud.end(cloud.run(ClientToken=name)["InstanceId"])
    assert refused(cloud.run, ClientToken=name)[0] == "IdempotentInstanceTerminated"


def test_a_launch_is_found_by_its_client_token(cloud, ec2, name):
    launched = cloud.run(ClientToken=name)
    found = ec2.describe_instances(Filters=[{"Name": "client-token", "Values": [name]}])["Reservations"]
    assert [one["InstanceId"] for one in found[0]["Instances"]] == [launched["InstanceId"]]


def test_as_many_as_asked_for_are_launched_with_all_they_need(cloud, ec2):
    profile = _profile(cloud)
    reply = ec2.run_instances(
        ImageId=cloud.image(),
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=3,
        IamInstanceProfile={"Name": profile},
        InstanceMarketOptions={"MarketType": "spot"},
    )
    instances = [cloud.instance(one["InstanceId"]) for one in reply["Instances"]]
    assert len({one["InstanceId"] for one in instances}) == 3
    assert len({one["SpotInstanceRequestId"] for one in instances}) == 3
    assert len({one["PublicIpAddress"] for one in instances}) == 3
    assert all(one["IamInstanceProfile"]["Arn"].endswith(profile) for one in instances)


def test_without_a_subnet_the_default_vpc_and_group_are_used(cloud, ec2):
    instance = cloud.run()
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    assert instance["VpcId"] == vpc
    assert ipaddress.ip_address(instance["PrivateIpAddress"]) in ipaddress.ip_network("172.31.0.0/16")
    assert [group["GroupName"] for group in instance["SecurityGroups"]] == ["default"]


def test_the_group_of_an_interface_is_the_group_of_the_instance(cloud, ec2, group):
    subnet = ec2.describe_subnets()["Subnets"][0]
    interface = {"DeviceIndex": 0, "SubnetId": subnet["SubnetId"], "Groups": [group], "AssociatePublicIpAddress": True}
    launched = cloud.spot(NetworkInterfaces=[interface])
    instance = cloud.instance(launched["InstanceId"])
    assert [one["GroupId"] for one in instance["SecurityGroups"]] == [group]
    assert instance["SubnetId"] == subnet["SubnetId"]
    assert "PublicIpAddress" in instance


def test_an_unknown_group_of_an_interface_is_refused(cloud, refused):
    interface = {"DeviceIndex": 0, "Groups": ["sg-0123456789abcdef0"]}
    assert refused(cloud.run, NetworkInterfaces=[interface])[0] == "InvalidGroup.NotFound"


def test_the_public_address_is_one_of_this_computer_and_the_tag_tells_the_port(cloud):
    instance = cloud.instance(cloud.run()["InstanceId"])
    assert ipaddress.ip_address(instance["PublicIpAddress"]).is_loopback
    host, _, port = cloud.tags(instance["InstanceId"])["spot-connect:ssh"].rpartition(":")
    assert host == instance["PublicIpAddress"]
    assert int(port) > 1023


def test_no_address_that_this_cloud_hands_out_belongs_to_somebody_else(ec2):
    assert ipaddress.ip_address(ec2.allocate_address(Domain="vpc")["PublicIp"]).is_loopback


def test_a_launch_answers_pending_and_ends_running(cloud):
    launched = cloud.run()
    assert launched["State"]["Name"] == "pending"
    cloud.until(launched["InstanceId"], "running")


def test_arm_needs_an_arm_image(cloud, refused):
    code, message = refused(cloud.run, InstanceType="t4g.micro")
    assert code == "InvalidParameterValue"
    assert message.startswith(
        "The architecture 'arm64' of the specified instance type does not match "
        "the architecture 'x86_64' of the specified AMI."
    )
    cloud.run(InstanceType="t4g.micro", ImageId=cloud.image("arm64"))


def test_a_zone_without_the_type_is_refused(cloud, ec2, refused):
    zones = {zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"]}
    offers = ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["t3.micro"]}]
    )["InstanceTypeOfferings"]
    without = min(zones - {offer["Location"] for offer in offers})
    code, message = refused(cloud.run, Placement={"AvailabilityZone": without})
    assert code == "Unsupported"
    assert f"(t3.micro) is not supported in your requested Availability Zone ({without})" in message


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound"),
        ({"KeyName": "nobody"}, "InvalidKeyPair.NotFound"),
        ({"InstanceType": "t3.enormous"}, "InvalidInstanceType.NotFound"),
        ({"SecurityGroupIds": ["sg-0123456789abcdef0"]}, "InvalidGroup.NotFound"),
        ({"SubnetId": "subnet-0123456789abcdef0"}, "InvalidSubnetID.NotFound"),
        ({"DryRun": True}, "DryRunOperation"),
    ],
)
def test_what_is_not_there_is_refused(cloud, refused, change, code):
    assert refused(cloud.run, **change)[0] == code


def test_a_refused_launch_leaves_nothing(cloud, ec2, refused, name):
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}]
    refused(cloud.spot, options={"MaxPrice": "0.0011"}, TagSpecifications=tags)
    assert ec2.describe_instances(Filters=[{"Name": "tag:Name", "Values": [name]}])["Reservations"] == []


def test_tags_are_told_however_many_resources_have_some(cloud, name):
    tags = [{"Key": "Name", "Value": name}, {"Key": "a*b", "Value": "c?d"}]
    launched = cloud.run(TagSpecifications=[{"ResourceType": "instance", "Tags": tags}])
    assert cloud.tags(launched["InstanceId"]).items() >= {"Name": name, "a*b": "c?d"}.items()


def _profile(cloud):
    iam = cloud.client("iam")
    profile = f"profile-{len(iam.list_instance_profiles()['InstanceProfiles'])}"
    iam.create_instance_profile(InstanceProfileName=profile)
    return profile
