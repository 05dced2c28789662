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
    """Calls that serve one purpose; where one is refused, that is as bad as ``refused`` says."""

    check: str
    calls: tuple[str, ...]
    refused: State
    means: str


LOOK = Group("may look", tuple(rights.LOOK), State.FAULT, "machines and what a launch needs are not found")
PREPARE = Group(
    "may launch",
    ("ec2:RunInstances", "ec2:CreateSecurityGroup", *rights.PREPARE),
    State.FAULT,
    "nothing, or no fleet, is launched",
)
CHANGE = Group("may change", tuple(rights.CHANGE), State.FAULT, "what was launched is not let in, named or ended")
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
    refused, unknown = of[State.FAULT], of[State.UNKNOWN]
    parts = [f"{len(of[State.OK])} of {len(group.calls)} calls are allowed"]
    if refused:
        parts.append(f"refused: {', '.join(refused)} ({found[refused[0]].says}); {group.means}")
    for said, calls in _by_reason(unknown, found):
        parts.append(f"could not be looked at: {', '.join(calls)} ({said})")
    state = worst([group.refused] * bool(refused) + [State.UNKNOWN] * bool(unknown))
    if state is State.UNKNOWN and all(found[call].says == _NOTHING for call in unknown):
        # As it is before the first launch.
        state = State.OK
    return Finding(group.check, state, "; ".join(parts), _POLICY if refused else "", details)


_WORDS = {State.OK: "allowed", State.FAULT: "refused", State.UNKNOWN: "unknown", State.WARNING: "unknown"}
_NOTHING = "there is nothing of spot-connect to ask about"


def _by_reason(calls: Iterable[str], found: Mapping[str, Finding]) -> list[tuple[str, list[str]]]:
    reasons: dict[str, list[str]] = {}
    for call in calls:
        reasons.setdefault(found[call].says, []).append(call)
    return list(reasons.items())
