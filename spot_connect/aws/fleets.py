"""EC2 fleets: many spot instances in one call, from whichever pools have them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spot_connect.aws.consistency import FLEET, TEMPLATE
from spot_connect.aws.refusals import asking, examined, refused
from spot_connect.aws.session import Cloud
from spot_connect.core.errors import AwsError, AwsUnreachable, NoCapacity, NotAuthorized, QuotaReached, Throttled
from spot_connect.core.fleets import FLEET_ID_TAG, Pool, PoolRefusal
from spot_connect.core.waiting import SYSTEM_CLOCK, Clock

_BACK_OFF = (1.0, 2.0, 4.0, 8.0)
_DELETED_ALREADY = frozenset({"fleetIdDoesNotExist", "fleetNotInDeletableState"})
_TELLING = (NotAuthorized, QuotaReached)
_SPOT = {"SpotOptions": {"AllocationStrategy": "price-capacity-optimized", "InstanceInterruptionBehavior": "terminate"}}
_ON_DEMAND = {"OnDemandOptions": {"AllocationStrategy": "lowest-price"}}


@dataclass(frozen=True, slots=True)
class Answer:
    """What CreateFleet gave: of an instant fleet its instances, and the pools that refused."""

    fleet_id: str
    instance_ids: tuple[str, ...]
    errors: tuple[PoolRefusal, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """A fleet as EC2 remembers it."""

    maintained: bool
    count: int
    template_ids: tuple[str, ...]


def launch(
    cloud: Cloud, request: Mapping[str, Any], pools: Sequence[Pool], clock: Clock = SYSTEM_CLOCK, *, token: str = ""
) -> Answer:
    """Make the fleet of :func:`fleet_request`.

    A failed line or a server error is asked again with the same ClientToken, so that no second fleet can come of it;
    with a ``token`` of the caller's own that holds for all who ask with it. One that got nothing, because EC2 had not
    heard of what its template names, is asked for anew, unless the token is the caller's.
    """
    template = _template(request)

    def ask() -> Answer:
        return _asked(cloud, request, pools, token or str(uuid.uuid4()), clock)

    def is_unheard_of(answer: Answer) -> bool:
        return not (token or answer.instance_ids) and any(
            cloud.recent.may_be_unheard_of(cloud.region, error.code, [template]) for error in answer.errors
        )

    answer = cloud.recent.patiently(ask, is_unheard_of)
    if answer.instance_ids:
        of_template = cloud.recent.told(cloud.region, TEMPLATE).get(template) or {}
        cloud.recent.tag(cloud.region, answer.instance_ids, {**of_template, FLEET_ID_TAG: answer.fleet_id})
    return answer


def _asked(cloud: Cloud, request: Mapping[str, Any], pools: Sequence[Pool], token: str, clock: Clock) -> Answer:
    for pause in (*_BACK_OFF, None):
        try:
            with asking(f"launch a fleet in {cloud.region}"):
                answer = cloud.ec2_once.create_fleet(**request, ClientToken=token)
            return _answer(answer, pools)
        except (Throttled, AwsUnreachable):
            if pause is None:
                raise
            clock.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def _template(request: Mapping[str, Any]) -> str:
    return str(request["LaunchTemplateConfigs"][0]["LaunchTemplateSpecification"].get("LaunchTemplateId", ""))


def fleet_request(
    template_id: str,
    pools: Sequence[Pool],
    count: int,
    tags: Mapping[str, str],
    *,
    maintain: bool = False,
    on_demand: bool = False,
) -> dict[str, Any]:
    """The CreateFleet parameters, without a token.

    The type is always said, because the default of the API replaces ended instances for ever.
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateFleet.html
    """
    marks = [{"Key": key, "Value": value} for key, value in tags.items()]
    template = {"LaunchTemplateId": template_id, "Version": "$Latest"}
    overrides = [_override(pool, on_demand=on_demand) for pool in pools]
    return {
        "Type": "maintain" if maintain else "instant",
        "LaunchTemplateConfigs": [{"LaunchTemplateSpecification": template, "Overrides": overrides}],
        "TargetCapacitySpecification": {
            "TotalTargetCapacity": count,
            "DefaultTargetCapacityType": "on-demand" if on_demand else "spot",
        },
        **(_ON_DEMAND if on_demand else _SPOT),
        "TagSpecifications": [{"ResourceType": "fleet", "Tags": marks}],
    }


def delete(cloud: Cloud, fleet_id: str) -> None:
    """Delete the fleet and end its instances; one that is deleted already is no error.

    Raises:
        AwsError: EC2 did not delete it.
    """

    def ask() -> list[tuple[str, str]]:
        with asking(f"delete the fleet {fleet_id}"):
            answer = cloud.ec2.delete_fleets(FleetIds=[fleet_id], TerminateInstances=True)
        said = [failure.get("Error", {}) for failure in answer.get("UnsuccessfulFleetDeletions", ())]
        return [(str(one.get("Code", "")), str(one.get("Message", ""))) for one in said]

    def is_unheard_of(failures: list[tuple[str, str]]) -> bool:
        return any(cloud.recent.may_be_unheard_of(cloud.region, code, [fleet_id]) for code, _ in failures)

    for code, message in cloud.recent.patiently(ask, is_unheard_of):
        if code not in _DELETED_ALREADY:
            raise examined(refused(f"delete the fleet {fleet_id}", code, message), local=cloud.is_local)
    cloud.recent.ended(cloud.region, FLEET, [fleet_id])


def describe(cloud: Cloud, fleet_id: str) -> Known | None:
    """The fleet with that id, or ``None`` when EC2 has forgotten it."""
    try:
        with asking(f"look for the fleet {fleet_id}"):
            found = cloud.ec2.describe_fleets(FleetIds=[fleet_id])["Fleets"]
    except AwsError as error:
        if error.code.startswith("InvalidFleetId"):
            return None
        raise
    return _known(found[0]) if found else None


def worst(what: str, errors: Iterable[PoolRefusal], *, local: bool = False) -> AwsError:
    """The refusal that says most: what no other pool can help, before lack of capacity.

    UnfulfillableCapacity comes last, because EC2 says it of pools that it never tried.
    """
    found = [(refused(what, error.code, error.said), error) for error in errors]
    found.sort(key=lambda pair: _weight(*pair))
    if not found:
        return NoCapacity(f"cannot {what}", "EC2 gave neither instances nor a reason")
    return examined(found[0][0], local=local)


def _weight(error: AwsError, refusal: PoolRefusal) -> int:
    if isinstance(error, _TELLING):
        return 0
    if not isinstance(error, NoCapacity):
        return 1
    return 3 if refusal.code == "UnfulfillableCapacity" else 2


def _override(pool: Pool, *, on_demand: bool) -> dict[str, Any]:
    override: dict[str, Any] = {"InstanceType": pool.instance_type, "SubnetId": pool.subnet.id}
    if pool.max_price is not None and not on_demand:
        override["MaxPrice"] = str(pool.max_price)
    return override


def _answer(raw: Mapping[str, Any], pools: Sequence[Pool]) -> Answer:
    zones = {pool.subnet.id: pool.subnet.zone for pool in pools}
    ids = tuple(one for entry in raw.get("Instances", ()) for one in entry.get("InstanceIds", ()))
    errors = dict.fromkeys(_refusal(entry, zones) for entry in raw.get("Errors", ()))
    return Answer(raw["FleetId"], ids, tuple(errors))


def _refusal(raw: Mapping[str, Any], zones: Mapping[str, str]) -> PoolRefusal:
    pool = raw.get("LaunchTemplateAndOverrides", {}).get("Overrides", {})
    zone = zones.get(pool.get("SubnetId", ""), "") or pool.get("AvailabilityZone", "")
    return PoolRefusal(pool.get("InstanceType", ""), zone, raw.get("ErrorCode", ""), raw.get("ErrorMessage", ""))


def _known(raw: Mapping[str, Any]) -> Known:
    configs = raw.get("LaunchTemplateConfigs", ())
    templates = [config.get("LaunchTemplateSpecification", {}).get("LaunchTemplateId", "") for config in configs]
    target = raw.get("TargetCapacitySpecification", {}).get("TotalTargetCapacity", 0)
    return Known(raw.get("Type") == "maintain", int(target), tuple(filter(None, templates)))
