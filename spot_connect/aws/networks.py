"""Where an instance can be put, and from where we call."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from spot_connect.aws.refusals import asking
from spot_connect.aws.session import Cloud
from spot_connect.aws.together import once
from spot_connect.core.errors import AwsObjectMissing, AwsUnreachable, NotAuthorized
from spot_connect.core.findings import see_doctor
from spot_connect.core.models import Subnet

if TYPE_CHECKING:
    import ssl

_CHECK_IP = "https://checkip.amazonaws.com"


@once
def subnets(cloud: Cloud, vpc_id: str = "") -> tuple[Subnet, ...]:
    """One subnet a zone, the best that it has: those of ``vpc_id``, else the Region's default ones.

    Where some are public, only those; where none is, private ones.

    Raises:
        AwsObjectMissing: there is none.
    """
    name, value = ("vpc-id", vpc_id) if vpc_id else ("default-for-az", "true")
    # An instance without an IPv4 address has none that we could connect to.
    found = [raw for raw in _subnets(cloud, name, value) if not raw.get("Ipv6Native")]
    if not found:
        if vpc_id:
            raise AwsObjectMissing(f"cannot find a subnet in the VPC {vpc_id}", advice="Name one with --subnet.")
        make = f"`aws ec2 create-default-vpc --region {cloud.region}` makes them, once for all."
        advice = see_doctor(f"Name one of another VPC with --subnet; or {make}", local=cloud.is_local)
        raise AwsObjectMissing(f"cannot find a subnet in the default VPC of {cloud.region}", advice=advice)
    is_public = _is_public(cloud, found[0]["VpcId"])
    best: dict[str, Mapping[str, Any]] = {}
    for raw in sorted(found, key=lambda raw: raw["SubnetId"]):
        zone = raw["AvailabilityZone"]
        if zone not in best or _fitness(raw, is_public) > _fitness(best[zone], is_public):
            best[zone] = raw
    made = [_subnet(best[zone], is_public) for zone in sorted(best)]
    return tuple(each for each in made if each.is_public) or tuple(made)


def subnet(cloud: Cloud, subnet_id: str) -> Subnet:
    """The subnet with that id.

    Raises:
        AwsObjectMissing: there is none, or its instances have no IPv4 address.
    """
    found = _subnets(cloud, "subnet-id", subnet_id)
    if not found:
        raise AwsObjectMissing(
            f"cannot find the subnet {subnet_id} in {cloud.region}",
            advice="Subnets belong to one Region: name it with -reg, or leave --subnet out to have one chosen.",
        )
    if found[0].get("Ipv6Native"):
        raise AwsObjectMissing(
            f"cannot use the subnet {subnet_id}",
            "its instances have IPv6 addresses alone, and spot-connect connects to IPv4 ones",
            "Name another one with --subnet.",
        )
    return _subnet(found[0], _is_public(cloud, found[0]["VpcId"]))


def _subnets(cloud: Cloud, name: str, value: str) -> list[Mapping[str, Any]]:
    with asking(f"look for subnets in {cloud.region}"):
        pages = cloud.ec2.get_paginator("describe_subnets").paginate(Filters=[{"Name": name, "Values": [value]}])
        return [raw for page in pages for raw in page["Subnets"]]


def _subnet(raw: Mapping[str, Any], is_public: Callable[[Mapping[str, Any]], bool]) -> Subnet:
    return Subnet(raw["SubnetId"], raw["AvailabilityZone"], raw["VpcId"], is_public(raw))


def _fitness(raw: Mapping[str, Any], is_public: Callable[[Mapping[str, Any]], bool]) -> tuple[bool, ...]:
    """What counts when a zone has several, the weightiest first."""
    has_room = raw.get("AvailableIpAddressCount", 1) > 0
    return (
        is_public(raw) and has_room,
        is_public(raw),
        bool(raw.get("MapPublicIpOnLaunch")),
        bool(raw.get("DefaultForAz")),
    )


def _is_public(cloud: Cloud, vpc_id: str) -> Callable[[Mapping[str, Any]], bool]:
    """Whether a subnet of the VPC has a default route to an internet gateway: our instances get public addresses there.

    Who may not look at route tables is told what the subnets give by themselves.
    https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Route_Tables.html
    """
    try:
        with asking(f"look at the route tables of {vpc_id}"):
            wanted = [{"Name": "vpc-id", "Values": [vpc_id]}]
            pages = list(cloud.ec2.get_paginator("describe_route_tables").paginate(Filters=wanted))
    except NotAuthorized:
        return lambda raw: bool(raw.get("MapPublicIpOnLaunch"))
    own: dict[str, bool] = {}
    in_main = False
    for table in (table for page in pages for table in page["RouteTables"]):
        leads_out = any(map(_leads_out, table.get("Routes", ())))
        for one in filter(_holds, table.get("Associations", ())):
            if one.get("Main"):
                in_main = leads_out
            elif one.get("SubnetId"):
                own[one["SubnetId"]] = leads_out
    return lambda raw: own.get(raw["SubnetId"], in_main)


def _leads_out(route: Mapping[str, Any]) -> bool:
    is_default = route.get("DestinationCidrBlock") == "0.0.0.0/0"
    # A route whose gateway was detached stays, as a "blackhole".
    return is_default and route.get("GatewayId", "").startswith("igw-") and route.get("State", "active") == "active"


def _holds(association: Mapping[str, Any]) -> bool:
    return association.get("AssociationState", {}).get("State", "associated") in ("associated", "associating")


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
