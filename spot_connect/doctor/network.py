"""What lies between: the default VPC, this computer's address, and the services beside EC2."""

from __future__ import annotations

from spot_connect.aws import filesystems, images, networks
from spot_connect.aws.session import Cloud
from spot_connect.core.errors import AwsError, AwsObjectMissing
from spot_connect.core.findings import Finding, State, of_error
from spot_connect.core.images import DEFAULT_IMAGE_NAME
from spot_connect.launching.realm import Realm
from spot_connect.store import tables

_POLICY = "The permissions spot-connect needs are listed in docs/permissions.md."


def subnets(cloud: Cloud) -> Finding:
    """Whether there is a default VPC, with subnets from which an instance can be reached."""
    try:
        found = networks.subnets(cloud)
    except AwsObjectMissing as error:
        return of_error("network", State.FAULT, error)
    vpc_id = found[0].vpc_id
    public = [one.id for one in found if one.is_public]
    details = {"vpc": vpc_id, "public_subnets": public, "subnets": [one.id for one in found]}
    if not public:
        said = f"no subnet of the default VPC {vpc_id} leads to the internet, so that no instance there can be reached"
        mend = (
            "Name a public subnet of another VPC with --subnet; or run "
            f"`aws ec2 create-route --region {cloud.region} --destination-cidr-block 0.0.0.0/0 --route-table-id RTB "
            f"--gateway-id IGW` for the main route table and the internet gateway of {vpc_id}."
        )
        return Finding("network", State.FAULT, said, mend, details)
    said = f"the default VPC {vpc_id} has public subnets in {', '.join(one.zone for one in found if one.is_public)}"
    return Finding("network", State.OK, said, "", details)


def own_address(realm: Realm, cloud: Cloud) -> Finding:
    """Which address SSH would be opened for.

    Raises:
        AwsUnreachable: nothing told it.
    """
    address = realm.own_address if realm.is_local else networks.own_address(cloud.unsigned())
    said = (
        f"SSH is opened for {address}" if not realm.is_local else f"{address}, as the local cloud is on this computer"
    )
    return Finding("own address", State.OK, said, "", {"address": address})


def elastic_file_systems(cloud: Cloud) -> Finding:
    """Whether EFS answers; only -f needs it."""
    try:
        filesystems.check_reachable(cloud)
    except AwsError as error:
        found = of_error("EFS", State.WARNING, error)
        return Finding("EFS", State.WARNING, f"{found.says} (only -f needs it)", found.mend or _POLICY)
    return Finding("EFS", State.OK, f"EFS answers in {cloud.region}")


def parameters(cloud: Cloud, architecture: str) -> Finding:
    """Whether SSM tells the newest image; without it that of the shipped table is launched."""
    row = tables.image(cloud.region, architecture, DEFAULT_IMAGE_NAME)
    if row is None or not row.ssm_parameter:
        return Finding(
            "SSM", State.UNKNOWN, f"no image of {cloud.region} is in the shipped table", "Name one with -ami."
        )
    try:
        images.check_reachable(cloud, row.ssm_parameter)
    except AwsError as error:
        found = of_error("SSM", State.WARNING, error)
        old = "images of the shipped table are launched, which grow old"
        return Finding("SSM", State.WARNING, f"{found.says} ({old})", found.mend or _POLICY)
    return Finding("SSM", State.OK, f"SSM tells the newest images in {cloud.region}")
