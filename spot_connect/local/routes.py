"""Which instances the internet reaches, and what EC2 forgets of those that have ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

EVERYWHERE = "0.0.0.0/0"


def leads_out(instance: Any) -> bool:
    """Whether packets to the instance's public address would come in, and their answers go out."""
    if not instance.public_ip:
        return False
    return any(
        route.destination_cidr_block == EVERYWHERE and _attached_to(route.gateway, instance.vpc_id)
        for route in _table_of(instance.ec2_backend, instance.subnet_id, instance.vpc_id).routes
    )


def lose(instance: Any) -> None:
    """Drop what EC2 tells of an ended instance no more: groups, subnet, VPC, interfaces and addresses."""
    if instance.subnet_id is None:
        return
    subnet = instance.ec2_backend.get_subnet(instance.subnet_id)
    for address in instance._private_ips:
        subnet.del_subnet_ip(address)
    instance._private_ips = set()
    instance._subnet_id = None
    instance.security_groups = []
    instance.nics = {}


def _attached_to(gateway: Any, vpc_id: str) -> bool:
    vpc = getattr(gateway, "vpc", None)
    return vpc is not None and vpc.id == vpc_id and gateway.id.startswith("igw-")


def _table_of(backend: Any, subnet_id: str, vpc_id: str) -> Any:
    """The route table that holds for a subnet: its own, or else the main one of its VPC."""
    own = (table for table in _tables(backend, vpc_id) if subnet_id in table._associations.values())
    return next(own, None) or main_table(backend, vpc_id)


def main_table(backend: Any, vpc_id: str) -> Any:
    """The route table of the subnets of a VPC that have none of their own."""
    return next(table for table in _tables(backend, vpc_id) if table.main_association_id)


def _tables(backend: Any, vpc_id: str) -> Iterator[Any]:
    return (table for table in list(backend.route_tables.values()) if table.vpc_id == vpc_id)
