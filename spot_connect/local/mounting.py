"""The server side of a mount: which file system a name or an address means, and whether the way to it is open."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spot_connect.core.errors import LocalCloudError
from spot_connect.local.patches import filesystems

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud

NFS_PORT = 2049
FAILED = 32  # mount(8): "mount failure"
NOT_OURS = 1
_TIMED_OUT = "Connection timed out"
_NAME = re.compile(
    r"(?:(?P<zone>[a-z]{2}(?:-[a-z]+)+-\d[a-z])\.)?(?P<id>fs-[0-9a-f]+)"
    r"\.efs\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?\.?"
)
_UNSPEAKABLE = re.compile(r"[^\w.:/ -]")
Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Server:
    """A mount target as an instance names it."""

    text: str
    file_system_id: str = ""
    zone: str = ""


class _Refused(Exception):
    """Why a client cannot mount, in the words of its mount command."""


def mount(cloud: Cloud, instance: Any, body: Body) -> Body:
    """Give an instance what it asks for: a status as its mount command ends with, and what to say unless it is 0."""
    try:
        target = _mount_target(cloud, instance, _server(instance, *_parts(body)))
        _check(cloud, instance, target)
        source = f"{target.file_system_id}/{_parts(body)[1]}".rstrip("/")
        cloud.machines.mount(instance, source, str(body.get("target", "")))
    except _Refused as error:
        return {"status": FAILED, "said": str(error)}
    except LocalCloudError as error:
        return {"status": FAILED, "said": _UNSPEAKABLE.sub("?", error.said)}
    return {"status": 0, "said": ""}


def unmount(cloud: Cloud, instance: Any, body: Body) -> Body:
    """Undo ``mount``; the status is 1 for what was not mounted by it."""
    target = str(body.get("target", ""))
    if target not in cloud.boxes.mounts(instance.id):
        return {"status": NOT_OURS, "said": "not mounted"}
    try:
        cloud.machines.unmount(instance, target, lazy=bool(body.get("lazy")))
    except LocalCloudError as error:
        return {"status": FAILED, "said": _UNSPEAKABLE.sub("?", error.said)}
    return {"status": 0, "said": ""}


def _parts(body: Body) -> tuple[str, str]:
    """Server and path of ``SERVER:/PATH``."""
    server, _, path = str(body.get("source", "")).partition(":")
    clean = Path("/", path)
    if not server or ".." in clean.parts:
        raise _Refused("the source is not SERVER:/PATH")
    return server, "/".join(clean.parts[1:])


def _server(instance: Any, server: str, _: str) -> _Server:
    text = _UNSPEAKABLE.sub("?", server)
    if re.fullmatch(r"fs-[0-9a-f]+", server):
        return _Server(text, server)
    named = _NAME.fullmatch(server)
    if named and named["region"] == instance.region_name:
        return _Server(text, named["id"], named["zone"] or "")
    try:
        ipaddress.ip_address(server)
    except ValueError as error:
        raise _unresolved(text) from error
    return _Server(text)


def _mount_target(cloud: Cloud, instance: Any, server: _Server) -> Any:
    """A name leads to the mount target of a zone, an address to the one that has it, in the instance's VPC."""
    near = [target for target in _targets(instance) if target.vpc_id == instance.vpc_id]
    if not server.file_system_id:
        found = next((target for target in near if target.ip_address == server.text), None)
        if found is None:
            raise _Refused(_TIMED_OUT)
        return found
    zone = server.zone or instance.placement.zone
    for target in near:
        here = target.file_system_id == server.file_system_id and target.availability_zone_name == zone
        if here and filesystems.state(cloud, target) == "available":
            return target
    raise _unresolved(server.text)


def _targets(instance: Any) -> list[Any]:
    from moto.efs.models import efs_backends

    return list(efs_backends[instance.owner_id][instance.region_name].mount_targets_by_id.values())


def _check(cloud: Cloud, instance: Any, target: Any) -> None:
    """Nobody answers before the target is available, nor through a closed group."""
    ready = filesystems.state(cloud, target) == filesystems.state(cloud, target._file_system) == "available"
    if not ready or not any(_admits(rule, instance) for rule in _rules(instance, target)):
        raise _Refused(_TIMED_OUT)


def _rules(instance: Any, target: Any) -> Iterator[Any]:
    for group_id in target.security_groups or ():
        group = instance.ec2_backend.get_security_group_from_id(group_id)
        yield from group.ingress_rules if group else ()


def _admits(rule: Any, instance: Any) -> bool:
    if rule.ip_protocol not in ("-1", "tcp", "6"):
        return False
    if rule.ip_protocol != "-1" and not int(rule.from_port) <= NFS_PORT <= int(rule.to_port):
        return False
    if rule.source_group.get("GroupId") in {group.id for group in instance.security_groups}:
        return True
    block = rule.ip_range.get("CidrIp")
    return bool(block) and ipaddress.ip_address(instance.private_ip) in ipaddress.ip_network(block, strict=False)


def _unresolved(name: str) -> _Refused:
    return _Refused(f"Failed to resolve server {name}: Name or service not known")
