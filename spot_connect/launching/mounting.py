"""An elastic file system on an instance: made when missing, reached in the instance's own zone, mounted once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spot_connect.aws import filesystems, groups, instances
from spot_connect.aws.session import Cloud
from spot_connect.core.errors import AwsError, AwsObjectMissing, ScriptFailed
from spot_connect.core.models import FileSystem, Instance, MountTarget
from spot_connect.core.names import FILE_SYSTEM_TAG, MANAGED_TAG, file_system_group_name, file_system_label
from spot_connect.core.reporting import Reporter
from spot_connect.core.scripts import mount_efs
from spot_connect.core.tags import file_system_tags, inherited_tags
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.launching.realm import Realm
from spot_connect.ssh.command import run_commands
from spot_connect.ssh.connection import Connection

MOUNT_DIRECTORY = "~/efs"
_FILE_SYSTEM_SECONDS = 300.0
_MOUNT_TARGET_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Mounted:
    """A file system that is mounted at ``~/efs``, and the mount target it is reached by."""

    file_system: FileSystem
    target: MountTarget
    dns: str


@dataclass(frozen=True, slots=True)
class Known:
    """A file system that is there, by zone the addresses of its mount targets, and whether it must be encrypted."""

    file_system_id: str
    targets: Mapping[str, str]
    must_encrypt: bool


def known(realm: Realm, token: str, region: str) -> Known:
    """The file system with that creation token.

    Raises:
        AwsObjectMissing: there is none, or nothing leads to it.
    """
    cloud = realm.cloud(region)
    found = filesystems.find(cloud, token)
    targets = filesystems.mount_targets(cloud, found.id) if found else ()
    if found is None or not targets:
        raise AwsObjectMissing(f"cannot find the file system {token} in {region}")
    return Known(found.id, {target.zone: target.address for target in targets}, realm.efs_must_encrypt)


def create(
    realm: Realm, token: str, region: str, reporter: Reporter, tags: Mapping[str, str] | None = None
) -> FileSystem:
    """The file system with that creation token, made when it is missing, ready for mount targets.

    One that is made has the user's standing tags, and ``tags``.

    Raises:
        UsageError: EFS does not take one of them; nothing was called.
        AwsError: EFS refused something.
    """
    given = file_system_tags({**realm.tags, **(tags or {})})
    cloud = realm.cloud(region)
    found = filesystems.find(cloud, token)
    if found is None:
        reporter.note(f"making the file system {token} in {region}; it costs by the GB and stays until you delete it")
        label = file_system_label(token)
        found = filesystems.create(cloud, token, {**given, "Name": label, MANAGED_TAG: "true"})
    if found.state == "available":
        return found
    with reporter.step(f"waiting for the file system {token}"):
        return wait_for(f"file system {token}", lambda: _ready(cloud, token), seconds=_FILE_SYSTEM_SECONDS, every=1.0)


def mount(
    realm: Realm,
    instance: Instance,
    connection: Connection,
    token: str,
    reporter: Reporter,
    *,
    new_target: bool,
    tags: Mapping[str, str] | None = None,
) -> Mounted:
    """Mount the file system ``token`` at ``~/efs`` of the instance; a second mount does nothing.

    Args:
        new_target: make a mount target even where the instance could use the one of another zone's instances.
        tags: for what has to be made, beside those that the user has given to the instance.

    Raises:
        AwsError: EFS refused something.
        ScriptFailed: the instance could not mount it; its words were shown.
    """
    cloud = realm.cloud(instance.region)
    given = {**inherited_tags(instance.tags, file_system=True), **realm.tags, **(tags or {})}
    file_system = create(realm, token, instance.region, reporter, given)
    target = _target(cloud, instance, file_system, given, reporter, new_target=new_target)
    with reporter.step(f"mounting {token} at {MOUNT_DIRECTORY}"):
        script = mount_efs(
            target.address, MOUNT_DIRECTORY, file_system_id=file_system.id, must_encrypt=realm.efs_must_encrypt
        )
        finished = run_commands(connection, script)
    if finished.exit_status:
        words = finished.stderr.decode("utf-8", "replace").strip()
        raise ScriptFailed(f"mounting {token} failed on {instance.name}", finished.exit_status, words, words)
    transit = finished.stdout.decode().strip()
    if transit:
        reporter.note(f"{token} is mounted at {MOUNT_DIRECTORY}, {transit}")
    if instance.tags.get(FILE_SYSTEM_TAG) != token:
        instances.tag(cloud, [instance.id], {FILE_SYSTEM_TAG: token})
    return Mounted(file_system, target, _dns(file_system, instance.region))


def _target(
    cloud: Cloud,
    instance: Instance,
    file_system: FileSystem,
    tags: Mapping[str, str],
    reporter: Reporter,
    *,
    new_target: bool,
) -> MountTarget:
    """The mount target in the instance's own zone: reaching another zone's costs money, and fails with it."""
    own = _in_zone(cloud, file_system, instance)
    if own is None:
        group = _group(cloud, file_system, instance, tags)
        with reporter.step(f"making a mount target of {file_system.token} in {instance.zone}"):
            filesystems.create_mount_target(cloud, file_system.id, instance.subnet_id, group.id)
            return _awaited(cloud, file_system, instance)
    if new_target:
        reporter.note(f"{instance.zone} has a mount target of {file_system.token} already; EFS allows one a zone")
    _let_in(cloud, own, file_system, instance, tags, reporter)
    if own.state == "available":
        return own
    with reporter.step(f"waiting for the mount target of {file_system.token}"):
        return _awaited(cloud, file_system, instance)


def vpc_of(cloud: Cloud, token: str) -> str:
    """The VPC in which the file system with that creation token is reached; empty while none is."""
    found = filesystems.find(cloud, token) if token else None
    targets = filesystems.mount_targets(cloud, found.id) if found else ()
    return next((target.vpc_id for target in targets if target.vpc_id), "")


def require_same_vpc(token: str, name: str, there: str, here: str) -> None:
    """Return if a file system that is reached in the VPC ``there`` can be mounted on a machine in the VPC ``here``.

    Raises:
        AwsError: it cannot.
    """
    if there and there != here:
        raise AwsError(
            f"cannot mount {token} on {name}",
            f"the file system is reached in {there}, the instance is in {here}",
            "A file system has mount targets in one VPC only; use another one, or a subnet or group of that VPC "
            "(--subnet, -sg).",
        )


def _in_zone(cloud: Cloud, file_system: FileSystem, instance: Instance) -> MountTarget | None:
    targets = filesystems.mount_targets(cloud, file_system.id)
    for target in targets:
        require_same_vpc(file_system.token, instance.name, target.vpc_id, instance.vpc_id)
    return next((target for target in targets if target.zone == instance.zone), None)


def _awaited(cloud: Cloud, file_system: FileSystem, instance: Instance) -> MountTarget:
    def look() -> Seen[MountTarget]:
        target = _in_zone(cloud, file_system, instance)
        return Seen(target if target and target.state == "available" else None, target.state if target else "absent")

    return wait_for(
        f"mount target of {file_system.token} in {instance.zone}", look, seconds=_MOUNT_TARGET_SECONDS, every=2.0
    )


def _group(cloud: Cloud, file_system: FileSystem, instance: Instance, tags: Mapping[str, str]) -> groups.Group:
    name = file_system_group_name(file_system.token)
    group = groups.find_or_create(cloud, name, instance.vpc_id, {**tags, MANAGED_TAG: "true"})
    for source in instance.groups:
        groups.allow_from_group(cloud, group.id, range(filesystems.NFS_PORT, filesystems.NFS_PORT + 1), source)
    return group


def _let_in(
    cloud: Cloud,
    target: MountTarget,
    file_system: FileSystem,
    instance: Instance,
    tags: Mapping[str, str],
    reporter: Reporter,
) -> None:
    ours = groups.find_own(cloud, file_system_group_name(file_system.token), instance.vpc_id)
    if ours is None or ours.id not in filesystems.mount_target_groups(cloud, target.id):
        reporter.note(f"the mount target {target.id} is not ours; its security group is left as it is")
        return
    _group(cloud, file_system, instance, tags)


def _ready(cloud: Cloud, token: str) -> Seen[FileSystem]:
    found = filesystems.find(cloud, token)
    return Seen(found if found and found.state == "available" else None, found.state if found else "absent")


def _dns(file_system: FileSystem, region: str) -> str:
    return f"{file_system.id}.efs.{region}.amazonaws.com"
