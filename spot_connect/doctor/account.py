"""What is of the account: credentials, the Region, the clock, quotas and roles."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone

from spot_connect.aws import account
from spot_connect.aws.session import Cloud
from spot_connect.aws.sources import Login
from spot_connect.core.clocks import LIMIT_SECONDS, WARNING_SECONDS
from spot_connect.core.errors import AwsError, NotAuthorized, Throttled
from spot_connect.core.findings import Finding, State
from spot_connect.core.profiles import nearest
from spot_connect.core.regions import enabling
from spot_connect.core.vcpu_quotas import quotas_of
from spot_connect.store import tables

_SOON = timedelta(minutes=30)
ROLES = {
    "AWSServiceRoleForEC2Spot": ("spot.amazonaws.com", "spot requests"),
    "AWSServiceRoleForEC2Fleet": ("ec2fleet.amazonaws.com", "maintained fleets"),
}
"""What EC2 itself needs in the account: each role with its service, and what it is for."""
_READ = "See the statement Doctor in docs/permissions.md."


def credentials(cloud: Cloud) -> Finding:
    """Who calls, where the keys come from, and until when they hold.

    Raises:
        NoCredentials: there are none that work; the advice fits their source.
    """
    login = cloud.login()
    who = account.caller(cloud)
    place = login.source.place if login.source else "the local cloud"
    details = {
        "account": who.account,
        "arn": who.arn,
        "source": login.source.method if login.source else None,
        "profile": login.source.profile if login.source else None,
        "found_in": place,
        "expires": login.expires.isoformat() if login.expires else None,
        "temporary": login.temporary,
    }
    state, until, mend = _expiry(login, datetime.now(timezone.utc))
    return Finding("credentials", state, f"{who.arn}, from {place}{until}", mend, details)


def _expiry(login: Login, now: datetime) -> tuple[State, str, str]:
    if login.expires is None:
        return State.OK, "; temporary, and nothing says until when" if login.temporary else "", ""
    until = f"; until {login.expires.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"
    is_renewed = login.source is not None and login.source.method != "env"
    if login.expires - now > _SOON or is_renewed:
        return State.OK, f"{until}, then renewed" if is_renewed else until, ""
    return State.WARNING, until, login.source.advice() if login.source else ""


def region(cloud: Cloud, why: str) -> Finding:
    """Whether the account may use the Region."""
    name = cloud.region
    status = account.opt_in_status(cloud)
    details = {"region": name, "chosen_by": why, "opt_in_status": status or None}
    if not status:
        close = nearest(name, tables.regions())
        mend = f"Did you mean {' or '.join(close)}? Name one with -reg." if close else "Name another with -reg."
        return Finding("Region", State.FAULT, f"there is no Region {name} ({why})", mend, details)
    if status == "not-opted-in":
        said = f"{name} ({why}) is not enabled for the account, so that it refuses every call"
        mend = f"Run `{enabling(name)}`, which takes minutes, or name another with -reg."
        return Finding("Region", State.FAULT, said, mend, details)
    return Finding("Region", State.OK, f"{name} ({why}) is enabled", "", details)


def clock(cloud: Cloud) -> Finding:
    """Whether this computer's clock is near enough to AWS's for signatures."""
    ahead = account.clock_ahead(cloud)
    details = {"seconds_ahead": round(ahead)}
    off = f"this computer's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} AWS's"
    mend = "Set it, for example with: sudo timedatectl set-ntp true"
    if abs(ahead) >= LIMIT_SECONDS:
        return Finding("clock", State.FAULT, f"{off}; AWS refuses what is signed with it", mend, details)
    if abs(ahead) >= WARNING_SECONDS:
        limit = f"from {LIMIT_SECONDS:.0f} s on AWS refuses what is signed with it"
        return Finding("clock", State.WARNING, f"{off}; {limit}", mend, details)
    return Finding("clock", State.OK, "this computer's clock agrees with AWS's", "", details)


def quota(cloud: Cloud, instance_type: str, *, spot: bool) -> Finding:
    """Whether one more instance of the type fits into the account's quota."""
    check = "spot quota" if spot else "on-demand quota"
    codes = quotas_of(instance_type)
    code = codes.spot if spot else codes.on_demand
    if not code:
        return Finding(check, State.UNKNOWN, f"which quota limits {instance_type} is not known", "See Service Quotas.")
    try:
        found = account.quota(cloud, code)
    except AwsError as error:
        return _unread(check, error)
    in_use = sum(
        count * _vcpus(kind)
        for (kind, is_spot), count in account.running(cloud).items()
        if is_spot == spot and (quotas_of(kind).spot if spot else quotas_of(kind).on_demand) == code
    )
    return _judged(check, cloud.region, found, instance_type, _vcpus(instance_type), in_use, spot=spot)


def _vcpus(instance_type: str) -> int:
    row = tables.type_row(instance_type)
    return row.vcpus if row else 1


def _judged(
    check: str, region_name: str, found: account.Quota, instance_type: str, needed: int, in_use: int, *, spot: bool
) -> Finding:
    details = {
        "code": found.code,
        "name": found.name,
        "region": region_name,
        "vcpus": found.vcpus,
        "in_use": in_use,
        "instance_type": instance_type,
        "needed": needed,
    }
    said = f"{found.name}: {found.vcpus:g} vCPUs in {region_name}, {in_use} in use; {instance_type} takes {needed}"
    if found.vcpus - in_use >= needed:
        return Finding(check, State.OK, said, "", details)
    wanted = math.ceil(max(found.vcpus, in_use) + needed)
    mend = (
        f"Run: aws service-quotas request-service-quota-increase --region {region_name} --service-code ec2 "
        f"--quota-code {found.code} --desired-value {wanted}"
    )
    # A launch is on demand only where somebody has asked for that.
    state = State.FAULT if spot else State.WARNING
    return Finding(check, state, f"{said}, so that it does not fit", mend, details)


def role(cloud: Cloud, name: str) -> Finding:
    """Whether the account has a role that EC2 itself needs; else the first request that needs it makes it."""
    check = name_of(name)
    service, what = ROLES[name]
    details = {"role": name, "service": service}
    try:
        is_there = account.has_role(cloud, name)
    except AwsError as error:
        return _unread(check, error)
    if is_there:
        return Finding(check, State.OK, f"{name}, for {what}, is there", "", {**details, "exists": True})
    said = f"{name} is not there; the first of the {what} makes it if the caller may, and fails if not"
    mend = f"An administrator can run once: aws iam create-service-linked-role --aws-service-name {service}"
    return Finding(check, State.WARNING, said, mend, {**details, "exists": False})


def name_of(role_name: str) -> str:
    """What the check of a role is called.

    Example:
        >>> name_of("AWSServiceRoleForEC2Spot")
        'role EC2Spot'
    """
    return f"role {role_name.removeprefix('AWSServiceRoleFor')}"


def _unread(check: str, error: AwsError) -> Finding:
    """What only this command asks for is no fault where it may not be read."""
    if isinstance(error, (NotAuthorized, Throttled)):
        said, _, _ = error.said.partition("Encoded authorization failure message")
        return Finding(check, State.UNKNOWN, f"could not be looked at: {error.what}: {said.strip()}", _READ)
    raise error
