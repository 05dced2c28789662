"""What the table of AWS's demands says of requests: each row refuses something, and what we send passes them all."""

from __future__ import annotations

import re
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot_connect.aws.fleets import fleet_request
from spot_connect.aws.instances import run_request
from spot_connect.aws.launch_templates import template_data
from spot_connect.core.errors import UsageError
from spot_connect.core.fleets import Pool, common_tags
from spot_connect.core.models import Image, LaunchSpec, Subnet
from spot_connect.core.names import (
    NAME_TAG,
    file_system_group_name,
    file_system_token,
    instance_name,
    key_pair_name,
    security_group_name,
)
from spot_connect.launching.doors import own_mark
from spot_connect.launching.fleets import template_name
from tests.aws_constraints import ROWS, Row, documented_filters, faults, model_faults, operation

SUBNET = Subnet("subnet-0123456789abcdef0", "us-east-1a", "vpc-0123456789abcdef0")
IMAGE = Image("ami-0123456789abcdef0", "x86_64", "/dev/xvda", 8)


def spec(**changes):
    usual = {
        "name": "vm1",
        "region": "us-east-1",
        "username": "ec2-user",
        "instance_type": "t3.micro",
        "image": IMAGE,
        "key_name": "KP-vm1",
        "group_id": "sg-0123456789abcdef0",
        "volume_gib": 8,
        "tags": {"Name": "vm1", "spot-connect:managed": "true"},
        "max_price": Decimal("0.0104"),
        "user_data": "#!/bin/sh\ntrue\n",
    }
    return LaunchSpec(**usual | changes)


def label(row: Row) -> str:
    return f"{row.actions[0]} {row.says[:40]}"


@pytest.mark.parametrize("row", ROWS, ids=label)
def test_each_row_refuses_its_bad_request_and_names_its_page(row):
    service = row.actions[0].partition(":")[0]
    action = row.actions[0].replace("*", "GetObject")
    assert list(row.check(row.bad))
    assert any(row.page in said for said in faults(action, _whole(action, row.bad)))
    assert re.fullmatch(r"https://docs\.aws\.amazon\.com/[\w.\-/#]+", row.page)
    assert all(one.startswith(f"{service}:") for one in row.actions)


def _whole(action: str, bad):
    """The request with what it must have besides, so that the model has nothing to say of that."""
    shape = operation(action).input_shape
    filler = {"string": "x", "integer": 1, "boolean": True, "list": [], "structure": {}, "blob": b"x"}
    return {name: filler[shape.members[name].type_name] for name in shape.required_members} | dict(bad)


@pytest.mark.parametrize("row", ROWS, ids=label)
def test_no_row_minds_a_request_without_what_it_is_about(row):
    assert not list(row.check({})) or row.actions[0] in ("s3:*", "ec2:RevokeSecurityGroupIngress", "ec2:DeleteFleets")


@pytest.mark.parametrize("on_demand", [False, True])
def test_what_a_launch_sends_passes_every_row(on_demand):
    request = run_request(spec(on_demand=on_demand), SUBNET) | {"ClientToken": "0f0e0d0c-0b0a"}
    del request["UserData"]
    assert faults("ec2:RunInstances", request) == []


@pytest.mark.parametrize(("maintain", "on_demand"), [(False, False), (True, False), (False, True)])
def test_what_a_fleet_sends_passes_every_row(maintain, on_demand):
    pools = [Pool("t3.micro", SUBNET, Decimal("0.0104"))]
    request = fleet_request("lt-1", pools, 2, {"a": "b"}, maintain=maintain, on_demand=on_demand)
    assert faults("ec2:CreateFleet", request) == []
    assert (
        faults("ec2:CreateLaunchTemplate", {"LaunchTemplateName": "w-1", "LaunchTemplateData": template_data(spec())})
        == []
    )


def test_the_model_itself_is_looked_at_beyond_what_botocore_looks_at():
    assert "takes 1 to 10" in " ".join(model_faults("ssm:GetParameters", {"Names": ["a"] * 11}))
    assert "does not match" in " ".join(model_faults("iam:GetRole", {"RoleName": "a b"}))
    assert "none of" in " ".join(
        model_faults("elasticfilesystem:CreateFileSystem", {"CreationToken": "a", "ThroughputMode": "x"})
    )
    assert "Missing required" in " ".join(model_faults("ec2:RunInstances", {}))
    assert "Unknown parameter" in " ".join(model_faults("ec2:RunInstances", {"MinCount": 1, "MaxCount": 1, "Size": 1}))


def test_the_filters_of_the_documentation_are_found_in_it():
    assert {"instance-state-name", "tag:", "tag-key", "vpc-id"} <= documented_filters("ec2:DescribeInstances")
    assert {"launch-group", "state", "spot-instance-request-id"} <= documented_filters(
        "ec2:DescribeSpotInstanceRequests"
    )


@given(st.text(min_size=1, max_size=230) | st.text("aZ0 ._-:/()#,@[]+=&;{}!$*", min_size=1, max_size=230))
def test_whatever_name_is_taken_aws_takes_all_that_is_made_for_it(name):
    with suppress(UsageError):
        taken = instance_name(name)
        tags = common_tags(taken, {"Name": taken, NAME_TAG: taken})
        request = run_request(spec(name=taken, key_name=key_pair_name(taken), tags=tags, user_data=""), SUBNET)
        assert faults("ec2:RunInstances", request) == []
        key = {"KeyName": key_pair_name(taken), "PublicKeyMaterial": b"ssh-ed25519 AAAA"}
        assert faults("ec2:ImportKeyPair", key) == []
        group = {"GroupName": security_group_name(taken), "Description": "spot-connect"}
        assert faults("ec2:CreateSecurityGroup", group) == []
        template = {"LaunchTemplateName": template_name(taken), "LaunchTemplateData": {}}
        assert faults("ec2:CreateLaunchTemplate", template) == []


@given(st.text(min_size=1, max_size=70) | st.text("aZ0 ._-:/()#,@[]+=&;{}!$*", min_size=1, max_size=70))
def test_whatever_file_system_is_taken_aws_takes_its_token_and_its_group(text):
    with suppress(UsageError):
        token = file_system_token(text)
        assert faults("elasticfilesystem:CreateFileSystem", {"CreationToken": token}) == []
        group = {"GroupName": file_system_group_name(token), "Description": "spot-connect"}
        assert faults("ec2:CreateSecurityGroup", group) == []


@given(st.text(max_size=80), st.text(max_size=80))
def test_whatever_user_and_computer_are_called_aws_takes_the_description_of_their_rule(user, computer):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("getpass.getuser", lambda: user)
        patched.setattr("platform.node", lambda: computer)
        ranges = [{"CidrIp": "203.0.113.7/32", "Description": own_mark()}]
    rule = {"IpPermissions": [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": ranges}]}
    assert faults("ec2:AuthorizeSecurityGroupIngress", rule) == []
