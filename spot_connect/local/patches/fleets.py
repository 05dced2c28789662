"""Fleets, as far as an instant fleet needs them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from moto.ec2.models.fleets import Fleet
from moto.ec2.responses.fleets import Fleets

from spot_connect.local import market
from spot_connect.local.patches.patch import Patch

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud

_NEVER = Decimal("Infinity")


def launch_spec_counts(_: Cloud, original: Any, fleet: Any, weight: float) -> Any:
    """Which pools to take: the cheapest, unless the fleet wants them all."""
    strategy = (fleet.spot_options or {}).get("AllocationStrategy")
    if fleet.spot_options is not None:
        fleet.spot_options.setdefault("AllocationStrategy", "lowest-price")
    if strategy != "diversified":
        fleet.launch_specs.sort(key=lambda spec: _price(fleet, spec))
    return original(fleet, weight)


def create_spot_requests(_: Cloud, __: Any, fleet: Any, weight: float) -> Any:
    """Spot requests with the groups and the profile of the template."""
    counts, added = fleet.get_launch_spec_counts(weight)
    for spec, count in counts.items():
        template = _template(fleet, spec)
        requests = fleet.ec2_backend.request_spot_instances(
            price=(spec.overrides or {}).get("MaxPrice") or spec.spot_price,
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
            monitoring_enabled=bool(spec.monitoring_enabled),
            subnet_id=spec.subnet_id or _subnet(fleet, spec),
            spot_fleet_id=fleet.id,
            tags=spec.tag_specifications,
            launch_spec=spec,
        )
        for request in requests:
            _complete(fleet, request.instance, template)
        fleet.spot_requests.extend(requests)
    fleet.fulfilled_capacity += added
    return fleet.spot_requests


def delete_fleets(_: Cloud, original: Any, response: Any) -> Any:
    """Deletes the fleets that exist, and says which do not."""
    wanted = list(response._get_param("FleetIds", []))
    missing = [fleet_id for fleet_id in wanted if fleet_id not in response.ec2_backend.fleets]
    response.params["FleetIds"] = [fleet_id for fleet_id in wanted if fleet_id not in missing]
    result = original(response)
    result.result["UnsuccessfulFleetDeletions"] = [
        {"FleetId": fleet_id, "Error": {"Code": "fleetIdDoesNotExist", "Message": f"{fleet_id} does not exist"}}
        for fleet_id in missing
    ]
    return result


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
    profile = template.get("IamInstanceProfile")
    if profile:
        fleet.ec2_backend.associate_iam_instance_profile(
            instance_id=instance.id,
            iam_instance_profile_name=profile.get("Name"),
            iam_instance_profile_arn=profile.get("Arn"),
        )


PATCHES = (
    Patch(Fleet, "get_launch_spec_counts", launch_spec_counts, "takes the cheapest pool, not the first"),
    Patch(Fleet, "create_spot_requests", create_spot_requests, "honours groups and profile of the template"),
    Patch(Fleets, "delete_fleets", delete_fleets, "tells which fleets do not exist"),
)
