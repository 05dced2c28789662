"""Security groups in use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from moto.ec2.models.security_groups import SecurityGroupBackend

from spot_connect.local.patches import errors
from spot_connect.local.patches.patch import Patch

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud


def delete(_: Cloud, original: Any, backend: Any, vpc_id: str | None, group_id: str) -> None:
    """Refuses while an instance, an interface or another group's rule needs the group."""
    group = backend.get_security_group_from_id(group_id)
    if group and group.name == "default":
        raise errors.refusal(
            "CannotDelete", f'the specified group: "{group_id}" name: "default" cannot be deleted by a user'
        )
    if group_id in set(_needed(backend, group_id)):
        raise errors.refusal("DependencyViolation", f"resource {group_id} has a dependent object")
    original(backend, vpc_id, group_id)


def _needed(backend: Any, group_id: str) -> Iterator[str]:
    for instance in backend.all_instances():
        if instance.state != "terminated":
            yield from (group.id for group in instance.security_groups)
    for interface in list(backend.enis.values()):
        if interface.instance is None or interface.instance.state != "terminated":
            yield from (group.id for group in interface.group_set)
    for groups in list(backend.groups.values()):
        for other in list(groups.values()):
            if other.id != group_id:
                yield from _referred(other)


def _referred(group: Any) -> Iterator[str]:
    for rule in [*group.ingress_rules, *group.egress_rules]:
        yield rule.source_group.get("GroupId", "")


PATCHES = (Patch(SecurityGroupBackend, "_delete_security_group", delete, "refuses to delete a group in use"),)
