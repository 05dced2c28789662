"""Security groups: how they are named and looked for."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("change", [str.upper, lambda name: f"{name}  "], ids=["upper case", "blanks at the end"])
def test_names_that_differ_in_case_or_in_blanks_at_the_end_are_one(ec2, name, group, refused, change):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html"""
    code, _ = refused(ec2.create_security_group, GroupName=change(name), Description="test")
    assert code == "InvalidGroup.Duplicate"
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    assert ec2.create_security_group(GroupName=change(name), Description="test", VpcId=vpc)["GroupId"] != group


def test_a_name_does_not_begin_like_an_id(ec2, refused):
    assert refused(ec2.create_security_group, GroupName="sg-mine", Description="test")[0] == "InvalidParameterValue"


def test_a_filter_takes_patterns_and_is_exact_about_case(ec2, name, group):
    def found(value):
        filters = [{"Name": "group-name", "Values": [value]}]
        return [one["GroupId"] for one in ec2.describe_security_groups(Filters=filters)["SecurityGroups"]]

    assert found(name) == found(f"{name[:-1]}?") == found(f"{name[:5]}*{name[5:]}") == [group]
    assert found(name.upper()) == found(f"{name[:-1]}\\*") == found(f"{name[:-1]}[{name[-1]}]") == []
