"""Spot requests: one for each spot instance, with AWS's states, prices and refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from moto.ec2.models.spot_requests import SpotInstanceRequest, SpotRequestBackend
from moto.ec2.responses.spot_instances import SpotInstances
from moto.ec2.utils import random_spot_request_id

from spot_connect.local import market
from spot_connect.local.machines import Ending
from spot_connect.local.patches import errors
from spot_connect.local.patches.patch import Patch

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud

_KEPT_SECONDS = 4 * 3600
_FULFILLED = "Your Spot request is fulfilled."
_OPEN_STATES = ("open", "active")
_DEARER = Decimal("1.1")
_MICRO = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Options:
    """The market options of a launch."""

    kind: str
    behavior: str
    max_price: str | None
    valid_until: Any


class LaunchedRequest(SpotInstanceRequest):  # type: ignore[misc, unused-ignore]
    """The request behind an instance that RunInstances has launched already."""

    def __init__(self, instance: Any, **rest: Any) -> None:
        self._given = instance
        super().__init__(ec2_backend=instance.ec2_backend, **rest)

    def launch_instance(self) -> Any:
        """The instance that is there."""
        return self._given


def options_of(params: Mapping[str, Any]) -> Options | None:
    """The spot options of a launch; ``None`` for an on-demand launch."""
    options = params.get("InstanceMarketOptions") or {}
    if options.get("MarketType") != "spot":
        return None
    given = options.get("SpotOptions") or {}
    kind = given.get("SpotInstanceType") or "one-time"
    return Options(
        kind,
        given.get("InstanceInterruptionBehavior") or ("terminate" if kind == "one-time" else "stop"),
        given.get("MaxPrice"),
        given.get("ValidUntil"),
    )


def check(cloud: Cloud, backend: Any, options: Options, instance_type: str, zone: str | None) -> None:
    """Refuse options that AWS refuses.

    Raises:
        EC2ClientError: options that do not fit together, or too low a price.
    """
    if options.kind == "one-time" and options.behavior != "terminate":
        raise errors.refusal(
            "InvalidParameterCombination",
            "The request with type 'one-time' is not supported when instanceInterruptionBehavior is set to "
            f"'{options.behavior}'.",
        )
    if options.kind == "persistent" and options.behavior == "terminate":
        raise errors.refusal(
            "InvalidParameterCombination",
            "The request with type 'persistent' is not supported when instanceInterruptionBehavior is set to "
            "'terminate'.",
        )
    if options.kind == "one-time" and options.valid_until:
        raise errors.refusal("InvalidParameterCombination", "ValidUntil is not supported for one-time Spot requests.")
    if options.max_price is not None:
        check_price(cloud, backend, options.max_price, instance_type, zone)


def add_requests(
    backend: Any, instances: list[Any], options: Options, tags: dict[str, dict[str, str]]
) -> list[LaunchedRequest]:
    """A fulfilled request for each instance."""
    return [_request(backend, instance, options, tags) for instance in instances]


def close_request(cloud: Cloud, instance: Any, ending: Ending) -> None:
    """The instance has ended, so its request has."""
    request = instance.ec2_backend.spot_instance_requests.get(instance.spot_instance_request_id)
    if request is None:
        return
    if request.state in _OPEN_STATES:
        request.state = "closed"
    set_status(cloud, request, ending.request_status, ending.request_message)
    request.ended = cloud.now()


def set_status(cloud: Cloud, request: Any, code: str, message: str) -> None:
    """The request's status changes now."""
    request._status_code, request.status_message = code, message
    request.updated = _now(cloud)


def begin(cloud: Cloud, original: Any, request: Any, *args: Any, **kwargs: Any) -> None:
    """A request knows when it was made, and says so."""
    request.created = request.updated = _now(cloud)
    request.ended = 0.0
    original(request, *args, **kwargs)
    set_status(cloud, request, "fulfilled", _FULFILLED)
    instance = request.instance
    request.launched_availability_zone = instance.placement.zone
    instance.spot_instance_request_id = request.id
    instance.spot_type = request.type


def status(_: Cloud, __: Any, request: Any) -> dict[str, Any]:
    """The status with the time of its last change."""
    return {"Code": request._status_code, "Message": request.status_message, "UpdateTime": request.updated}


def create_time(_: Cloud, __: Any, request: Any) -> datetime:
    """When the request was made."""
    created: datetime = request.created
    return created


def cancel(cloud: Cloud, __: Any, backend: Any, request_ids: list[str]) -> list[Any]:
    """The requests, which stay; their instances go on."""
    requests = _named(backend, request_ids)
    for request in requests:
        if request.state in _OPEN_STATES:
            request.state = "cancelled"
            set_status(
                cloud,
                request,
                "request-canceled-and-instance-running",
                "Your Spot request is canceled, but the instance is still running.",
            )
    return requests


