"""Instant fleets, as far as the local cloud has them."""

from __future__ import annotations

import base64

import pytest


@pytest.fixture
def template(cloud, ec2, group, name):
    data = {
        "ImageId": cloud.image(),
        "SecurityGroupIds": [group],
        "UserData": base64.b64encode(b"#!/bin/sh\n").decode(),
        "InstanceInitiatedShutdownBehavior": "terminate",
    }
    made = ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)["LaunchTemplate"]
    return {"LaunchTemplateId": made["LaunchTemplateId"], "Version": "$Latest"}


@pytest.fixture
def fleet(ec2, template):
    def fleet(count=1, types=("c5.large", "t3.micro"), **options):
        return ec2.create_fleet(
            Type="instant",
            LaunchTemplateConfigs=[
                {"LaunchTemplateSpecification": template, "Overrides": [{"InstanceType": one} for one in types]}
            ],
            TargetCapacitySpecification={"TotalTargetCapacity": count, "DefaultTargetCapacityType": "spot"},
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
