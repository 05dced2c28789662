"""Elastic file systems and their mount targets.

https://docs.aws.amazon.com/efs/latest/ug/API_Reference.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from spot_connect.aws.consistency import FILE_SYSTEM, MOUNT_TARGET
from spot_connect.aws.refusals import asking
from spot_connect.aws.session import Cloud
from spot_connect.aws.together import once
from spot_connect.core.errors import AwsError
from spot_connect.core.models import FileSystem, MountTarget

NFS_PORT = 2049
_DEAD = frozenset({"deleting", "deleted", "error"})


@once
def find(cloud: Cloud, token: str) -> FileSystem | None:
    """The file system with that creation token, or ``None``; one that is being deleted counts as gone."""
    with asking(f"look for the file system {token} in {cloud.region}"):
        shown = [
            _file_system(raw) for raw in cloud.client("efs").describe_file_systems(CreationToken=token)["FileSystems"]
        ]
    for one in shown:
        cloud.recent.tell(cloud.region, FILE_SYSTEM, one.id, one)
    # One that was made moments ago EFS may not show yet.
    young: Iterable[FileSystem] = filter(None, cloud.recent.told(cloud.region, FILE_SYSTEM).values())
    known = [*shown, *(one for one in young if one.token == token)]
    return next((one for one in known if one.state not in _DEAD), None)


def check_reachable(cloud: Cloud) -> None:
    """Ask EFS anything at all.

    Raises:
        AwsUnreachable: it does not answer.
        NotAuthorized: ``elasticfilesystem:DescribeFileSystems`` is not allowed.
    """
    with asking(f"ask for file systems in {cloud.region}"):
        cloud.client("efs").describe_file_systems(MaxItems=1)


def create(cloud: Cloud, token: str, tags: Mapping[str, str]) -> FileSystem:
    """An encrypted, elastic file system; the existing one when somebody else has just made it.

    Example:
        >>> create(Cloud("us-east-1"), "data", {"Name": "data"})  # doctest: +SKIP
        FileSystem(id='fs-0123456789abcdef0', token='data', state='creating', ...)
    """
    marks = [{"Key": key, "Value": value} for key, value in tags.items()]
    try:
        with asking(f"create the file system {token} in {cloud.region}"):
            made = _file_system(
                cloud.client("efs").create_file_system(
                    CreationToken=token,
                    PerformanceMode="generalPurpose",
                    ThroughputMode="elastic",
                    Encrypted=True,
                    Backup=False,
                    Tags=marks,
                )
            )
    except AwsError as error:
        if error.code != "FileSystemAlreadyExists":
            raise
        existing = cloud.recent.patiently(lambda: find(cloud, token), lambda found: found is None)
        if existing is None:
            raise
        return existing
    cloud.recent.tell(cloud.region, FILE_SYSTEM, made.id, made)
    return made


@once
def mount_targets(cloud: Cloud, file_system_id: str) -> tuple[MountTarget, ...]:
    """The mount targets of a file system that are there or about to be; one a zone at most."""
    with asking(f"look for mount targets of {file_system_id}"):
        pages = cloud.client("efs").get_paginator("describe_mount_targets").paginate(FileSystemId=file_system_id)
        found = {raw["MountTargetId"]: _mount_target(raw) for page in pages for raw in page["MountTargets"]}
    for target in found.values():
        cloud.recent.tell(cloud.region, MOUNT_TARGET, target.id, target)
    # One that was made moments ago EFS may not show yet.
    young: Iterable[MountTarget] = filter(None, cloud.recent.told(cloud.region, MOUNT_TARGET).values())
    known = {target.id: target for target in young if target.file_system_id == file_system_id} | found
    return tuple(target for target in known.values() if target.state not in _DEAD)


def create_mount_target(cloud: Cloud, file_system_id: str, subnet_id: str, group_id: str) -> MountTarget | None:
    """A mount target in the subnet at an address that EFS chooses; ``None`` if its zone already has one."""
    try:
        with asking(f"create a mount target of {file_system_id} in {subnet_id}"):
            made = _mount_target(
                cloud.client("efs").create_mount_target(
                    FileSystemId=file_system_id, SubnetId=subnet_id, SecurityGroups=[group_id]
                )
            )
    except AwsError as error:
        if error.code == "MountTargetConflict":
            return None
        raise
    cloud.recent.tell(cloud.region, MOUNT_TARGET, made.id, made)
    return made


@once
def mount_target_groups(cloud: Cloud, target_id: str) -> tuple[str, ...]:
    """The ids of the security groups that guard a mount target."""
    with asking(f"look up the groups of {target_id}"):
        answer = cloud.client("efs").describe_mount_target_security_groups(MountTargetId=target_id)
    return tuple(answer["SecurityGroups"])


def _file_system(raw: Mapping[str, Any]) -> FileSystem:
    return FileSystem(
        id=raw["FileSystemId"],
        token=raw["CreationToken"],
        state=raw["LifeCycleState"],
        name=raw.get("Name", ""),
        encrypted=raw.get("Encrypted", False),
        bytes=raw.get("SizeInBytes", {}).get("Value", 0),
    )


def _mount_target(raw: Mapping[str, Any]) -> MountTarget:
    return MountTarget(
        id=raw["MountTargetId"],
        file_system_id=raw["FileSystemId"],
        state=raw["LifeCycleState"],
        address=raw.get("IpAddress", ""),
        subnet_id=raw["SubnetId"],
        zone=raw.get("AvailabilityZoneName", ""),
        vpc_id=raw.get("VpcId", ""),
        raw={key: value for key, value in raw.items() if key != "ResponseMetadata"},
    )
