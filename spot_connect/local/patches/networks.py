"""The default VPC leads to the internet, and an ended instance has no network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.ec2.models.instances import Instance
from moto.ec2.models.vpcs import VPCBackend

from spot_connect.local import routes
from spot_connect.local.patches.patch import Patch

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud


def create_default_vpc(_: Cloud, original: Any, backend: Any) -> Any:
    """With an internet gateway, and a route to it in the main route table, which holds for all its subnets."""
    vpc = original(backend)
    gateway = backend.create_internet_gateway()
    backend.attach_internet_gateway(gateway.id, vpc.id)
    backend.create_route(routes.main_table(backend, vpc.id).id, routes.EVERYWHERE, gateway_id=gateway.id)
    return vpc


def of_interface(_: Cloud, original: property, instance: Any) -> Any:
    """Nothing once there is no interface."""
    try:
        return original.fget(instance) if instance.nics and original.fget else None
    except KeyError:
        # It has just ended.
        return None


def private_dns_name(cloud: Cloud, original: property, instance: Any) -> str:
    """Empty once there is no interface."""
    return of_interface(cloud, original, instance) or ""


_LOST = ("private_ip", "private_ip_address", "public_ip", "public_ip_address")
PATCHES = (
    Patch(VPCBackend, "create_default_vpc", create_default_vpc, "leads to the internet"),
    Patch(Instance, "private_dns_name", private_dns_name, "is empty once the instance has ended"),
    *(Patch(Instance, name, of_interface, "is not told once the instance has ended") for name in _LOST),
)
