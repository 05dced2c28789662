"""What the caller may do, call by call, and what that means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from spot_connect.aws import networks, rights
from spot_connect.aws.rights import Ask
from spot_connect.aws.session import Cloud
from spot_connect.core.findings import Finding, State, worst
from spot_connect.core.models import LaunchSpec
from spot_connect.core.names import MANAGED_TAG
from spot_connect.core.profiles import Profile
from spot_connect.core.requests import LaunchRequest
from spot_connect.launching.preparing import choose_image

_ENCODED = "Encoded authorization failure message"
_POLICY = "Ask for the policy of docs/permissions.md."


@dataclass(frozen=True, slots=True)
class Group:
    """Calls that serve one purpose, and what it ``means`` that one is refused."""

    check: str
    calls: tuple[str, ...]
    means: str


LOOK = Group("may look", tuple(rights.LOOK), "not all is found or told")
PREPARE = Group(
    "may launch",
    ("ec2:RunInstances", "ec2:CreateSecurityGroup", *rights.PREPARE),
    "not all can be launched",
)
CHANGE = Group("may change", tuple(rights.CHANGE), "what was launched is not opened, named or ended")
GROUPS = (LOOK, PREPARE, CHANGE)


def ask(cloud: Cloud, call: str, profile: Profile) -> Finding:
    """Whether one call is allowed; the finding is named after it."""
    answer = rights.may(cloud, _question(cloud, call, profile), _ours(cloud, call))
    said, _, _ = answer.said.partition(_ENCODED)
    if answer.allowed:
        return Finding(call, State.OK, "allowed")
    return Finding(call, State.UNKNOWN if answer.allowed is None else State.FAULT, said.strip())


def _question(cloud: Cloud, call: str, profile: Profile) -> Ask:
    if call == "ec2:CreateSecurityGroup":
        return rights.create_group(networks.subnets(cloud)[0].vpc_id)
    if call == "ec2:RunInstances":
        subnet = networks.subnets(cloud)[0]
        return rights.run_instances(_spec(cloud, profile), subnet)
    return {**rights.LOOK, **rights.PREPARE, **rights.CHANGE}[call]


def _ours(cloud: Cloud, call: str) -> rights.Ours:
    needs_one = call in rights.CHANGE or call in ("ec2:DescribeInstanceAttribute", "ec2:GetConsoleOutput")
    return rights.ours_in(cloud) if needs_one else rights.Ours()


def _spec(cloud: Cloud, profile: Profile) -> LaunchSpec:
    image, username = choose_image(cloud, LaunchRequest("doctor", profile), profile, profile.instance_type)
    return LaunchSpec(
        name="doctor",
        region=cloud.region,
        instance_type=profile.instance_type,
        image=image,
        key_name="",
        group_id="",
        tags={MANAGED_TAG: "true"},
        username=username,
    )


def together(group: Group, found: Mapping[str, Finding]) -> Finding:
    """What the answers about the calls of a group mean together."""
    of = {state: [call for call in group.calls if found[call].state is state] for state in State}
    details = {
        "calls": {call: {"state": _WORDS[found[call].state], "said": found[call].says or None} for call in group.calls}
    }
    allowed, refused = of[State.OK], of[State.FAULT]
    absent = [call for call in of[State.UNKNOWN] if found[call].says == rights.NOTHING]
    unknown = [call for call in of[State.UNKNOWN] if call not in absent]
    parts = [f"{len(allowed)} call{'s' * (len(allowed) != 1)} allowed"] if allowed else []
    if refused:
        parts.append(f"refused: {', '.join(refused)} ({found[refused[0]].says}), so that {group.means}")
    parts += [
        f"could not be looked at: {', '.join(calls)} ({said})" for said, calls in _by_reason(unknown, found).items()
    ]
    if absent:
        # As it is before the first launch, so that it tells nothing.
        parts.append(f"not asked, as there is nothing of spot-connect yet: {', '.join(absent)}")
    state = worst([State.FAULT] * bool(refused) + [State.UNKNOWN] * bool(unknown))
    return Finding(group.check, state, "; ".join(parts), _POLICY if refused else "", details)


_WORDS = {State.OK: "allowed", State.FAULT: "refused", State.UNKNOWN: "unknown", State.WARNING: "unknown"}


def _by_reason(calls: Iterable[str], found: Mapping[str, Finding]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for call in calls:
        reasons.setdefault(found[call].says, []).append(call)
    return reasons
