"""Fleets: instant ones, and maintained ones that replace what ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.fleets import Fleet, FleetsBackend
from moto.ec2.models.instances import MetadataOptions
from moto.ec2.responses.fleets import Fleets

from spot_connect.local import market
from spot_connect.local.machines import FAILED
from spot_connect.local.patches import errors, idempotency, lagging, spot
from spot_connect.local.patches.patch import Patch

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud

_NEVER = Decimal("Infinity")
_LIVE = ("pending", "running")


def create_fleet(cloud: Cloud, original: Any, response: Any) -> Any:
    """Once per client token; an instant fleet tells which pools refused."""
    token = response._get_param("ClientToken")
    asked = json.dumps(response.params, sort_keys=True, default=str)
    known = response.ec2_backend.__dict__.setdefault("fleet_tokens", {})
    with cloud.launching:
        if token in known and known[token][0] != asked:
            raise errors.refusal("IdempotentParameterMismatch", idempotency.MISMATCH)
        if token not in known:
            _check_tags(response)
            made = original(response).result
            known[token] = (asked, made["FleetId"])
    fleet = response.ec2_backend.fleets[known[token][1]]
    if fleet.fleet_type != "instant":
        return ActionResult({"FleetId": fleet.id})
    return ActionResult({"FleetId": fleet.id, "Instances": fleet.instances, "Errors": _refusals(fleet)})


def replace(_: Cloud, instance: Any) -> None:
    """Another instance for one that has ended, while a maintained fleet wants it."""
    fleet = instance.ec2_backend.fleets.get(getattr(instance, "_fleet_id", None))
    # One that cannot even boot would be replaced without end.
    if fleet is None or instance.ending is FAILED:
        return
    if fleet.fleet_type == "maintain" and fleet.state == "active":
        fleet.fulfilled_capacity -= 1
        fleet.create_spot_requests(1)


def launch_spec_counts(_: Cloud, original: Any, fleet: Any, weight: float) -> Any:
    """Which pools to take: the cheapest, unless the fleet wants them all."""
    strategy = (fleet.spot_options or {}).get("AllocationStrategy")
    if fleet.spot_options is not None:
        fleet.spot_options.setdefault("AllocationStrategy", "lowest-price")
    if strategy != "diversified":
        fleet.launch_specs.sort(key=lambda spec: _price(fleet, spec))
    return original(fleet, weight)


def create_spot_requests(cloud: Cloud, _: Any, fleet: Any, weight: float) -> Any:
    """Spot requests from the pools in turn."""
    fleet.spot_requests.extend(_from_pools(fleet, weight, "spot", partial(_requests, cloud, fleet)))
    return fleet.spot_requests


def create_on_demand_requests(cloud: Cloud, _: Any, fleet: Any, weight: float) -> None:
    """On-demand instances from the pools in turn."""
    fleet.on_demand_instances.extend(_from_pools(fleet, weight, "on-demand", partial(_on_demand, cloud, fleet)))


def terminate_instances(_: Cloud, __: Any, fleet: Any) -> None:
    """Every instance that still lives; none is no error."""
    ids = [request.instance.id for request in fleet.spot_requests if _lives(request)]
    ids += [entry["instance"].id for entry in fleet.on_demand_instances if _lives(entry)]
    if ids:
        fleet.ec2_backend.terminate_instances(ids)


def describe_fleet_instances(_: Cloud, original: Any, backend: Any, fleet_id: str) -> Any:
    """The live instances of a maintained fleet."""
    fleet = backend.get_fleet(fleet_id)
    if fleet is not None and fleet.fleet_type == "instant":
        raise errors.refusal("Unsupported", f"DescribeFleetInstances is not supported for instant fleet {fleet_id}.")
    return [one for one in original(backend, fleet_id) if _lives(one)]


def describe_fleets(cloud: Cloud, original: Any, backend: Any, fleet_ids: list[str] | None) -> Any:
    """Instant fleets only when they are asked for by id."""
    found = [fleet for fleet in original(backend, fleet_ids) if not cloud.lag.hides(fleet.id)]
    return found if fleet_ids else [fleet for fleet in found if fleet.fleet_type != "instant"]


def delete_fleets(cloud: Cloud, original: Any, response: Any) -> Any:
    """Deletes the fleets that exist, with the instances of instant ones, and says which it did not delete."""
    wanted = list(response._get_param("FleetIds", []))
    ends = response._get_bool_param("TerminateInstances")
    known = {one: response.ec2_backend.fleets.get(one) for one in wanted if not cloud.lag.hides(one)}
    refused = {fleet_id: _undeletable(known.get(fleet_id), fleet_id, ends) for fleet_id in wanted}
    response.params["FleetIds"] = [fleet_id for fleet_id in wanted if not refused[fleet_id]]
    result = original(response)
    result.result["UnsuccessfulFleetDeletions"] = [
        {"FleetId": fleet_id, "Error": {"Code": code, "Message": f"{fleet_id}: {code}"}}
        for fleet_id, code in refused.items()
        if code
    ]
    return result


def _from_pools(fleet: Any, weight: float, lifecycle: str, launch: Callable[[Any, int], list[Any]]) -> list[Any]:
    """What the pools give; what one refuses is asked of the next."""
    counts, _added = fleet.get_launch_spec_counts(weight)
    refusals = fleet.__dict__.setdefault("refusals", [])
    made: list[Any] = []
    carried = 0
    for spec in fleet.launch_specs:
        count, carried = counts.get(spec, 0) + carried, 0
        if not count:
            continue
        try:
            given = launch(spec, count)
        except EC2ClientError as error:
            refusals.append((spec, error.code, error.message, lifecycle))
            carried = count
        else:
            made.extend(given)
            fleet.fulfilled_capacity += len(given) * spec.weighted_capacity
    return made


def _undeletable(fleet: Any, fleet_id: str, ends: bool) -> str:
    if fleet is None:
        return "fleetIdDoesNotExist"
    if fleet.state.startswith("deleted"):
        return "fleetNotInDeletableState"
    instant = fleet.fleet_type == "instant"
    return "NoTerminateInstancesNotSupported" if instant and not ends else ""


def _check_tags(response: Any) -> None:
    tagged = {one.get("ResourceType") for one in response._get_param("TagSpecifications", [])}
    allowed = {"fleet", "instance"} if response._get_param("Type") == "instant" else {"fleet"}
    if tagged - allowed:
        raise errors.refusal(
            "InvalidParameterValue", f"Tag specification resource type {sorted(tagged - allowed)} is not supported."
        )


def _refusals(fleet: Any) -> list[dict[str, Any]]:
    return [
        {
            "LaunchTemplateAndOverrides": {
                "LaunchTemplateSpecification": spec.launch_template_spec,
                "Overrides": spec.overrides or {},
            },
            "Lifecycle": lifecycle,
            "ErrorCode": code,
            "ErrorMessage": message,
        }
        for spec, code, message, lifecycle in fleet.__dict__.get("refusals", [])
    ]


def _requests(cloud: Cloud, fleet: Any, spec: Any, count: int) -> list[Any]:
    template = _template(fleet, spec)
    _must_be_known(cloud, fleet, spec, template)
    _must_be_allowed(cloud, fleet, spec, {**template, "InstanceMarketOptions": {"MarketType": "spot"}})
    price = (spec.overrides or {}).get("MaxPrice") or spec.spot_price
    subnet = spec.subnet_id or _subnet(fleet, spec)
    if price:
        zone = fleet.ec2_backend.get_subnet(subnet).availability_zone if subnet else None
        spot.check_price(cloud, fleet.ec2_backend, price, spec.instance_type, zone)
    requests = fleet.ec2_backend.request_spot_instances(
        price=price,
        image_id=spec.image_id,
        count=count,
        spot_instance_type="persistent" if fleet.fleet_type == "maintain" else "one-time",
        valid_from=None,
        valid_until=None,
        launch_group=None,
        availability_zone_group=None,
        key_name=spec.key_name,
        security_groups=_groups(template),
        user_data=spec.user_data,
        instance_type=spec.instance_type,
        placement=None,
        kernel_id=None,
        ramdisk_id=None,
        monitoring_enabled=bool((template.get("Monitoring") or {}).get("Enabled")),
        subnet_id=subnet,
        spot_fleet_id=fleet.id,
        tags=spec.tag_specifications,
        launch_spec=spec,
    )
    for request in requests:
        _complete(fleet, request.instance, template)
    return list(requests)


def _on_demand(cloud: Cloud, fleet: Any, spec: Any, count: int) -> list[dict[str, Any]]:
    template = _template(fleet, spec)
    _must_be_known(cloud, fleet, spec, template)
    _must_be_allowed(cloud, fleet, spec, template)
    tagged = {one.get("ResourceType") for one in template.get("TagSpecifications") or ()}
    if "spot-instances-request" in tagged:
        raise errors.refusal(
            "InvalidParameterValue",
            "'spot-instances-request' is no resource of an on-demand launch, and takes no tags.",
        )
    reservation = fleet.ec2_backend.run_instances(
        image_id=spec.image_id,
        count=count,
        user_data=spec.user_data,
        security_group_names=[],
        security_group_ids=_groups(template),
        nics=[dict(nic) for nic in template.get("NetworkInterfaces", [])],
        metadata_options=template.get("MetadataOptions"),
        instance_type=spec.instance_type,
        is_instance_type_default=False,
        key_name=spec.key_name,
        placement=None,
        kernel_id=None,
        ramdisk_id=None,
        monitoring_enabled=bool((template.get("Monitoring") or {}).get("Enabled")),
        subnet_id=spec.subnet_id or _subnet(fleet, spec),
        fleet_id=fleet.id,
        tags=spec.tag_specifications,
    )
    for instance in reservation.instances:
        _complete(fleet, instance, template)
    return [{"id": reservation.id, "instance": one, "launch_spec": spec} for one in reservation.instances]


def _must_be_known(cloud: Cloud, fleet: Any, spec: Any, template: dict[str, Any]) -> None:
    profile = template.get("IamInstanceProfile") or {}
    named = str(profile.get("Name") or profile.get("Arn") or "")
    lagging.check_launch(cloud, fleet.ec2_backend, spec.key_name, _groups(template), named)


def _must_be_allowed(cloud: Cloud, fleet: Any, spec: Any, template: dict[str, Any]) -> None:
    """What a fleet launches, it launches with the rights of whoever asked for it."""
    backend = fleet.ec2_backend
    template_id = backend._get_template_from_args(spec.launch_template_spec).template.id
    said = cloud.rights.refused_launch(backend.region_name, template_id, template, spec.overrides)
    if said:
        raise errors.refusal("UnauthorizedOperation", said)


def _lives(entry: Any) -> bool:
    instance = getattr(entry, "instance", None) or entry["instance"]
    return instance.state in _LIVE


def _price(fleet: Any, spec: Any) -> Decimal:
    zone = (spec.overrides or {}).get("AvailabilityZone")
    if spec.subnet_id:
        zone = fleet.ec2_backend.get_subnet(spec.subnet_id).availability_zone
    found = market.current_price(spec.instance_type, fleet.ec2_backend.region_name, zone)
    return _NEVER if found is None else found


def _template(fleet: Any, spec: Any) -> dict[str, Any]:
    return dict(fleet.ec2_backend._get_template_from_args(spec.launch_template_spec).data)


def _groups(template: dict[str, Any]) -> list[str]:
    of_nics = [group for nic in template.get("NetworkInterfaces", []) for group in nic.get("Groups") or []]
    return list(template.get("SecurityGroupIds") or template.get("SecurityGroups") or of_nics)


def _subnet(fleet: Any, spec: Any) -> str | None:
    zone = (spec.overrides or {}).get("AvailabilityZone")
    found = fleet.ec2_backend.get_default_subnets().get(zone)
    return found.id if found else None


def _complete(fleet: Any, instance: Any, template: dict[str, Any]) -> None:
    instance.add_tags({"aws:ec2:fleet-id": fleet.id})
    instance._fleet_id = fleet.id
    behavior = template.get("InstanceInitiatedShutdownBehavior")
    instance.instance_initiated_shutdown_behavior = behavior or instance.instance_initiated_shutdown_behavior
    instance.metadata_options = MetadataOptions(template.get("MetadataOptions"))
    profile = template.get("IamInstanceProfile")
    if profile:
        fleet.ec2_backend.associate_iam_instance_profile(
            instance_id=instance.id,
            iam_instance_profile_name=profile.get("Name"),
            iam_instance_profile_arn=profile.get("Arn"),
        )


PATCHES = (
    Patch(Fleet, "get_launch_spec_counts", launch_spec_counts, "takes the cheapest pool, not the first"),
    Patch(Fleet, "create_spot_requests", create_spot_requests, "honours the template, and turns to the next pool"),
    Patch(Fleet, "create_on_demand_requests", create_on_demand_requests, "honours the template on demand, too"),
    Patch(Fleet, "terminate_instances", terminate_instances, "ends what lives, however little it is"),
    Patch(Fleets, "create_fleet", create_fleet, "honours ClientToken, and tells which pools refused"),
    Patch(Fleets, "delete_fleets", delete_fleets, "tells which fleets it did not delete"),
    Patch(FleetsBackend, "describe_fleets", describe_fleets, "hides instant fleets unless they are named"),
    Patch(FleetsBackend, "describe_fleet_instances", describe_fleet_instances, "shows what lives, refuses instant"),
)
