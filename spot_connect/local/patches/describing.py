"""What Describe calls show: states over time, filters, and the end of ended instances."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from moto.ec2 import utils
from moto.ec2.models.instances import Instance, InstanceBackend

from spot_connect.local.patches import errors
from spot_connect.local.patches.patch import Patch

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud

_INSTANCE_ID = re.compile(r"i-[0-9a-f]{8}(?:[0-9a-f]{9})?")
_FILTERS = {
    "client-token": "client_token",
    "instance-lifecycle": "lifecycle",
    "spot-instance-request-id": "spot_instance_request_id",
    "instance-state-code": "state_code_text",
    "reason": "state_transition_reason",
    "root-device-type": "root_device_type",
    "network-interface.subnet-id": "subnet_id",
    "network-interface.vpc-id": "vpc_id",
    "network-interface.group-id": "security_groups.id",
    "instance.group-id": "security_groups.id",
    "group-name": "security_groups.name",
}


def add_filters() -> None:
    """Teach DescribeInstances the filters that AWS has and moto lacks."""
    setattr(Instance, "state_code_text", property(lambda instance: str(instance.state_code)))  # noqa: B010
    utils.filter_dict_attribute_mapping.update(_FILTERS)


def instance_status(cloud: Cloud, _: Any, instance: Any) -> dict[str, Any]:
    """Initializing until the machine has booted."""
    if instance.state != "running" or instance.machine is None:
        return {"Status": "not-applicable"}
    booted = cloud.now() >= instance.machine.began + instance.machine.boot_seconds
    status, detail = ("ok", "passed") if booted else ("initializing", "initializing")
    return {"Details": [{"Name": "reachability", "Status": detail}], "Status": status}


def all_reservations(cloud: Cloud, original: Any, backend: Any, filters: Any = None) -> Any:
    """Without the instances that ended an hour ago."""
    cloud.machines.forget_ended(backend)
    return original(backend, filters)


def by_ids(_: Cloud, original: Any, backend: Any, instance_ids: list[str], filters: Any = None) -> Any:
    """Refuses what cannot be an id."""
    for instance_id in instance_ids:
        if not _INSTANCE_ID.fullmatch(instance_id):
            raise errors.refusal("InvalidInstanceID.Malformed", f'Invalid id: "{instance_id}"')
    return original(backend, instance_ids, filters)


def get_instance(cloud: Cloud, original: Any, backend: Any, instance_id: str) -> Any:
    """The instance, found without a walk through all of them."""
    found = cloud.machines.find(instance_id)
    return found if found is not None and found.ec2_backend is backend else original(backend, instance_id)


PATCHES = (
    Patch(Instance, "instance_status", instance_status, "is initializing for a while"),
    Patch(Instance, "system_status", instance_status, "is initializing for a while"),
    Patch(InstanceBackend, "all_reservations", all_reservations, "forgets an instance an hour after its end"),
    Patch(InstanceBackend, "get_multi_instances_by_id", by_ids, "tells a malformed id from an unknown one"),
    Patch(InstanceBackend, "get_reservations_by_instance_ids", by_ids, "tells a malformed id from an unknown one"),
    Patch(InstanceBackend, "get_instance", get_instance, "answers fast however many instances there are"),
)
