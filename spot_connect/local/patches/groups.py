"""Security groups: how they are named and looked for, and those in use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from moto.ec2.exceptions import InvalidSecurityGroupDuplicateError
from moto.ec2.models.security_groups import SecurityGroup, SecurityGroupBackend

from spot_connect.local.patches import errors
from spot_connect.local.patches.patch import Patch

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud


def create(
    _: Cloud,
    original: Any,
    backend: Any,
    name: str,
    description: str,
    vpc_id: str | None = None,
    *args: Any,
    **rest: Any,
) -> Any:
    """Takes two names for one that differ in case alone, or in blanks at the end.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html,
    https://docs.aws.amazon.com/vpc/latest/userguide/creating-security-groups.html
    """
    name = name.rstrip(" ")
    if name.startswith("sg-"):
        raise errors.refusal("InvalidParameterValue", f"Group names may not be in the format sg-*: {name}")
    if rest.get("force"):
        return original(backend, name, description, vpc_id, *args, **rest)
    place = vpc_id or getattr(getattr(backend, "default_vpc", None), "id", None)
    there = list(backend.groups[place].values()) if place else []
    if any(group.name.lower() == name.lower() for group in there):
        raise InvalidSecurityGroupDuplicateError(name)
    return original(backend, name, description, vpc_id, *args, **rest)


def is_named(_: Cloud, __: Any, group: Any, wanted: Sequence[str]) -> bool:
    """Whether one of the values of the filter means it; ``*`` and ``?`` in them stand for anything.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html#Filtering_Resources_CLI
    """
    return any(re.fullmatch(_pattern(value), group.name, re.DOTALL) for value in wanted)


def _pattern(value: str) -> str:
    means = {"*": ".*", "?": "."}
    parts = re.findall(r"\\.|.", value, re.DOTALL)
    return "".join(means.get(part) or re.escape(part[-1]) for part in parts)


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


PATCHES = (
    Patch(SecurityGroupBackend, "create_security_group", create, "does not tell upper from lower case in a VPC"),
    Patch(SecurityGroup, "filter_group_name", is_named, "takes * and ? in a filter for anything"),
    Patch(SecurityGroupBackend, "_delete_security_group", delete, "refuses to delete a group in use"),
)
