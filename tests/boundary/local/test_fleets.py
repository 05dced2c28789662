"""Fleets of the local cloud, held to what AWS does."""

from __future__ import annotations

import base64
import uuid

import pytest

from spot_connect.core.waiting import Seen, wait_for


@pytest.fixture
def template(cloud, ec2, group, name):
    return launch_template(cloud, ec2, group, name, tagged=("instance", "spot-instances-request"))


@pytest.fixture
def on_demand_template(cloud, ec2, group, name):
    return launch_template(cloud, ec2, group, f"{name}-on-demand", tagged=("instance",))


def launch_template(cloud, ec2, group, name, tagged):
    data = {
        "ImageId": cloud.image(),
        "SecurityGroupIds": [group],
        "UserData": base64.b64encode(b"#!/bin/sh\n").decode(),
        "InstanceInitiatedShutdownBehavior": "terminate",
        "Monitoring": {"Enabled": False},
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
        "TagSpecifications": [{"ResourceType": kind, "Tags": [{"Key": "made-by", "Value": name}]} for kind in tagged],
    }
    made = ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)["LaunchTemplate"]
    return {"LaunchTemplateId": made["LaunchTemplateId"], "Version": "$Latest"}


@pytest.fixture
def fleet(ec2, template, on_demand_template):
    templates = {"spot": template, "on-demand": on_demand_template}

    def fleet(count=1, types=("c5.large", "t3.micro"), kind="instant", each=None, market="spot", **options):
        overrides = [{"InstanceType": one, **(each or {})} for one in types]
        return ec2.create_fleet(
            Type=kind,
            LaunchTemplateConfigs=[{"LaunchTemplateSpecification": templates[market], "Overrides": overrides}],
            TargetCapacitySpecification={"TotalTargetCapacity": count, "DefaultTargetCapacityType": market},
            **options,
        )

    return fleet


def ids(made):
    return [one for entry in made["Instances"] for one in entry["InstanceIds"]]


def test_the_cheapest_pool_is_taken_and_the_template_is_honoured(cloud, fleet, group):
    made = fleet(2, SpotOptions={"AllocationStrategy": "price-capacity-optimized"})
    assert len(ids(made)) == 2
    for instance_id in ids(made):
        instance = cloud.instance(instance_id)
        assert instance["InstanceType"] == "t3.micro"
        assert [one["GroupId"] for one in instance["SecurityGroups"]] == [group]
        assert instance["InstanceLifecycle"] == "spot"
        assert "PublicIpAddress" in instance
        assert cloud.tags(instance_id)["aws:ec2:fleet-id"] == made["FleetId"]


def test_on_demand_too_the_cheapest_pool_is_taken_and_the_template_is_honoured(cloud, fleet, group):
    made = fleet(2, market="on-demand", OnDemandOptions={"AllocationStrategy": "lowest-price"})
    assert len(ids(made)) == 2
    for instance_id in ids(made):
        instance = cloud.instance(instance_id)
        assert instance["InstanceType"] == "t3.micro"
        assert [one["GroupId"] for one in instance["SecurityGroups"]] == [group]
        assert "InstanceLifecycle" not in instance
        assert "PublicIpAddress" in instance
        assert instance["MetadataOptions"]["HttpTokens"] == "required"
        assert cloud.tags(instance_id)["aws:ec2:fleet-id"] == made["FleetId"]


