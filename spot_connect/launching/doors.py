"""What lets the user in and nobody else: the key pair and the security group."""

from __future__ import annotations

import getpass
import hashlib
import platform
import re
from collections.abc import Iterable
from pathlib import Path

from spot_connect.aws import groups, keys
from spot_connect.aws.session import Cloud
from spot_connect.aws.together import once
from spot_connect.core.errors import AwsError, AwsObjectMissing, KeyMissing
from spot_connect.core.firewall import Rule, ssh_from, wide_openings
from spot_connect.core.fleets import FLEET_TAG
from spot_connect.core.models import Instance
from spot_connect.core.names import MANAGED_TAG, key_pair_name, own_variant, security_group_name
from spot_connect.core.reporting import Reporter
from spot_connect.core.requests import LaunchRequest
from spot_connect.launching.realm import Realm
from spot_connect.store.identity import own_id
from spot_connect.store.keys import KeyFiles

MANAGED = {MANAGED_TAG: "true"}
_MARK_LENGTH = 16


def own_mark() -> str:
    """The user and the computer, in the letters that the description of a rule may have."""
    who = f"spot-connect {getpass.getuser()}@{platform.node()}"
    return re.sub(r"[^A-Za-z0-9 ._\-:/()#,@\[\]+=&;{}!$*]", "-", who)[:255]


def key_pair(cloud: Cloud, files: KeyFiles, request: LaunchRequest, reporter: Reporter) -> str:
    """The name of a key pair whose private half lies here; made when it is missing.

    The private half is on disk before AWS hears of the public one. A key pair of the same name that belongs to
    another computer is left alone, and ours gets a name of its own.

    Raises:
        KeyMissing: the user named a key pair whose private half is not here.
    """
    name = request.key_pair or key_pair_name(request.name)
    existing = keys.find(cloud, name)
    mine = files.read(name)
    if existing and mine and keys.same_key(existing.public_key, mine.public_line):
        return name
    if existing is None:
        public = mine.public_line if mine else files.create(name).public_line
        return _imported(cloud, name, public, request)
    if request.key_pair:
        raise KeyMissing(
            f"cannot use the key pair {name}",
            f"its private half is not {files.path(name)}",
            "Copy it there, or leave -kp out to have a key pair made.",
        )
    return _own_variant(cloud, files, name, request, reporter)


def security_group(cloud: Cloud, request: LaunchRequest, vpc_id: str) -> groups.Group:
    """The group for the machine, made when it is missing.

    Raises:
        AwsObjectMissing: the user named a group by id that does not exist.
    """
    named = named_group(cloud, request, vpc_id)
    if named is not None:
        return named
    name = request.security_group or security_group_name(request.name)
    if request.security_group:
        return groups.create(cloud, name, vpc_id, {**request.all_tags, **MANAGED})
    return groups.find_or_create(cloud, name, vpc_id, {**request.all_tags, **MANAGED})


def named_group(cloud: Cloud, request: LaunchRequest, vpc_id: str = "") -> groups.Group | None:
    """The group that the user named, if there is one, in that VPC or in whichever has one.

    Raises:
        AwsObjectMissing: it was named by an id that does not exist.
    """
    name = request.security_group
    found = groups.find(cloud, name, vpc_id) if name else None
    if found is None and name.startswith("sg-"):
        raise AwsObjectMissing(
            f"cannot find the security group {name} in {cloud.region}",
            advice="Security groups belong to one Region; leave -sg out to let us make one.",
        )
    return found


def open_group(realm: Realm, cloud: Cloud, group_id: str, firewall: tuple[Rule, ...], reporter: Reporter) -> None:
    """Let the rules asked for stand in one of our groups, and close what former addresses of ours had opened.

    Only rules that this computer opened for its own address are closed. Those of another computer of the same user
    stay, since it may be at work, and so do those that somebody asked for or made by hand.
    """
    for opening in wide_openings(firewall):
        reporter.warn(str(opening))
    _let_stand(cloud, group_id, firewall, _own_rules(realm, firewall), _own_address_mark(realm))


