"""The account: who calls, which Regions it has enabled, its quotas, and the roles that AWS's services have in it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from spot_connect.aws.refusals import asking
from spot_connect.aws.session import Cloud
from spot_connect.aws.together import once
from spot_connect.core.clocks import seconds_ahead
from spot_connect.core.errors import AwsError, AwsUnreachable
from spot_connect.core.regions import home_of

_NO_ROLE = "NoSuchEntity"
_NO_REGION = "InvalidParameterValue"
_RUNNING = ["pending", "running"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who AWS takes us for."""

    account: str
    arn: str


@dataclass(frozen=True, slots=True)
class Quota:
    """A limit of the account in a Region, in vCPUs."""

    code: str
    name: str
    vcpus: float


def caller(cloud: Cloud) -> Caller:
    """Who the credentials belong to; anybody may ask.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html

    Raises:
        NoCredentials: AWS does not know them, or they have expired.
    """
    home = cloud.in_region(home_of(cloud.region))
    with asking("ask AWS who you are"):
        answer = home.client("sts").get_caller_identity()
    return Caller(answer["Account"], answer["Arn"])


def clock_ahead(cloud: Cloud) -> float:
    """How many seconds this computer's clock is ahead of AWS's; negative where it is behind.

    The question is not signed: what is signed with a clock that is off is refused, and would not be heard of before
    there are credentials.

    Raises:
        AwsUnreachable: nothing answered, or something that tells no time.
    """
    from botocore.exceptions import ClientError

    home = cloud.unsigned().in_region(home_of(cloud.region))
    before = time.time()
    with asking("ask AWS for the time"):
        try:
            answer = home.client("sts").get_caller_identity()
        except ClientError as error:
            answer = error.response
    after = time.time()
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        told = parsedate_to_datetime(str(headers.get("date", ""))).timestamp()
    except (ValueError, TypeError, OverflowError) as error:
        raise AwsUnreachable("cannot ask AWS for the time", "its answer has no date") from error
    return seconds_ahead(before, after, told)


def opt_in_status(cloud: Cloud) -> str:
    """Whether the account may use the Region: ``opt-in-not-required``, ``opted-in`` or ``not-opted-in``.

    It is asked of a Region that answers every account. Empty where there is no Region of that name.
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html
    """
    home = cloud.in_region(home_of(cloud.region))
    try:
        with asking(f"ask whether the Region {cloud.region} is enabled"):
            found = home.ec2.describe_regions(AllRegions=True, RegionNames=[cloud.region])["Regions"]
    except AwsError as error:
        if error.code == _NO_REGION:
            return ""
        raise
    return str(found[0].get("OptInStatus") or "opt-in-not-required") if found else ""


def has_role(cloud: Cloud, name: str) -> bool:
    """Whether the account has the role.

    Raises:
        NotAuthorized: ``iam:GetRole`` is not allowed.
    """
    try:
        with asking(f"look for the role {name}"):
            cloud.client("iam").get_role(RoleName=name)
    except AwsError as error:
        if error.code == _NO_ROLE:
            return False
        raise
    return True


def quota(cloud: Cloud, code: str) -> Quota:
    """A quota of EC2 in the Region.

    https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html

    Raises:
        NotAuthorized: ``servicequotas:GetServiceQuota`` is not allowed.
    """
    with asking(f"look up the quota {code} in {cloud.region}"):
        raw = cloud.client("service-quotas").get_service_quota(ServiceCode="ec2", QuotaCode=code)["Quota"]
    return Quota(code, raw.get("QuotaName", code), float(raw["Value"]))


@once
def running(cloud: Cloud) -> Mapping[tuple[str, bool], int]:
    """How many instances of the account run in the Region, by their type and whether they are spot instances."""
    filters = [{"Name": "instance-state-name", "Values": _RUNNING}]
    with asking(f"count the instances in {cloud.region}"):
        pages = list(cloud.ec2.get_paginator("describe_instances").paginate(Filters=filters))
    found = (raw for page in pages for reservation in page["Reservations"] for raw in reservation["Instances"])
    return Counter((str(raw["InstanceType"]), raw.get("InstanceLifecycle") == "spot") for raw in found)
