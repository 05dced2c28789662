"""Who takes over whose job, and what is asked of CreateFleet."""

from __future__ import annotations

import base64
from decimal import Decimal

import botocore.session
import pytest
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from spot_connect.aws.fleets import fleet_request, worst
from spot_connect.aws.launch_templates import template_data
from spot_connect.core.errors import AwsObjectMissing, NoCapacity, NotAuthorized, PriceTooLow, QuotaReached
from spot_connect.core.fleets import Pool, PoolRefusal, member_names, reassign
from spot_connect.core.models import Image, LaunchSpec, Subnet

IDS = st.integers(0, 12).map("i-{:017x}".format)
JOBS = st.dictionaries(IDS, st.integers(0, 99).map("job-{}".format), max_size=8)
LIVE = st.lists(IDS, max_size=10)


@given(JOBS, LIVE)
def test_every_job_is_on_one_live_instance_or_orphaned(jobs, live):
    now = reassign(jobs, live)
    assert set(now.jobs) <= set(live)
    assert sorted([*now.jobs.values(), *(job for job, _ in now.orphans)]) == sorted(jobs.values())


@given(JOBS, LIVE)
def test_whoever_lives_keeps_its_job(jobs, live):
    now = reassign(jobs, live)
    assert all(now.jobs[one] == job for one, job in jobs.items() if one in live)


@given(JOBS, LIVE)
def test_as_many_jobs_move_as_can(jobs, live):
    now = reassign(jobs, live)
    gone, new = set(jobs) - set(live), set(live) - set(jobs)
    assert len(now.moves) == min(len(gone), len(new))
    assert {old for _, old, _ in now.moves} | {old for _, old in now.orphans} == gone
    assert {heir for _, _, heir in now.moves} | set(now.spare) == new
    assert all(now.jobs[heir] == job == jobs[old] for job, old, heir in now.moves)


@given(JOBS, LIVE)
def test_a_second_look_changes_nothing(jobs, live):
    now = reassign(jobs, live)
    again = reassign(now.jobs, [*now.jobs])
    assert (again.jobs, again.moves, again.orphans, again.spare) == (now.jobs, (), (), ())


@given(st.integers(0, 20), st.sets(st.integers(0, 20)))
def test_names_are_free_and_differ(count, taken):
    used = {f"w_{number}" for number in taken}
    names = member_names("w", count, used)
    assert len(set(names)) == count
    assert not set(names) & used


SPEC = LaunchSpec(
    name="w",
    region="us-east-1",
    instance_type="t3.micro",
    image=Image("ami-1", "x86_64", "/dev/xvda", 8),
    key_name="KP-w",
    group_id="sg-1",
    tags={"Name": "w"},
    username="ec2-user",
    instance_profile="role1",
    user_data="#!/bin/sh\necho é\n",
    monitoring=True,
)
POOLS = (Pool("t3.micro", Subnet("subnet-1", "us-east-1a", "vpc-1"), Decimal("0.01")),)


def shape(operation):
    return botocore.session.get_session().get_service_model("ec2").operation_model(operation).input_shape


@pytest.mark.parametrize("maintain", [True, False])
def test_the_fleet_request_is_one_that_botocore_knows(maintain):
    request = fleet_request("lt-1", POOLS, 3, {"a": "b"}, maintain=maintain)
    assert not ParamValidator().validate(request, shape("CreateFleet")).has_errors()
    assert request["Type"] == ("maintain" if maintain else "instant")
    assert request["SpotOptions"]["AllocationStrategy"] == "price-capacity-optimized"
    assert request["LaunchTemplateConfigs"][0]["Overrides"] == [
        {"InstanceType": "t3.micro", "SubnetId": "subnet-1", "MaxPrice": "0.01"}
    ]


def test_the_template_is_what_a_launch_would_say_without_type_zone_and_price():
    data = template_data(SPEC)
    request = {"LaunchTemplateName": "w-1", "LaunchTemplateData": data}
    assert not ParamValidator().validate(request, shape("CreateLaunchTemplate")).has_errors()
    assert not {"InstanceType", "MinCount", "MaxCount", "InstanceMarketOptions"} & set(data)
    assert "SubnetId" not in data["NetworkInterfaces"][0]
    assert data["NetworkInterfaces"][0]["Groups"] == ["sg-1"]
    assert base64.b64decode(data["UserData"]).decode() == SPEC.user_data
    assert data["IamInstanceProfile"] == {"Name": "role1"}


@pytest.mark.parametrize(
    ("codes", "error"),
    [
        (["UnfulfillableCapacity", "InsufficientInstanceCapacity"], NoCapacity),
        (["InsufficientInstanceCapacity", "UnauthorizedOperation"], NotAuthorized),
        (["UnfulfillableCapacity", "MaxSpotInstanceCountExceeded"], QuotaReached),
        (["UnfulfillableCapacity", "SpotMaxPriceTooLow"], PriceTooLow),
        (["InsufficientInstanceCapacity", "InvalidAMIID.NotFound"], AwsObjectMissing),
        ([], NoCapacity),
    ],
)
def test_the_refusal_that_says_most_is_raised(codes, error):
    refusals = [PoolRefusal("t3.micro", "us-east-1a", code, f"said {code}") for code in codes]
    found = worst("launch the fleet w", refusals)
    assert type(found) is error
    if codes:
        assert found.code == codes[-1]
