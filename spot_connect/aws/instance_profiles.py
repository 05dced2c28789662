"""IAM instance profiles, and the roles and policies that go into them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from spot_connect.aws.consistency import PROFILE
from spot_connect.aws.refusals import asking
from spot_connect.aws.session import Cloud
from spot_connect.core.errors import AwsError
from spot_connect.core.instance_profiles import InstanceProfile, Policy, Role, bare_name

_MISSING = "NoSuchEntity"
_THERE_ALREADY = "EntityAlreadyExists"


def find(cloud: Cloud, name_or_arn: str) -> InstanceProfile | None:
    """The instance profile of that name or ARN, or ``None``.

    Raises:
        NotAuthorized: ``iam:GetInstanceProfile`` is not allowed.
    """
    name = bare_name(name_or_arn)
    try:
        with asking(f"look for the instance profile {name}"):
            answer = cloud.client("iam").get_instance_profile(InstanceProfileName=name)
    except AwsError as error:
        if error.code == _MISSING:
            return None
        raise
    found = _profile(answer["InstanceProfile"])
    cloud.recent.seen(cloud.region, PROFILE, found.name, found.created.timestamp(), found)
    return found


def every(cloud: Cloud) -> tuple[InstanceProfile, ...]:
    """The instance profiles of the account, by name."""
    with asking("list the instance profiles"):
        pages = list(cloud.client("iam").get_paginator("list_instance_profiles").paginate())
    found = {raw["InstanceProfileName"]: _profile(raw) for page in pages for raw in page["InstanceProfiles"]}
    # One that was made moments ago IAM may not list yet.
    young: Iterable[InstanceProfile] = filter(None, cloud.recent.told(cloud.region, PROFILE).values())
    known = {profile.name: profile for profile in young} | found
    return tuple(sorted(known.values(), key=lambda profile: profile.name))


def create(cloud: Cloud, name: str, tags: Mapping[str, str]) -> None:
    """Make the instance profile; one that is there already is no error."""
    try:
        with asking(f"create the instance profile {name}"):
            cloud.client("iam").create_instance_profile(InstanceProfileName=name, Tags=_marks(tags))
    except AwsError as error:
        if error.code != _THERE_ALREADY:
            raise


def add_role(cloud: Cloud, name: str, role: str) -> None:
    """Put the role into the instance profile, which can hold one."""
    with asking(f"add the role {role} to the instance profile {name}"):
        cloud.client("iam").add_role_to_instance_profile(InstanceProfileName=name, RoleName=role)


def find_role(cloud: Cloud, name: str) -> Role | None:
    """The role of that name, or ``None``."""
    try:
        with asking(f"look for the role {name}"):
            raw = cloud.client("iam").get_role(RoleName=name)["Role"]
    except AwsError as error:
        if error.code == _MISSING:
            return None
        raise
    return Role(raw["RoleName"], {tag["Key"]: tag["Value"] for tag in raw.get("Tags", ())})


def create_role(cloud: Cloud, name: str, tags: Mapping[str, str]) -> None:
    """Make a role that EC2 instances can take; one that is there already is no error."""
    service = "ec2.amazonaws.com.cn" if cloud.region.startswith("cn-") else "ec2.amazonaws.com"
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    try:
        with asking(f"create the role {name}"):
            cloud.client("iam").create_role(
                RoleName=name,
                AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
                Description="made by spot-connect",
                Tags=_marks(tags),
            )
    except AwsError as error:
        if error.code != _THERE_ALREADY:
            raise


def attach(cloud: Cloud, role: str, policy_arn: str) -> None:
    """Attach a managed policy to the role; again is no error."""
    with asking(f"attach the policy {policy_arn} to the role {role}"):
        cloud.client("iam").attach_role_policy(RoleName=role, PolicyArn=policy_arn)


def policies(cloud: Cloud) -> tuple[Policy, ...]:
    """Every managed policy, AWS's and the account's own; about 1,500, in two calls."""
    with asking("list the managed policies"):
        pages = list(
            cloud.client("iam").get_paginator("list_policies").paginate(PaginationConfig={"PageSize": 1000}),
        )
    return tuple(Policy(raw["PolicyName"], raw["Arn"]) for page in pages for raw in page["Policies"])


def _profile(raw: Mapping[str, Any]) -> InstanceProfile:
    created: datetime = raw["CreateDate"]
    roles = tuple(role["RoleName"] for role in raw.get("Roles", ()))
    return InstanceProfile(raw["InstanceProfileName"], raw["Arn"], roles, created)


def _marks(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
