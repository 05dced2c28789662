"""VPCs of somebody's own, with subnets that lead to the internet and others that do not."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

_blocks = itertools.count(1)


@dataclass
class OwnVpc:
    """A VPC with an internet gateway, whose main route table leads nowhere; ``zones`` are those of its subnets."""

    ec2: Any
    id: str = ""
    _gateway: str = ""
    _block: str = ""
    _public_table: str = ""
    _count: Any = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self._block = f"10.{next(_blocks)}"
        self.id = self.ec2.create_vpc(CidrBlock=f"{self._block}.0.0/16")["Vpc"]["VpcId"]
        self._gateway = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(InternetGatewayId=self._gateway, VpcId=self.id)
        self._public_table = self.ec2.create_route_table(VpcId=self.id)["RouteTable"]["RouteTableId"]
        self._leads_out(self._public_table)

    def subnet(self, zone: str = "us-east-1a", *, public: bool, gives_addresses: bool | None = None) -> str:
        """The id of a new subnet; one that is public gives public addresses, too, unless told otherwise."""
        where = {"VpcId": self.id, "CidrBlock": f"{self._block}.{next(self._count)}.0/24", "AvailabilityZone": zone}
        made = self.ec2.create_subnet(**where)["Subnet"]["SubnetId"]
        if public:
            self.ec2.associate_route_table(RouteTableId=self._public_table, SubnetId=made)
        if public if gives_addresses is None else gives_addresses:
            self.ec2.modify_subnet_attribute(SubnetId=made, MapPublicIpOnLaunch={"Value": True})
        return str(made)

    def opens_main_table(self) -> None:
        """Have all subnets without a table of their own lead to the internet."""
        wanted = [{"Name": "vpc-id", "Values": [self.id]}, {"Name": "association.main", "Values": ["true"]}]
        [main] = self.ec2.describe_route_tables(Filters=wanted)["RouteTables"]
        self._leads_out(main["RouteTableId"])

    def group(self, name: str) -> str:
        """The id of a new security group that lets SSH in from this computer."""
        made = self.ec2.create_security_group(GroupName=name, Description="test", VpcId=self.id)["GroupId"]
        return str(made)

    def _leads_out(self, table: str) -> None:
        self.ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=self._gateway)
