"""Everything that a launch rests on, looked at side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from spot_connect.aws.session import Cloud
from spot_connect.aws.settings import configured_region
from spot_connect.core.errors import SpotConnectError, UnknownProfile
from spot_connect.core.examining import Check, examine
from spot_connect.core.findings import Finding, State, worst
from spot_connect.core.profiles import Profile
from spot_connect.core.reporting import Reporter
from spot_connect.doctor import account, here, network, rights
from spot_connect.launching.realm import Realm
from spot_connect.store import tables

_USUAL = "t3.micro"
_LAST_RESORT = "us-east-1"
_LOGIN_SECONDS = 45.0
"""A login that has to be renewed, or a chain of roles, takes several calls."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, in the order in which it is worth reading; ``state`` is the worst of it.

    ``region`` and ``profile`` are those that a launch would have; the Region is empty where nothing tells it.
    """

    region: str
    profile: str
    findings: tuple[Finding, ...]

    @property
    def state(self) -> State:
        """The state that matters most."""
        return worst(finding.state for finding in self.findings)


def examined(realm: Realm, profile: str, region: str, key_directory: str, reporter: Reporter) -> Report:
    """Look at everything that launching the profile in the Region rests on; nothing is made or changed.

    Args:
        realm: AWS or the local cloud.
        profile: a profile or an instance type; ``t3.micro`` when empty.
        region: empty for the one that a launch would go to.
        key_directory: empty for the usual one.
        reporter: hears of what takes longer than a second.

    Raises:
        UnknownProfile: there is no such profile or type.
    """
    chosen = _profile(realm, profile or _USUAL, region)
    named, why = (region, "-reg") if region else _region(realm, chosen)
    cloud = realm.unopened_cloud(named)
    checks = [
        *_of_account(realm, cloud, why),
        *_of_region(cloud, chosen.instance_type),
        *_of_rights(cloud, chosen),
        Check("key directory", partial(here.key_directory, realm, key_directory)),
        Check("state directory", partial(here.state_directory, realm)),
        Check("profiles", partial(here.profiles, realm), vital=True),
        Check("versions", here.versions),
    ]
    return Report(named, chosen.name, _with_groups(examine(checks, reporter)))


def _profile(realm: Realm, name: str, region: str) -> Profile:
    try:
        return realm.profiles.get(name, region)
    except UnknownProfile:
        raise
    except SpotConnectError:
        # What is wrong with the file is a finding of its own.
        return Profile(name, instance_type=name if tables.type_row(name) else _USUAL)


def _region(realm: Realm, profile: Profile) -> tuple[str, str]:
    """The Region of a launch, and why it is that one."""
    try:
        named = realm.region_of(profile)
        if profile.region and not profile.is_movable:
            return named, f"of the profile {profile.name}"
        is_configured = not realm.is_local and bool(configured_region())
    except SpotConnectError:
        return _LAST_RESORT, "for want of settings that can be read"
    return named, "of your AWS settings" if is_configured else "of the shipped profiles"


def _of_account(realm: Realm, cloud: Cloud, why: str) -> list[Check]:
    return [
        Check("credentials", partial(account.credentials, cloud), seconds=_LOGIN_SECONDS, vital=True),
        Check("Region", partial(account.region, cloud, why), after="credentials", vital=True),
        Check("clock", partial(account.clock, cloud)),
        Check("own address", partial(network.own_address, realm, cloud)),
    ]


def _of_region(cloud: Cloud, instance_type: str) -> list[Check]:
    looks: dict[str, Callable[[], Finding]] = {
        "network": partial(network.subnets, cloud),
        "spot quota": partial(account.quota, cloud, instance_type, spot=True),
        "on-demand quota": partial(account.quota, cloud, instance_type, spot=False),
        **{account.name_of(role): partial(account.role, cloud, role) for role in account.ROLES},
        "EFS": partial(network.elastic_file_systems, cloud),
        "SSM": partial(network.parameters, cloud, tables.architecture(instance_type) or "x86_64"),
    }
    return [Check(name, look, after="Region") for name, look in looks.items()]


def _of_rights(cloud: Cloud, profile: Profile) -> list[Check]:
    return [
        Check(call, partial(rights.ask, cloud, call, profile), after="Region", about=f"what you {group.check}")
        for group in rights.GROUPS
        for call in group.calls
    ]


def _with_groups(found: Mapping[str, Finding]) -> tuple[Finding, ...]:
    """The findings, with one for each group of calls in the place of those of its calls."""
    ordered: dict[str, Finding] = {}
    for name, finding in found.items():
        group = next((one for one in rights.GROUPS if name in one.calls), None)
        if group is None:
            ordered[name] = finding
        elif group.check not in ordered:
            ordered[group.check] = rights.together(group, found)
    return tuple(ordered.values())