def test_an_on_demand_fleet_is_refused_a_template_that_tags_spot_requests(ec2, template):
    made = ec2.create_fleet(
        Type="instant",
        LaunchTemplateConfigs=[
            {"LaunchTemplateSpecification": template, "Overrides": [{"InstanceType": "t3.micro"}]},
        ],
        TargetCapacitySpecification={"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "on-demand"},
    )
    assert ids(made) == []
    assert {one["ErrorCode"] for one in made["Errors"]} == {"InvalidParameterValue"}


def test_its_instances_have_the_metadata_options_of_the_template(cloud, fleet):
    options = cloud.instance(ids(fleet())[0])["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 2)


def test_a_single_instance_has_the_metadata_options_of_its_template_unless_it_has_its_own(cloud, template):
    plain = cloud.run(LaunchTemplate=template)
    assert plain["MetadataOptions"]["HttpTokens"] == "required"
    own = cloud.run(LaunchTemplate=template, MetadataOptions={"HttpTokens": "optional"})["MetadataOptions"]
    assert (own["HttpTokens"], own["HttpPutResponseHopLimit"]) == ("optional", 2)


def test_its_instances_are_one_time(cloud, ec2, fleet, refused):
    made = fleet()
    assert refused(ec2.stop_instances, InstanceIds=ids(made))[0] == "UnsupportedOperation"


def test_deleting_ends_the_instances_and_names_the_unknown(cloud, ec2, fleet):
    made = fleet()
    unknown = "fleet-00000000-0000-0000-0000-000000000000"
    deleted = ec2.delete_fleets(FleetIds=[made["FleetId"], unknown], TerminateInstances=True)
    assert [one["FleetId"] for one in deleted["SuccessfulFleetDeletions"]] == [made["FleetId"]]
    assert deleted["UnsuccessfulFleetDeletions"][0]["Error"]["Code"] == "fleetIdDoesNotExist"
    cloud.until(ids(made)[0], "terminated")


def test_instances_and_their_spot_requests_have_the_tags_of_the_template(cloud, ec2, fleet, name):
    instance = cloud.instance(ids(fleet())[0])
    assert cloud.tags(instance["InstanceId"])["made-by"] == name
    assert instance["Monitoring"]["State"] == "disabled"
    request = ec2.describe_spot_instance_requests(SpotInstanceRequestIds=[instance["SpotInstanceRequestId"]])
    assert {"Key": "made-by", "Value": name} in request["SpotInstanceRequests"][0]["Tags"]


def test_a_pool_that_refuses_is_told_and_the_next_one_taken(cloud, ec2, fleet):
    """HTTP 200 with ``Errors``: a type at a price it does not have, beside one that has it."""
    made = fleet(2, types=("t3.micro", "c5.24xlarge"), each={"MaxPrice": "0.1"})
    assert {cloud.instance(one)["InstanceType"] for one in ids(made)} == {"t3.micro"}
    none = fleet(1, types=("c5.24xlarge",), each={"MaxPrice": "0.1"})
    assert ids(none) == []
    [error] = none["Errors"]
    assert error["ErrorCode"] == "SpotMaxPriceTooLow"
    assert error["LaunchTemplateAndOverrides"]["Overrides"]["InstanceType"] == "c5.24xlarge"


def test_a_zone_without_the_type_is_told(ec2, fleet):
    zones = {
        offer["Location"]
        for offer in ec2.describe_instance_type_offerings(
            LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["t3.micro"]}]
        )["InstanceTypeOfferings"]
    }
    subnets = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
    without = next(one["SubnetId"] for one in subnets if one["AvailabilityZone"] not in zones)
    made = fleet(1, types=("t3.micro",), each={"SubnetId": without})
    assert ids(made) == []
    assert made["Errors"][0]["ErrorCode"] == "Unsupported"


def test_the_same_token_is_the_same_fleet(ec2, fleet, refused):
    token = str(uuid.uuid4())
    first = fleet(ClientToken=token)
    assert ids(fleet(ClientToken=token)) == ids(first)
    assert refused(fleet, count=2, ClientToken=token)[0] == "IdempotentParameterMismatch"


def test_an_instant_fleet_is_hidden_and_goes_with_its_instances_only(ec2, fleet, refused):
    made = fleet()["FleetId"]
    assert made not in {one["FleetId"] for one in ec2.describe_fleets()["Fleets"]}
    assert ec2.describe_fleets(FleetIds=[made])["Fleets"]
    assert refused(ec2.describe_fleet_instances, FleetId=made)[0] == "Unsupported"
    kept = ec2.delete_fleets(FleetIds=[made], TerminateInstances=False)
    assert kept["UnsuccessfulFleetDeletions"][0]["Error"]["Code"] == "NoTerminateInstancesNotSupported"


def test_a_maintained_fleet_takes_no_instance_tags(fleet, refused):
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}]
    assert refused(fleet, kind="maintain", TagSpecifications=tags)[0] == "InvalidParameterValue"


def test_a_maintained_fleet_replaces_what_ends_until_it_is_deleted(cloud, ec2, fleet):
    made = fleet(2, kind="maintain")
    assert "Instances" not in made

    def active():
        return {one["InstanceId"] for one in ec2.describe_fleet_instances(FleetId=made["FleetId"])["ActiveInstances"]}

    first = active()
    assert len(first) == 2
    gone = first.pop()
    cloud.end(gone)

    def look():
        now = active()
        return Seen(now if len(now) == 2 and gone not in now else None, str(now))

    now = wait_for("replacement", look, seconds=20, every=0.1)
    assert first < now
    for instance_id in now:
        assert cloud.tags(instance_id)["aws:ec2:fleet-id"] == made["FleetId"]
    ec2.delete_fleets(FleetIds=[made["FleetId"]], TerminateInstances=True)
    for instance_id in now:
        cloud.until(instance_id, "terminated")
    assert active() == set()


def test_a_fleet_without_instances_can_be_deleted_once(cloud, ec2, fleet):
    made = fleet()
    cloud.end(*ids(made))
    for code in (None, "fleetNotInDeletableState"):
        answer = ec2.delete_fleets(FleetIds=[made["FleetId"]], TerminateInstances=True)
        assert [one["Error"]["Code"] for one in answer["UnsuccessfulFleetDeletions"]] == ([code] if code else [])
