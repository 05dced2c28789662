"""Security groups and their ingress rules."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spot_connect.aws.consistency import GROUP
from spot_connect.aws.filters import exactly
from spot_connect.aws.refusals import asking
from spot_connect.aws.session import Cloud
from spot_connect.aws.together import batches, in_one_call, once
from spot_connect.core.errors import AwsError
from spot_connect.core.firewall import Rule
from spot_connect.core.models import GroupRule
from spot_connect.core.names import MANAGED_TAG, own_variant


@dataclass(frozen=True, slots=True)
class Group:
    """A security group; ``ours`` when we made it and may change its rules."""

    id: str
    name: str
    vpc_id: str
    ours: bool


@once
def find(cloud: Cloud, name: str, vpc_id: str = "") -> Group | None:
    """The group called ``name`` (or with that id), in ``vpc_id`` when it is given."""
    return next(iter(_called(cloud, (name,), vpc_id)), None)


@once
def find_own(cloud: Cloud, name: str, vpc_id: str) -> Group | None:
    """The group that :func:`find_or_create` has made for ``name``."""
    names = name, own_variant(name)
    return min(_called(cloud, names, vpc_id), key=lambda group: names.index(group.name), default=None)


def find_or_create(cloud: Cloud, name: str, vpc_id: str, tags: Mapping[str, str]) -> Group:
    """The group ``name`` in ``vpc_id``, made when it is missing.

    In a VPC EC2 does not tell ``SG-vm1`` from ``SG-VM1``. Where the other one is there already, this one gets a name of
    its own: whoever lets an address in to one instance has not meant the other.
    """
    found = find_own(cloud, name, vpc_id)
    if found:
        return found
    try:
        return create(cloud, name, vpc_id, tags)
    except AwsError as error:
        if error.code != "InvalidGroup.Duplicate":
            raise
    return create(cloud, own_variant(name), vpc_id, tags)


def _called(cloud: Cloud, names: Sequence[str], vpc_id: str) -> list[Group]:
    key = "group-id" if names[0].startswith("sg-") else "group-name"
    filters = [{"Name": key, "Values": exactly(names)}, *([{"Name": "vpc-id", "Values": [vpc_id]}] if vpc_id else [])]
    with asking(f"look for the security group {names[0]} in {cloud.region}"):
        shown = [_group(raw) for raw in cloud.ec2.describe_security_groups(Filters=filters)["SecurityGroups"]]
    found = (*shown, *_late(cloud, shown, vpc_id))
    return [group for group in found if names[0] == group.id or group.name in names]


def _like(cloud: Cloud, name: str, vpc_id: str) -> list[Group]:
    """The groups of the VPC whose names EC2 takes for ``name``."""
    wanted = [{"Name": "vpc-id", "Values": [vpc_id]}]
    with asking(f"look for the security group {name} in {cloud.region}"):
        shown = [_group(raw) for raw in cloud.ec2.describe_security_groups(Filters=wanted)["SecurityGroups"]]
    return [one for one in (*shown, *_late(cloud, shown, vpc_id)) if one.name.casefold() == name.casefold()]


def _late(cloud: Cloud, shown: Sequence[Group], vpc_id: str) -> list[Group]:
    """The groups that were made moments ago, and that EC2 does not show yet."""
    made: Iterable[Group] = filter(None, cloud.recent.told(cloud.region, GROUP).values())
    known = {one.id for one in shown}
    return [one for one in made if one.id not in known and vpc_id in ("", one.vpc_id)]


def create(cloud: Cloud, name: str, vpc_id: str, tags: Mapping[str, str]) -> Group:
    """The group ``name`` in ``vpc_id``, made now, or the one somebody else has just made.

    Raises:
        AwsError: there is one whose name differs in upper and lower case alone.
    """
    marks = [{"Key": key, "Value": value} for key, value in tags.items()]
    try:
        with asking(f"create the security group {name} in {cloud.region}"):
            answer = cloud.ec2.create_security_group(
                GroupName=name,
                Description="spot-connect",
                VpcId=vpc_id,
                TagSpecifications=[{"ResourceType": "security-group", "Tags": marks}],
            )
    except AwsError as error:
        if error.code != "InvalidGroup.Duplicate":
            raise
        like = cloud.recent.patiently(lambda: _like(cloud, name, vpc_id), lambda found: not found)
        group = next((one for one in like if one.name == name), None)
        if group is None:
            how = "That name differs in upper and lower case, which EC2 does not tell apart: write it as it is there."
            raise AwsError(error.what, error.said, how if like else "", error.code) from error
        cloud.recent.made(cloud.region, GROUP, [group.id])
    else:
        group = Group(answer["GroupId"], name, vpc_id, ours=True)
    cloud.recent.tell(cloud.region, GROUP, group.id, group)
    return group


@in_one_call
def rules(cloud: Cloud, group_ids: Collection[str]) -> dict[str, tuple[GroupRule, ...]]:
    """The ingress rules of a group that name a block of IPv4 or IPv6 addresses; one call."""
    found: dict[str, list[GroupRule]] = {one: [] for one in group_ids}
    for batch in batches(found):
        filters = [{"Name": "group-id", "Values": batch}]
        with asking(f"read the rules of the security group {', '.join(batch)}"):
            for page in cloud.ec2.get_paginator("describe_security_group_rules").paginate(Filters=filters):
                for raw in page["SecurityGroupRules"]:
                    if not raw["IsEgress"] and _block(raw):
                        found[raw["GroupId"]].append(_rule(raw))
    return {one: tuple(listed) for one, listed in found.items()}


def allow(cloud: Cloud, group_id: str, wanted: Iterable[Rule], description: str) -> None:
    """Let the rules stand in the group; one that already stands is left as it is."""
    for rule in wanted:
        permission = {
            "IpProtocol": rule.protocol,
            "FromPort": rule.first,
            "ToPort": rule.last,
            _ranges_key(rule): [{_cidr_key(rule): rule.cidr, "Description": description}],
        }
        try:
            with asking(f"open {rule} in the security group {group_id}"):
                cloud.ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[permission])
        except AwsError as error:
            if error.code != "InvalidPermission.Duplicate":
                raise


@once
def allow_from_group(cloud: Cloud, group_id: str, ports: range, source_id: str) -> None:
    """Let members of the group ``source_id`` reach TCP ports of the group's members, and nobody else.

    Raises:
        QuotaReached: the group holds as many rules as AWS allows.
    """
    permission = {
        "IpProtocol": "tcp",
        "FromPort": ports[0],
        "ToPort": ports[-1],
        "UserIdGroupPairs": [{"GroupId": source_id, "Description": "spot-connect"}],
    }
    try:
        with asking(f"open ports {ports[0]} to {ports[-1]} of the security group {group_id} to {source_id}"):
            cloud.ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[permission])
    except AwsError as error:
        if error.code != "InvalidPermission.Duplicate":
            raise


def revoke(cloud: Cloud, group_id: str, rule_ids: Iterable[str]) -> None:
    """Take the rules out of the group; one that is already gone is no error."""
    ids = list(rule_ids)
    if not ids:
        return
    try:
        with asking(f"close old rules in the security group {group_id}"):
            cloud.ec2.revoke_security_group_ingress(GroupId=group_id, SecurityGroupRuleIds=ids)
    except AwsError as error:
        if error.code not in ("InvalidPermission.NotFound", "InvalidSecurityGroupRuleId.NotFound"):
            raise


def _ranges_key(rule: Rule) -> str:
    return "Ipv6Ranges" if ":" in rule.cidr else "IpRanges"


def _cidr_key(rule: Rule) -> str:
    return "CidrIpv6" if ":" in rule.cidr else "CidrIp"


def _group(raw: Mapping[str, Any]) -> Group:
    ours = any(tag["Key"] == MANAGED_TAG for tag in raw.get("Tags", ()))
    return Group(raw["GroupId"], raw["GroupName"], raw.get("VpcId", ""), ours)


def _block(raw: Mapping[str, Any]) -> str:
    return str(raw.get("CidrIpv4") or raw.get("CidrIpv6") or "")


def _rule(raw: Mapping[str, Any]) -> GroupRule:
    rule = Rule(raw["IpProtocol"], raw.get("FromPort", 0), raw.get("ToPort", 65535), _block(raw))
    return GroupRule(raw["SecurityGroupRuleId"], rule, raw.get("Description", ""))
