"""Launching instances: every way that leads to one ends in ``InstanceBackend.run_instances``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult
from moto.ec2.models import elastic_ip_addresses, elastic_network_interfaces
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS, INSTANCE_TYPES
from moto.ec2.models.instances import Instance, InstanceBackend
from moto.ec2.responses.instances import InstanceResponse

from spot_connect.local import market, replies
from spot_connect.local.machines import set_state
from spot_connect.local.patches import errors, idempotency, spot
from spot_connect.local.patches.patch import Patch

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud

# What describing and the saver expect of an instance that they meet while it is being made.
_FIELDS = {"machine": None, "ending": None, "spot_type": "", "spot_instance_request_id": None}


def add_fields() -> None:
    """Give every instance the fields that only this cloud knows."""
    for name, value in _FIELDS.items():
        setattr(Instance, name, value)


def run_instances(cloud: Cloud, original: Any, response: Any) -> Any:
    """RunInstances: once per client token, as many as asked for, with a spot request for each spot instance."""
    params = response.params
    backend = response.ec2_backend
    with cloud.launching:
        token = idempotency.Launch(backend, params)
        earlier = token.earlier()
        if earlier is not None:
            return ActionResult(earlier)
        options = spot.options_of(params)
        if options is not None:
            spot.check(cloud, backend, options, _type_of(backend, params), _zone_of(backend, params))
        params["MinCount"] = params.get("MaxCount") or params.get("MinCount")
        try:
            result = original(response)
        except errors.NoCapacity as error:
            # A server error, as AWS has it, which clients repeat by themselves; moto makes them all the caller's.
            return replies.ec2_refusal(error.code, error.message, 500)
        reservation = result.result
        _give_all_the_profile(backend, reservation.instances, params.get("IamInstanceProfile") or {})
        if options is not None:
            spot.add_requests(backend, reservation.instances, options, response._parse_tag_specification())
        token.granted(reservation)
    return result


def launch(
    cloud: Cloud,
    original: Any,
    backend: Any,
    image_id: str,
    count: int,
    user_data: Any,
    security_group_names: Any,
    **kwargs: Any,
) -> Any:
    """Make instances in a subnet and with a group, as in an account of today, and give each its machine."""
    instance_type = _type_in(backend, kwargs)
    # moto knows no offers of China and GovCloud.
    offers = INSTANCE_TYPE_OFFERINGS["region"]
    offers.setdefault(backend.region_name, offers["us-east-1"])
    _fill_in(cloud, backend, kwargs, instance_type)
    zone = backend.get_subnet(kwargs["subnet_id"]).availability_zone
    _check_interfaces(backend, kwargs.get("nics") or [])
    _check_architecture(backend, image_id or _template(backend, kwargs).get("ImageId"), instance_type)
    _check_zone(backend, instance_type, zone)
    if cloud.faults.at_pool("capacity", instance_type, zone):
        raise errors.no_capacity(instance_type, zone, spot=_is_spot(kwargs))
    reservation = original(backend, image_id, count, user_data, security_group_names, **kwargs)
    for instance in reservation.instances:
        _complete(instance, kwargs.get("nics") or [])
        cloud.machines.adopt(instance)
    return reservation


def begin_pending(_: Cloud, original: Any, instance: Any, *args: Any, **kwargs: Any) -> None:
    """An instance is pending until its machine starts."""
    original(instance, *args, **kwargs)
    set_state(instance, "pending")


def loopback_address(cloud: Cloud, _: Any) -> str:
    """A public address that only this computer can reach."""
    return cloud.addresses.take()


def _template(backend: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    given = kwargs.get("launch_template")
    return dict(backend._get_template_from_args(given).data) if given else {}


def _type_of(backend: Any, params: dict[str, Any]) -> str:
    template = _template(backend, {"launch_template": params.get("LaunchTemplate")})
    return str(params.get("InstanceType") or template.get("InstanceType") or "m1.small")


def _zone_of(backend: Any, params: dict[str, Any]) -> str | None:
    subnets = [params.get("SubnetId"), *(nic.get("SubnetId") for nic in params.get("NetworkInterfaces", []))]
    found = next((backend.get_subnet(subnet).availability_zone for subnet in subnets if subnet), None)
    return found or (params.get("Placement") or {}).get("AvailabilityZone")


def _type_in(backend: Any, kwargs: dict[str, Any]) -> str:
    given = _template(backend, kwargs).get("InstanceType") if kwargs.get("is_instance_type_default") else None
    return str(given or kwargs.get("instance_type") or "m1.small")


def _is_spot(kwargs: dict[str, Any]) -> bool:
    return kwargs.get("lifecycle") == "spot" or kwargs.get("instance_market_options") == "spot"


def _fill_in(cloud: Cloud, backend: Any, kwargs: dict[str, Any], instance_type: str) -> None:
    """What an account without EC2-Classic adds to a launch."""
    kwargs.setdefault("region_name", backend.region_name)
    kwargs.setdefault("nics", [])
    # Absent is not False: the subnet decides.
    kwargs.setdefault("associate_public_ip", None)
    template = _template(backend, kwargs)
    kwargs["metadata_options"] = {**template.get("MetadataOptions", {}), **(kwargs.get("metadata_options") or {})}
    kwargs["nics"] = kwargs["nics"] or [dict(nic) for nic in template.get("NetworkInterfaces", [])]
    of_nics = next((nic["SubnetId"] for nic in kwargs["nics"] if nic.get("SubnetId")), None)
    kwargs["subnet_id"] = kwargs.get("subnet_id") or of_nics
    kwargs["subnet_id"] = kwargs["subnet_id"] or _default_subnet(cloud, backend, kwargs.get("placement"), instance_type)


def _default_subnet(cloud: Cloud, backend: Any, zone: str | None, instance_type: str) -> str:
    if backend.get_default_vpc() is None:
        raise errors.refusal("VPCIdNotSpecified", "No default VPC for this user")
    subnets = backend.get_default_subnets()
    offered = market.zones_of(backend.region_name, instance_type)
    with_room = [one for one in offered if cloud.faults.has_capacity(instance_type, one)]
    wanted = [zone] if zone else [*with_room, *offered, *sorted(subnets)]
    found = next((subnets[one].id for one in wanted if one in subnets), None)
    if found is None:
        raise errors.refusal("MissingInput", f"No subnets found for the default VPC in {zone or backend.region_name}.")
    return str(found)


def _check_interfaces(backend: Any, nics: list[dict[str, Any]]) -> None:
    for group_id in (group for nic in nics for group in nic.get("Groups") or []):
        if backend.get_security_group_from_id(group_id) is None:
            raise errors.refusal("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")


def _check_architecture(backend: Any, image_id: str | None, instance_type: str) -> None:
    image = backend.amis.get(image_id)
    known = INSTANCE_TYPES.get(instance_type)
    if image is None or known is None:
        return
    offered = known["ProcessorInfo"]["SupportedArchitectures"]
    if image.architecture not in offered:
        raise errors.wrong_architecture("x86_64" if "x86_64" in offered else offered[0], image.architecture)


def _check_zone(backend: Any, instance_type: str, zone: str) -> None:
    zones = market.zones_of(backend.region_name, instance_type)
    if zones and zone not in zones:
        raise errors.not_offered(instance_type, zone, zones)


def _complete(instance: Any, nics: list[dict[str, Any]]) -> None:
    primary = instance.nics[0]
    keep = any(int(nic.get("DeviceIndex", 0)) == 0 and nic.get("DeleteOnTermination") is False for nic in nics)
    primary.delete_on_termination = not keep
    if not instance.security_groups:
        instance.security_groups = list(primary._group_set)


def _give_all_the_profile(backend: Any, instances: list[Any], profile: dict[str, str]) -> None:
    for instance in instances if profile else []:
        if instance.id not in backend.iam_instance_profile_associations:
            backend.associate_iam_instance_profile(
                instance_id=instance.id,
                iam_instance_profile_name=profile.get("Name"),
                iam_instance_profile_arn=profile.get("Arn"),
            )


PATCHES = (
    Patch(InstanceResponse, "run_instances", run_instances, "honours ClientToken, MaxCount and market options"),
    Patch(InstanceBackend, "run_instances", launch, "uses the default subnet and group; checks type against image"),
    Patch(Instance, "__init__", begin_pending, "starts in the state pending"),
    Patch(elastic_network_interfaces, "random_public_ip", loopback_address, "gives an address of the machine itself"),
    Patch(elastic_ip_addresses, "random_ip", loopback_address, "gives an address of the machine itself"),
)
