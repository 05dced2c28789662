"""Where an instance can be put, and from where we call."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from spot_connect.aws.refusals import asking
from spot_connect.aws.session import Cloud
from spot_connect.aws.together import once
from spot_connect.core.errors import AwsObjectMissing, AwsUnreachable
from spot_connect.core.findings import see_doctor
from spot_connect.core.models import Subnet

if TYPE_CHECKING:
    import ssl

_CHECK_IP = "https://checkip.amazonaws.com"


@once
def subnets(cloud: Cloud, vpc_id: str = "") -> tuple[Subnet, ...]:
    """One subnet a zone: those of ``vpc_id``, else the Region's default ones.

    Raises:
        AwsObjectMissing: there is none.
    """
    wanted = {"Name": "vpc-id", "Values": [vpc_id]} if vpc_id else {"Name": "default-for-az", "Values": ["true"]}
    with asking(f"look for subnets in {cloud.region}"):
        pages = list(cloud.ec2.get_paginator("describe_subnets").paginate(Filters=[wanted]))
    found = {raw["AvailabilityZone"]: raw for page in pages for raw in page["Subnets"]}
    if not found:
        where = f"the VPC {vpc_id}" if vpc_id else f"the default VPC of {cloud.region}"
        advice = f"Run `aws ec2 create-default-vpc --region {cloud.region}` once."
        raise AwsObjectMissing(f"cannot find a subnet in {where}", advice=see_doctor(advice, local=cloud.is_local))
    return tuple(Subnet(raw["SubnetId"], zone, raw["VpcId"]) for zone, raw in sorted(found.items()))


def region_names(cloud: Cloud) -> tuple[str, ...]:
    """The Regions that the account has enabled."""
    with asking("list the Regions"):
        return tuple(sorted(raw["RegionName"] for raw in cloud.ec2.describe_regions()["Regions"]))


def own_address(cloud: Cloud, url: str = _CHECK_IP) -> str:
    """The IPv4 address that AWS sees us come from.

    Raises:
        AwsUnreachable: the service that tells it did not answer with an address.
    """
    import urllib.error
    import urllib.request

    from netaddr import AddrFormatError, IPAddress

    try:
        with urllib.request.urlopen(url, timeout=10, context=_trust(cloud)) as answer:  # noqa: S310 - not from outside
            return str(IPAddress(answer.read(100).decode("ascii", "replace").strip()))
    except (urllib.error.URLError, OSError, AddrFormatError, ValueError) as error:
        raise AwsUnreachable(
            "cannot find out this computer's public address",
            f"{url}: {error}",
            see_doctor("Check the network, or name who may connect with -fw tcp,22,22,ADDRESS/32."),
        ) from error


def _trust(cloud: Cloud) -> ssl.SSLContext:
    """What calls of AWS trust, beside what this system trusts, which may be nothing: Python of python.org on macOS."""
    import ssl

    from botocore.httpsession import get_cert_path

    context = ssl.create_default_context()
    chosen = cloud.ca_bundle() or os.environ.get("REQUESTS_CA_BUNDLE") or get_cert_path(True)  # noqa: FBT003
    try:
        context.load_verify_locations(chosen)
    except OSError as error:
        raise OSError(f"the certificates in {chosen} cannot be read: {error.strerror}") from error
    return context
