"""Elastic file systems: they take a while, have ids of today, and are as strict as AWS's."""

from __future__ import annotations

import json
import secrets
import unicodedata
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from moto.efs import models
from moto.efs.exceptions import EFSError, FileSystemAlreadyExists
from moto.efs.models import EFSBackend, FileSystem, MountTarget

from spot_connect.local.patches.patch import Patch

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud


class _Ids:
    """What moto makes the ids of file systems, mount targets and access points from."""

    def get_random_hex(self, length: int = 17) -> str:
        """Seventeen digits, whatever moto asks for."""
        return secrets.token_hex(max(9, length // 2))[:17]


def lengthen_ids() -> None:
    """Make new ids as long as AWS's."""
    setattr(models, "mock_random", _Ids())  # noqa: B010 - moto does not export it


def refusal(code: str, message: str, status: int = 409) -> EFSError:
    """An error of EFS to raise."""
    error = EFSError(code, message)
    error.code = status
    return error


def state(cloud: Cloud, thing: Any) -> str:
    """The state of a file system or mount target now."""
    if thing.life_cycle_state == "creating" and cloud.now() >= thing._available_from:
        thing.life_cycle_state = "available"
    return str(thing.life_cycle_state)


def info(cloud: Cloud, original: Any, thing: Any) -> Any:
    """What is told of it, with the state of this moment."""
    state(cloud, thing)
    return original(thing)


def create(cloud: Cloud, original: Any, backend: Any, creation_token: str, **rest: Any) -> Any:
    """A new file system, which is available soon; the refusal for a token in use names the one that has it.

    Its tags are checked like all of EFS's: https://docs.aws.amazon.com/efs/latest/ug/API_Tag.html
    """
    _check_tags(rest.get("tags") or ())
    for existing in list(backend.file_systems_by_id.values()):
        if existing.creation_token == creation_token:
            raise _already_exists(existing)
    return _begin(cloud, original(backend, creation_token, **rest))


def tag(_: Cloud, original: Any, backend: Any, arn: str, tags: Mapping[str, str]) -> None:
    """Refuses what no tag of EFS may hold."""
    _check_tags({"Key": key, "Value": value} for key, value in tags.items())
    original(backend, arn, tags)


def _check_tags(tags: Iterable[Mapping[str, str]]) -> None:
    for one in tags:
        wrong = next((letter for letter in f"{one['Key']}{one['Value']}" if not _may_stand_in_a_tag(letter)), "")
        if wrong:
            raise refusal(
                "ValidationException",
                f"1 validation error detected: Value '{one['Value']}' at 'tags.1.member.value' failed to satisfy "
                r"constraint: Member must satisfy regular expression pattern: ^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$",
                400,
            )


def _may_stand_in_a_tag(letter: str) -> bool:
    return unicodedata.category(letter)[0] in "LZN" or letter in "_.:/=+-@"


def create_mount_target(
    cloud: Cloud,
    original: Any,
    backend: Any,
    file_system_id: str,
    subnet_id: str,
    ip_address: str | None = None,
    security_groups: list[str] | None = None,
) -> Any:
    """A mount target, which is available soon, guarded by the default group unless another is named."""
    file_system = backend.file_systems_by_id.get(file_system_id)
    subnet = _subnet(backend, subnet_id)
    if file_system and state(cloud, file_system) != "available":
        raise refusal("IncorrectFileSystemLifeCycleState", f"{file_system_id} is {file_system.life_cycle_state}")
    if subnet and ip_address in subnet._subnet_ips:
        raise refusal("IpAddressInUse", f"The address {ip_address} is in use.")
    if subnet and not security_groups:
        default = backend.ec2_backend.get_default_security_group(subnet.vpc_id)
        security_groups = [default.id] if default else None
    return _begin(cloud, original(backend, file_system_id, subnet_id, ip_address, security_groups))


def delete(cloud: Cloud, original: Any, backend: Any, file_system_id: str) -> None:
    """The file system goes, and everything in it."""
    original(backend, file_system_id)
    cloud.boxes.file_systems.remove(file_system_id)


def _begin(cloud: Cloud, made: Any) -> Any:
    made.life_cycle_state = "creating"
    made._available_from = cloud.now() + cloud.file_system_seconds
    return made


def _subnet(backend: Any, subnet_id: str) -> Any | None:
    found = (zones.get(subnet_id) for zones in list(backend.ec2_backend.subnets.values()))
    return next((subnet for subnet in found if subnet), None)


def _already_exists(existing: Any) -> FileSystemAlreadyExists:
    error = FileSystemAlreadyExists(existing.creation_token)
    body = {
        "__type": "FileSystemAlreadyExists",
        "ErrorCode": "FileSystemAlreadyExists",
        "message": error.message,
        "FileSystemId": existing.file_system_id,
    }
    error.description = json.dumps(body)
    return error


PATCHES = (
    Patch(FileSystem, "info_json", info, "is creating for a while"),
    Patch(MountTarget, "info_json", info, "is creating for a while"),
    Patch(EFSBackend, "create_file_system", create, "names the file system that has the token already"),
    Patch(EFSBackend, "tag_resource", tag, "refuses signs in tags that EC2 takes"),
    Patch(EFSBackend, "create_mount_target", create_mount_target, "waits for the file system; uses the default group"),
    Patch(EFSBackend, "delete_file_system", delete, "removes the files"),
)
