"""Instance profiles: made, and checked before a launch."""

from __future__ import annotations

from contextlib import suppress

from spot_connect.aws import instance_profiles
from spot_connect.aws.session import Cloud
from spot_connect.core.errors import AwsError, AwsObjectMissing, NotAuthorized
from spot_connect.core.instance_profiles import InstanceProfile, bare_name, checked_name, nearest, own_role_name
from spot_connect.core.names import MANAGED_TAG
from spot_connect.core.waiting import Seen, wait_for

_MANAGED = {MANAGED_TAG: "true"}
_SETTLING_SECONDS = 120.0


def create(cloud: Cloud, name: str, role_or_policy: str) -> InstanceProfile:
    """The instance profile ``name`` with a role; made where it is missing, so that the call can be repeated.

    Args:
        cloud: any Region; IAM is the same in all of them.
        name: of the instance profile.
        role_or_policy: name or ARN of a role, or of a managed policy. For a policy the role ``spot-connect-<name>``
            is made, which instances can take and which has that policy.

    Raises:
        UsageError: IAM does not allow such a name.
        AwsObjectMissing: there is neither a role nor a policy of that name.
        AwsError: the instance profile has another role; it was not changed.
    """
    checked_name(name)
    existing = instance_profiles.find(cloud, name)
    role, policy_arn = _role_for(cloud, name, role_or_policy)
    if existing and existing.roles and existing.roles != (role,):
        raise AwsError(
            f"cannot give the instance profile {name} the role {role}",
            f"it has the role {existing.roles[0]}, and it can hold one only",
            "Choose another name, or remove that role in the IAM console. Nothing was changed.",
        )
    if policy_arn:
        _make_own_role(cloud, role, policy_arn)
    if existing is None:
        instance_profiles.create(cloud, name, _MANAGED)
    if existing is None or not existing.roles:
        _add_role(cloud, name, role)
    return wait_for(
        f"instance profile {name}", lambda: _with_role(cloud, name, role), seconds=_SETTLING_SECONDS, every=1.0
    )


def listed(cloud: Cloud) -> tuple[InstanceProfile, ...]:
    """The instance profiles of the account, by name."""
    return instance_profiles.every(cloud)


def must_exist(cloud: Cloud, name_or_arn: str) -> None:
    """Make sure, before anything is made, that the instance profile exists; whoever may not look is let through.

    Raises:
        AwsObjectMissing: there is none of that name.
    """
    if not name_or_arn:
        return
    try:
        if instance_profiles.find(cloud, name_or_arn) is not None:
            return
    except NotAuthorized:
        return
    known: tuple[str, ...] = ()
    with suppress(AwsError):
        known = tuple(profile.name for profile in instance_profiles.every(cloud))
    name = bare_name(name_or_arn)
    raise AwsObjectMissing(
        f"cannot use the instance profile {name}",
        "this account has none of that name",
        nearest(name, known) or "See sutils.list_instance_profiles(); sutils.create_instance_profile() makes one.",
    )


def _role_for(cloud: Cloud, name: str, role_or_policy: str) -> tuple[str, str]:
    """The role, and the ARN of the policy that it is to be made with; empty when the role is there."""
    if ":policy/" in role_or_policy:
        return own_role_name(name), role_or_policy
    role = instance_profiles.find_role(cloud, bare_name(role_or_policy))
    if role is not None:
        return role.name, ""
    known = () if role_or_policy.startswith("arn:") else instance_profiles.policies(cloud)
    found = next((policy.arn for policy in known if policy.name == role_or_policy), "")
    if not found:
        raise AwsObjectMissing(
            f"cannot make the instance profile {name}",
            f"there is neither a role nor a managed policy called {role_or_policy}",
            nearest(role_or_policy, [policy.name for policy in known]) or "Make the role in the IAM console first.",
        )
    return own_role_name(name), found


def _make_own_role(cloud: Cloud, role: str, policy_arn: str) -> None:
    existing = instance_profiles.find_role(cloud, role)
    if existing is not None and MANAGED_TAG not in existing.tags:
        raise AwsError(
            f"cannot give the role {role} a policy", "it was not made by spot-connect", "Name that role itself instead."
        )
    if existing is None:
        instance_profiles.create_role(cloud, role, _MANAGED)
    instance_profiles.attach(cloud, role, policy_arn)


def _add_role(cloud: Cloud, name: str, role: str) -> None:
    try:
        instance_profiles.add_role(cloud, name, role)
    except AwsError as error:
        # Somebody else may have done it a moment ago.
        if error.code not in ("LimitExceeded", "EntityAlreadyExists"):
            raise
        found = instance_profiles.find(cloud, name)
        if found is None or found.roles != (role,):
            raise


def _with_role(cloud: Cloud, name: str, role: str) -> Seen[InstanceProfile]:
    found = instance_profiles.find(cloud, name)
    return Seen(found if found and role in found.roles else None, "IAM does not show it with its role yet")
