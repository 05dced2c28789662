"""The things the boundaries hand over, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from spot_connect.core.firewall import Rule
from spot_connect.core.members import member_name
from spot_connect.core.names import LOGIN_TAG, NAME_TAG, PROFILE_TAG, SSH_TAG

LIVE_STATES = ("pending", "running", "stopping", "stopped")


@dataclass(frozen=True, slots=True)
class Address:
    """Where an SSH server listens."""

    host: str
    port: int = 22

    def __str__(self) -> str:
        return self.host if self.port == 22 else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Instance:
    """An EC2 instance as DescribeInstances told it.

    ``tags`` are those that may be used, and ``refused`` tells which do not fit, and why; with such a machine nothing
    is done but showing and ending it (:mod:`spot_connect.core.tags`). ``raw`` is the EC2 mapping itself, with the keys
    EC2 documents (``InstanceId``, ``State``, …), in which nothing is checked.
    """

    id: str
    region: str
    state: str
    type: str
    zone: str
    launched: datetime
    tags: Mapping[str, str]
    key_name: str = ""
    public_ip: str = ""
    vpc_id: str = ""
    subnet_id: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)
    """Security groups, id to name."""
    is_spot: bool = False
    spot_request_id: str = ""
    state_reason: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict)
    refused: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Our name for it, else the Name tag, else the id."""
        return member_name(self.id, self.tags.get(NAME_TAG, ""), self.tags) or self.tags.get("Name") or self.id

    @property
    def profile(self) -> str:
        """The profile it was launched with; empty for an instance of somebody else."""
        return self.tags.get(PROFILE_TAG, "")

    @property
    def username(self) -> str:
        """The login name that was chosen at launch; empty when nobody recorded one."""
        return self.tags.get(LOGIN_TAG, "")

    @property
    def address(self) -> Address | None:
        """Where its SSH server listens; ``None`` while it has no public address."""
        host, _, port = self.tags.get(SSH_TAG, "").rpartition(":")
        if host:
            return Address(host, int(port))
        return Address(self.public_ip) if self.public_ip else None


@dataclass(frozen=True, slots=True)
class Image:
    """A machine image in one Region."""

    id: str
    architecture: str
    root_device: str
    root_gib: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet of the VPC that launches go to; ``is_public`` where an internet gateway leads to it and from it."""

    id: str
    zone: str
    vpc_id: str
    is_public: bool = True


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key pair as AWS knows it; ``public_key`` is the OpenSSH line without a comment."""

    name: str
    public_key: str
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class GroupRule:
    """A rule that stands in a security group."""

    id: str
    rule: Rule
    description: str = ""


@dataclass(frozen=True, slots=True)
class SpotPrice:
    """US dollars per hour of one type in one zone from ``since`` on."""

    instance_type: str
    zone: str
    price: Decimal
    since: datetime


@dataclass(frozen=True, slots=True)
class FileSystem:
    """An elastic file system in one Region; ``bytes`` is what it held when EFS last counted."""

    id: str
    token: str
    state: str
    name: str = ""
    encrypted: bool = False
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class MountTarget:
    """Where a file system can be reached in one zone.

    ``raw`` is the EFS mapping itself, with the keys EFS documents (``MountTargetId``, ``IpAddress``, …).
    """

    id: str
    file_system_id: str
    state: str
    address: str
    subnet_id: str
    zone: str
    vpc_id: str
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LaunchSpec:
    """Everything a launch needs but the zone."""

    name: str
    region: str
    instance_type: str
    image: Image
    key_name: str
    group_id: str
    tags: Mapping[str, str]
    username: str
    users_tags: Mapping[str, str] = field(default_factory=dict)
    """Those of ``tags`` that the user gives to whatever is made."""
    max_price: Decimal | None = None
    volume_gib: int = 30
    instance_profile: str = ""
    monitoring: bool = False
    user_data: str = ""
    on_demand: bool = False
