"""The account of the local cloud, and what it answers to questions alone."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

TARGET = {"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "spot"}


def dry(call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters, DryRun=True)
    return caught.value.response["Error"]["Code"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.fixture
def template(cloud, ec2, name):
    data = {"ImageId": cloud.image(), "InstanceType": "t3.micro"}
    yield ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)["LaunchTemplate"]
    ec2.delete_launch_template(LaunchTemplateName=name)


def of_template(template):
    specification = {"LaunchTemplateId": template["LaunchTemplateId"], "Version": "$Default"}
    return [{"LaunchTemplateSpecification": specification}]


def test_a_dry_run_launches_no_fleet_and_ends_none(cloud, ec2, template):
    request = {
        "Type": "instant",
        "TargetCapacitySpecification": TARGET,
        "LaunchTemplateConfigs": of_template(template),
    }
    fleets = len(ec2.describe_fleets()["Fleets"])
    assert dry(ec2.create_fleet, **request) == ("DryRunOperation", 412)
    assert len(ec2.describe_fleets()["Fleets"]) == fleets
    made = ec2.create_fleet(**request)
    [instance] = made["Instances"][0]["InstanceIds"]
    assert dry(ec2.delete_fleets, FleetIds=[made["FleetId"]], TerminateInstances=True) == ("DryRunOperation", 412)
    assert cloud.instance(instance)["State"]["Name"] in ("pending", "running")
    cloud.end(instance)


@pytest.mark.parametrize("call", ["describe_fleets", "describe_key_pairs", "describe_spot_price_history"])
def test_a_dry_run_of_a_question_is_not_answered(ec2, call):
    assert dry(getattr(ec2, call)) == ("DryRunOperation", 412)


def test_what_is_ordered_to_fail_fails_in_a_dry_run_too(cloud, ec2):
    cloud.control("POST", "faults", kind="error", action="CreateFleet", code="UnauthorizedOperation", status=403)
    try:
        code, _ = dry(ec2.create_fleet, TargetCapacitySpecification=TARGET, LaunchTemplateConfigs=[])
        assert code == "UnauthorizedOperation"
    finally:
        cloud.control("DELETE", "faults")


def test_every_region_is_one_that_the_account_may_use(ec2):
    regions = {raw["RegionName"]: raw["OptInStatus"] for raw in ec2.describe_regions(AllRegions=True)["Regions"]}
    assert regions["us-east-1"] == "opt-in-not-required"
    assert regions["eu-south-2"] == "opted-in"
    assert set(regions.values()) == {"opt-in-not-required", "opted-in"}


@pytest.mark.parametrize("role", ["AWSServiceRoleForEC2Spot", "AWSServiceRoleForEC2Fleet"])
def test_the_roles_of_ec2_are_there_and_no_others(cloud, role, refused):
    found = cloud.client("iam").get_role(RoleName=role)["Role"]
    assert found["Arn"].startswith("arn:aws:iam::123456789012:role/aws-service-role/")
    assert cloud.client("iam").get_role(RoleName=role)["Role"]["RoleId"] == found["RoleId"]
    assert refused(cloud.client("iam").get_role, RoleName="AWSServiceRoleForOther")[0] == "NoSuchEntity"