def describe(
    cloud: Cloud, original: Any, backend: Any, filters: Any = None, spot_instance_ids: list[str] | None = None
) -> list[Any]:
    """The requests, without those that ended four hours ago."""
    oldest = cloud.now() - _KEPT_SECONDS
    for request in list(backend.spot_instance_requests.values()):
        if 0 < request.ended < oldest:
            del backend.spot_instance_requests[request.id]
    _named(backend, spot_instance_ids or [])
    found: list[Any] = original(backend, filters, spot_instance_ids)
    return found


def filter_value(_: Cloud, original: Any, request: Any, name: str, method: str | None = None) -> Any:
    """What the filter of that name compares."""
    readers: dict[str, Callable[[], Any]] = {
        "launch-group": lambda: request.launch_group,
        "status-code": lambda: request._status_code,
        "status-message": lambda: request.status_message,
        "instance-id": lambda: request.instance_id,
        "launched-availability-zone": lambda: request.launched_availability_zone,
        "spot-price": lambda: request.price,
        "create-time": lambda: request.created,
        "launch.instance-type": lambda: request.launch_specification.instance_type,
        "launch.image-id": lambda: request.launch_specification.image_id,
        "launch.key-name": lambda: request.launch_specification.key_name,
        "launch.group-id": lambda: [group.id for group in request.launch_specification.groups],
        "launch.group-name": lambda: [group.name for group in request.launch_specification.groups],
    }
    return readers[name]() if name in readers else original(request, name, method)


def request_spot_instances(_: Cloud, original: Any, response: Any) -> Any:
    """Refuses a price that is none."""
    price = response._get_param("SpotPrice")
    if price is not None:
        _amount(price)
    return original(response)


def _request(backend: Any, instance: Any, options: Options, tags: dict[str, dict[str, str]]) -> LaunchedRequest:
    make: Any = LaunchedRequest
    request: LaunchedRequest = make(
        instance,
        spot_request_id=random_spot_request_id(),
        price=options.max_price or str(market.on_demand_price(instance.instance_type, backend.region_name)),
        image_id=instance.image_id,
        spot_instance_type=options.kind,
        valid_from=None,
        valid_until=options.valid_until,
        launch_group=None,
        availability_zone_group=None,
        key_name=instance.key_name,
        security_groups=[group.id for group in instance.security_groups],
        user_data=instance.user_data,
        instance_type=instance.instance_type,
        placement=instance.placement.zone,
        kernel_id=None,
        ramdisk_id=None,
        monitoring_enabled=instance.monitored,
        subnet_id=instance.subnet_id,
        tags=tags,
        spot_fleet_id=None,
        instance_interruption_behaviour=options.behavior,
    )
    backend.spot_instance_requests[request.id] = request
    return request


def check_price(cloud: Cloud, backend: Any, price: str, instance_type: str, zone: str | None) -> None:
    """Refuse a maximum price below the current one, or any where the market is told to be above it.

    Raises:
        EC2ClientError: it is too low, or no price at all.
    """
    offered = _amount(price)
    current = market.current_price(instance_type, backend.region_name, zone)
    if current is not None and offered < current:
        raise errors.price_too_low(price, str(current))
    if cloud.faults.at_pool("price", instance_type, zone):
        raise errors.price_too_low(price, str((offered * _DEARER).quantize(_MICRO)))


def _amount(price: str) -> Decimal:
    try:
        amount = Decimal(price)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount <= Decimal("0.001"):
        raise errors.refusal(
            "InvalidParameterValue",
            f'Value ({price}) for parameter price is invalid. "{price}" is an invalid spot instance price',
        )
    return amount


def _named(backend: Any, request_ids: list[str]) -> list[Any]:
    for request_id in request_ids:
        if request_id not in backend.spot_instance_requests:
            raise errors.unknown_spot_request(request_id)
    return [backend.spot_instance_requests[request_id] for request_id in request_ids]


def _now(cloud: Cloud) -> datetime:
    return datetime.fromtimestamp(cloud.now(), timezone.utc)


PATCHES = (
    Patch(SpotInstanceRequest, "__init__", begin, "links request and instance, and tells when it was made"),
    Patch(SpotInstanceRequest, "status", status, "tells when the status changed"),
    Patch(SpotInstanceRequest, "create_time", create_time, "tells when the request was made"),
    Patch(SpotInstanceRequest, "get_filter_value", filter_value, "filters by status, launch and price"),
    Patch(SpotRequestBackend, "cancel_spot_instance_requests", cancel, "keeps a cancelled request"),
    Patch(SpotRequestBackend, "describe_spot_instance_requests", describe, "refuses unknown ids, forgets old requests"),
    Patch(SpotInstances, "request_spot_instances", request_spot_instances, "refuses a price that is none"),
)
