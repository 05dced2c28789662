"""Terminating, stopping, starting and rebooting: the instance says what it wants to be, its machine follows."""

from __future__ import annotations

import copy
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from moto.ec2.models.instances import Instance, InstanceBackend, StateReason

from spot_connect.local.machines import BY_USER, set_state
from spot_connect.local.patches import errors, fleets, spot
from spot_connect.local.patches.patch import Patch

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud

_ENDED = ("shutting-down", "terminated")


def terminate(cloud: Cloud, original: Any, instance: Any) -> Any:
    """The state before; the instance is shutting down until its machine is gone. Again and again is no error."""
    before = copy.copy(instance._state)
    if before.name in _ENDED:
        return before
    original(instance)
    set_state(instance, "shutting-down")
    ending = instance.ending or BY_USER
    instance._reason = _reason(ending.message)
    instance.state_reason = StateReason(ending.message, ending.code)
    spot.close_request(cloud, instance, ending)
    cloud.machines.settle(instance)
    fleets.replace(cloud, instance)
    return before


def stop(cloud: Cloud, original: Any, instance: Any) -> Any:
    """The state before; the machine's files stay."""
    if instance.state in ("stopping", "stopped"):
        return copy.copy(instance._state)
    before = original(instance)
    set_state(instance, "stopping")
    cloud.machines.settle(instance)
    return before


def start(cloud: Cloud, original: Any, instance: Any) -> Any:
    """The state before; the machine gets another address."""
    if instance.state in ("pending", "running"):
        return copy.copy(instance._state)
    before = original(instance)
    set_state(instance, "pending")
    cloud.machines.readdress(instance)
    cloud.machines.settle(instance)
    return before


def reboot(cloud: Cloud, original: Any, instance: Any) -> None:
    """Everything in the machine ends and it boots again."""
    original(instance)
    cloud.machines.reboot(instance)


def stop_instances(_: Cloud, original: Any, backend: Any, instance_ids: list[str]) -> Any:
    """Refuses what a one-time spot request cannot do, for all of them."""
    for instance in backend.get_multi_instances_by_id(instance_ids):
        if instance.spot_type == "one-time":
            raise errors.refusal(
                "UnsupportedOperation",
                f"You can't stop the Spot Instance '{instance.id}' because it is associated with a one-time "
                "Spot Instance request. You can only stop Spot Instances associated with persistent Spot Instance "
                "requests.",
            )
        _must_be(instance, ("pending", "running", "stopping", "stopped"), "stopped")
    return original(backend, instance_ids)


def start_instances(_: Cloud, original: Any, backend: Any, instance_ids: list[str]) -> Any:
    """Starts what is stopped."""
    for instance in backend.get_multi_instances_by_id(instance_ids):
        _must_be(instance, ("stopped", "pending", "running"), "started")
    return original(backend, instance_ids)


def reboot_instances(_: Cloud, original: Any, backend: Any, instance_ids: list[str]) -> Any:
    """Reboots what runs."""
    for instance in backend.get_multi_instances_by_id(instance_ids):
        _must_be(instance, ("pending", "running"), "rebooted")
    return original(backend, instance_ids)


def _must_be(instance: Any, states: tuple[str, ...], wanted: str) -> None:
    if instance.state not in states:
        raise errors.refusal(
            "IncorrectInstanceState",
            f"The instance '{instance.id}' is not in a state from which it can be {wanted}.",
        )


def _reason(message: str) -> str:
    moment = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S GMT")
    words = message.partition(": ")[2] or message
    return f"{words.removesuffix(' shutdown')} ({moment})"


PATCHES = (
    Patch(Instance, "terminate", terminate, "passes through shutting-down, is idempotent, and closes the spot request"),
    Patch(Instance, "stop", stop, "passes through stopping"),
    Patch(Instance, "start", start, "passes through pending"),
    Patch(Instance, "reboot", reboot, "ends what runs in the instance"),
    Patch(InstanceBackend, "stop_instances", stop_instances, "refuses to stop a one-time spot instance"),
    Patch(InstanceBackend, "start_instances", start_instances, "refuses to start an instance that has ended"),
    Patch(InstanceBackend, "reboot_instances", reboot_instances, "refuses to reboot an instance that does not run"),
)