def _own_rules(realm: Realm, firewall: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """SSH from our own address, unless one of the rules asked for is about SSH."""
    return () if any(rule.opens_ssh for rule in firewall) else (ssh_from(realm.own_address),)


def _own_address_mark(realm: Realm) -> str:
    """The description of rules for our own address. A computer's name changes with its network, so it has an id, too.

    It is a digest, because whoever may look at the group reads it.
    """
    word = hashlib.sha256(f"own address of {own_id(realm.state)}".encode()).hexdigest()[:_MARK_LENGTH]
    return f"{own_mark()[:200]}, own address {word}"


def _is_of_this_computer(description: str, mark: str) -> bool:
    return description.startswith("spot-connect ") and description.endswith(mark[-_MARK_LENGTH - 1 :])


@once
def _let_stand(cloud: Cloud, group_id: str, asked: tuple[Rule, ...], own: tuple[Rule, ...], mark: str) -> None:
    standing = groups.rules(cloud, group_id)
    there = {entry.rule for entry in standing}
    groups.allow(cloud, group_id, [rule for rule in asked if rule not in there], own_mark())
    groups.allow(cloud, group_id, [rule for rule in own if rule not in there], mark)
    old = [
        entry.id
        for entry in standing
        if _is_of_this_computer(entry.description, mark) and entry.rule not in asked and entry.rule not in own
    ]
    groups.revoke(cloud, group_id, old)


def open_among(cloud: Cloud, group_ids: Iterable[str]) -> None:
    """Let the members of each group reach one another, at every port but those that only root may listen at."""
    for group_id in group_ids:
        groups.allow_from_group(cloud, group_id, range(1024, 65536), group_id)


def refresh(realm: Realm, instance: Instance, firewall: tuple[Rule, ...], reporter: Reporter) -> None:
    """Open the door of a running machine to our address of today, if the door is ours."""
    names = (instance.name, instance.tags.get(FLEET_TAG, instance.name))
    made = [security_group_name(name) for name in names]
    expected = {*made, *map(own_variant, made), *(f"SG-{name}" for name in names)}
    ours = next((group_id for group_id, name in instance.groups.items() if name in expected), "")
    if not ours:
        if firewall:
            reporter.warn(f"{instance.name} has no security group of ours; the firewall rules were not applied")
        return
    open_group(realm, realm.cloud(instance.region), ours, firewall, reporter)


def key_file(files: KeyFiles, instance: Instance, chosen: str = "") -> Path:
    """The private key that opens the machine.

    Raises:
        KeyMissing: the machine was launched without a key, or the key is on another computer.
    """
    name = chosen or instance.key_name
    if not name:
        raise KeyMissing(f"cannot log in to {instance.name}", "it was launched without a key pair")
    if files.read(name) is None:
        raise KeyMissing(
            f"cannot log in to {instance.name}",
            f"its private key {files.path(name)} is not on this computer",
            "Name its directory with -kd, copy it from the computer that launched it, or name another key with -kp.",
        )
    return files.path(name)


def _own_variant(cloud: Cloud, files: KeyFiles, name: str, request: LaunchRequest, reporter: Reporter) -> str:
    # The computer's name keeps the variant the same from call to call, so that its key is made once.
    variant = f"{name}.{hashlib.sha256(own_mark().encode()).hexdigest()[:8]}"
    mine = files.read(variant) or files.create(variant)
    existing = keys.find(cloud, variant)
    if existing is None:
        reporter.note(f"the key pair {name} belongs to another computer; using {variant}")
        return _imported(cloud, variant, mine.public_line, request)
    if keys.same_key(existing.public_key, mine.public_line):
        return variant
    raise KeyMissing(
        f"cannot use the key pair {variant}",
        f"its private half is not {files.path(variant)}",
        "Name another key pair with -kp.",
    )


def _imported(cloud: Cloud, name: str, public_line: str, request: LaunchRequest) -> str:
    try:
        keys.put(cloud, name, public_line, {**request.all_tags, **MANAGED})
    except AwsError as error:
        existing = keys.find(cloud, name) if error.code == "InvalidKeyPair.Duplicate" else None
        if existing is None or not keys.same_key(existing.public_key, public_line):
            raise
    return name
