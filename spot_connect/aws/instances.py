"""EC2 instances: find, describe, launch on the spot market, terminate."""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from spot_connect.aws.consistency import INSTANCE, REQUEST
from spot_connect.aws.filters import exactly
from spot_connect.aws.refusals import asking
from spot_connect.aws.session import Cloud
from spot_connect.aws.together import batches, in_one_call
from spot_connect.core.errors import AwsError, AwsObjectMissing, AwsUnreachable, Throttled
from spot_connect.core.members import name_tags
from spot_connect.core.models import LIVE_STATES, Instance, LaunchSpec, Subnet
from spot_connect.core.names import MANAGED_TAG, NAME_TAG
from spot_connect.core.tags import fitting
from spot_connect.core.waiting import SYSTEM_CLOCK, Clock

_TOKEN_SPENT = frozenset({"IdempotentParameterMismatch", "IdempotentInstanceTerminated"})
_NO_REQUEST = "InvalidSpotInstanceRequestID.NotFound"
_REQUEST_ID = "spot-instance-request-id"
_TAGGED_AT_LAUNCH = ("instance", "volume", "network-interface", "spot-instances-request")
"""The last of them only for a spot launch."""
_BACK_OFF = (1.0, 2.0, 4.0, 8.0)


@in_one_call
def named(cloud: Cloud, names: Collection[str]) -> dict[str, tuple[Instance, ...]]:
    """Live instances of our name, oldest first; one call.

    Example:
        >>> named(Cloud("us-east-1"), "vm1")  # doctest: +SKIP
        (Instance(id='i-0123456789abcdef0', ...),)
    """
    carried = dict.fromkeys(tag for name in names for tag in name_tags(name))
    what = f"look for {', '.join(names)} in {cloud.region}"
    found = [one for batch in batches(carried) for one in _find(cloud, what, {f"tag:{NAME_TAG}": exactly(batch)})]
    return {name: tuple(one for one in found if one.name == name) for name in names}


def of_fleet(cloud: Cloud, prefix: str) -> tuple[Instance, ...]:
    """Live instances called ``<prefix>_`` and something, oldest first; one call."""
    [pattern] = exactly([f"{prefix}_"])
    return _find(cloud, f"look for {prefix}_* in {cloud.region}", {f"tag:{NAME_TAG}": [f"{pattern}*"]})


def of_launch_group(cloud: Cloud, name: str) -> tuple[Instance, ...]:
    """Live instances of spot requests whose launch group is ``name``, as spot-connect 1.0 named them."""
    filters = _filters({"launch-group": [name], "state": ["active"]})
    told = _requests(cloud, f"look for spot requests of {name} in {cloud.region}", Filters=filters)
    ids = [request["InstanceId"] for request in told if request.get("InstanceId")]
    return _find(cloud, f"look for {name} in {cloud.region}", {"instance-id": ids}) if ids else ()


def managed(cloud: Cloud) -> tuple[Instance, ...]:
    """Every live instance that we launched in the Region, oldest first."""
    return _find(cloud, f"list the instances in {cloud.region}", {"tag-key": [MANAGED_TAG]})


def tagged(cloud: Cloud, key: str, values: Sequence[str]) -> tuple[Instance, ...]:
    """Live instances whose tag ``key`` has one of ``values`` (up to 200) and fits, oldest first."""
    found = _find(cloud, f"look for {', '.join(values)} in {cloud.region}", {f"tag:{key}": exactly(values)})
    return tuple(one for one in found if one.tags.get(key) in values)


def with_keys(cloud: Cloud, key_names: Sequence[str]) -> tuple[Instance, ...]:
    """Live instances, ours or not, that were launched with one of the key pairs."""
    what = f"look for users of key pairs in {cloud.region}"
    return tuple(one for batch in batches(key_names) for one in _find(cloud, what, {"key-name": batch}))


@in_one_call
def by_id(cloud: Cloud, ids: Collection[str]) -> dict[str, Instance | None]:
    """The instance with that id in whatever state, or ``None``; one call."""
    return {**dict.fromkeys(ids), **{one.id: one for one in by_ids(cloud, ids)}}


def by_ids(cloud: Cloud, ids: Collection[str]) -> tuple[Instance, ...]:
    """Those of the instances that EC2 still knows, in whatever state; one call for 200."""
    what = f"look for {', '.join(ids)} in {cloud.region}"
    # As a filter, so that an unknown id is left out instead of refusing them all.
    return tuple(one for batch in batches(ids) for one in _described(cloud, what, {"instance-id": batch}))


def launch(cloud: Cloud, spec: LaunchSpec, subnet: Subnet, *, price: str = "", clock: Clock = SYSTEM_CLOCK) -> Instance:
    """One spot instance of ``spec`` in ``subnet``.

    A failed line or a server error is asked again with the same ClientToken, so that no second instance can
    come of it ("Ensuring idempotency in Amazon EC2 API requests", EC2 Developer Guide).

    Raises:
        NoCapacity: this pool has none; another zone may.
        PriceTooLow, QuotaReached, NotAuthorized: another zone would not help.
    """
    request = run_request(spec, subnet)
    token = str(uuid.uuid4())
    for pause in (*_BACK_OFF, None):
        try:
            return _run(cloud, spec, subnet, request, token)
        except (Throttled, AwsUnreachable):
            if pause is None:
                raise
            clock.sleep(pause)
        except AwsError as error:
            if error.code not in _TOKEN_SPENT or pause is None:
                raise
            token = str(uuid.uuid4())
    raise AssertionError("the last attempt returns or raises")


def run_request(spec: LaunchSpec, subnet: Subnet) -> dict[str, Any]:
    """The RunInstances parameters for ``spec``, without a token.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
    """
    spot: dict[str, str] = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
    if spec.max_price is not None:
        spot["MaxPrice"] = str(spec.max_price)
    tags = [{"Key": key, "Value": value} for key, value in spec.tags.items()]
    request: dict[str, Any] = {
        "ImageId": spec.image.id,
        "InstanceType": spec.instance_type,
        "MinCount": 1,
        "MaxCount": 1,
        "KeyName": spec.key_name,
        "NetworkInterfaces": [_interface(subnet, spec.group_id)],
        "BlockDeviceMappings": [_root_volume(spec)],
        "InstanceInitiatedShutdownBehavior": "terminate",
        "Monitoring": {"Enabled": spec.monitoring},
        # One hop: the answer with the token does not reach a container, whose programs have no need of the role.
        "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled", "HttpPutResponseHopLimit": 1},
        "InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": spot},
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in _TAGGED_AT_LAUNCH],
    }
    if spec.on_demand:
        del request["InstanceMarketOptions"]
        request["TagSpecifications"].pop()
    if spec.instance_profile:
        kind = "Arn" if spec.instance_profile.startswith("arn:") else "Name"
        request["IamInstanceProfile"] = {kind: spec.instance_profile}
    if spec.user_data:
        request["UserData"] = spec.user_data
    return request


def ended(cloud: Cloud, name: str) -> Instance | None:
    """The instance of that name that was launched last and has ended; EC2 forgets it within an hour or so."""
    wanted = {f"tag:{NAME_TAG}": exactly(name_tags(name)), "instance-state-name": ("shutting-down", "terminated")}
    found = _described(cloud, f"look for {name} in {cloud.region}", wanted)
    return max((one for one in found if one.name == name), key=lambda instance: instance.launched, default=None)


def user_data(cloud: Cloud, instance_id: str) -> str:
    """The user data that the instance was launched with; empty when it had none, or EC2 has forgotten it."""
    try:
        with asking(f"read the user data of {instance_id}"):
            answer = cloud.ec2.describe_instance_attribute(InstanceId=instance_id, Attribute="userData")
    except AwsObjectMissing:
        return ""
    return base64.b64decode(answer.get("UserData", {}).get("Value", "")).decode("utf-8", "replace")


def spot_statuses(cloud: Cloud, request_ids: Sequence[str]) -> dict[str, str]:
    """The status codes of spot requests by the id of their instance; one call for up to 200.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html
    """
    found: dict[str, str] = {}
    for batch in batches(request_ids):
        told = _requests(cloud, f"ask for spot requests in {cloud.region}", Filters=_filters({_REQUEST_ID: batch}))
        found |= {one.get("InstanceId", ""): one["Status"]["Code"] for one in told}
    return found


def price_limit(cloud: Cloud, request_id: str) -> Decimal | None:
    """The most US dollars an hour that the spot request bids; ``None`` when EC2 has forgotten it."""
    told = _requests(cloud, f"read the price limit of {request_id}", SpotInstanceRequestIds=[request_id])
    limit = next((one["SpotPrice"] for one in told if one.get("SpotPrice")), "")
    return Decimal(limit) if limit else None


def _requests(cloud: Cloud, what: str, **which: Any) -> list[Mapping[str, Any]]:
    """The spot requests as EC2 tells them; none where it knows none."""
    try:
        with asking(what):
            return list(cloud.ec2.describe_spot_instance_requests(**which)["SpotInstanceRequests"])
    except AwsError as error:
        if error.code == _NO_REQUEST:
            return []
        raise


def tag(cloud: Cloud, ids: Collection[str], tags: Mapping[str, str]) -> None:
    """Give the instances, up to 1000, more tags, the same to all; one call."""
    marks = [{"Key": key, "Value": value} for key, value in tags.items()]
    with asking(f"tag {', '.join(ids)}"):
        cloud.ec2.create_tags(Resources=list(ids), Tags=marks)
    cloud.recent.tag(cloud.region, ids, tags)


def terminate(cloud: Cloud, instances: Iterable[Instance]) -> None:
    """End the instances, their spot requests first, so that a persistent request cannot launch again.

    They are ended whatever becomes of the requests, since it is the instances that cost.

    Raises:
        AwsError: EC2 did not end them; or it has ended them and did not cancel their requests.
    """
    doomed = tuple(instances)
    requests = [instance.spot_request_id for instance in doomed if instance.spot_request_id]
    names = ", ".join(instance.name for instance in doomed)
    trouble = _cancelled(cloud, requests, names) if requests else None
    with asking(f"terminate {names}"):
        cloud.ec2.terminate_instances(InstanceIds=[instance.id for instance in doomed])
    for instance in doomed:
        _note(cloud, replace(instance, state="shutting-down"))
    if trouble:
        raise trouble


def _cancelled(cloud: Cloud, requests: Sequence[str], names: str) -> AwsError | None:
    """Cancel the requests; why that failed, if it did. One that EC2 has not heard of is none that could launch."""
    try:
        with asking(f"cancel the spot requests of {names}, which are terminated"):
            cloud.ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=list(requests))
    except AwsError as error:
        return None if error.code == _NO_REQUEST else error
    return None


@dataclass(frozen=True, slots=True)
class Console:
    """What an instance has printed; ``is_live`` when EC2 tells it at once, and not minutes later."""

    text: str
    is_live: bool


def console(cloud: Cloud, instance_id: str) -> Console:
    """What the instance has printed on its console so far; empty when EC2 has nothing yet.

    EC2 keeps the last 64 KB; only Nitro instances give the latest text at once.
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html
    """
    try:
        return Console(_console(cloud, instance_id, Latest=True), is_live=True)
    except AwsError as error:
        if error.code not in ("UnsupportedOperation", "InvalidParameterCombination"):
            raise
    return Console(_console(cloud, instance_id), is_live=False)


def _console(cloud: Cloud, instance_id: str, **options: bool) -> str:
    with asking(f"read the console of {instance_id}"):
        return str(cloud.ec2.get_console_output(InstanceId=instance_id, **options).get("Output", ""))


def _run(cloud: Cloud, spec: LaunchSpec, subnet: Subnet, request: dict[str, Any], token: str) -> Instance:
    with asking(f"launch {spec.name} ({spec.instance_type}) in {subnet.zone}"):
        answer = cloud.ec2_once.run_instances(**request, ClientToken=token)
    made = _instance(cloud.region, answer["Instances"][0], {})
    cloud.recent.tag(cloud.region, [made.id], spec.tags)
    cloud.recent.tell(cloud.region, INSTANCE, made.id, made)
    return made


def _interface(subnet: Subnet, group_id: str) -> dict[str, Any]:
    return {
        "DeviceIndex": 0,
        "SubnetId": subnet.id,
        "Groups": [group_id],
        "AssociatePublicIpAddress": True,
        "DeleteOnTermination": True,
    }


def _root_volume(spec: LaunchSpec) -> dict[str, Any]:
    volume = {
        "VolumeSize": max(spec.volume_gib, spec.image.root_gib),
        "VolumeType": "gp3",
        "Encrypted": True,
        "DeleteOnTermination": True,
    }
    return {"DeviceName": spec.image.root_device, "Ebs": volume}


def _find(cloud: Cloud, what: str, wanted: Mapping[str, Sequence[str]]) -> tuple[Instance, ...]:
    found = _described(cloud, what, {**wanted, "instance-state-name": LIVE_STATES})
    return tuple(sorted(found, key=lambda instance: (instance.launched, instance.id)))


def _described(cloud: Cloud, what: str, wanted: Mapping[str, Sequence[str]]) -> Iterator[Instance]:
    cloud.recent.recall(cloud.region)
    shown = _shown(cloud, what, wanted)
    yield from shown
    yield from _late(cloud, what, wanted, {one.id for one in shown})


def _shown(cloud: Cloud, what: str, wanted: Mapping[str, Sequence[str]]) -> list[Instance]:
    """What EC2 shows, with the tags that were given moments ago."""
    given = cloud.recent.tags(cloud.region)
    with asking(what):
        pages = list(cloud.ec2.get_paginator("describe_instances").paginate(Filters=_filters(wanted)))
    found = [raw for page in pages for reservation in page["Reservations"] for raw in reservation["Instances"]]
    shown = [_instance(cloud.region, raw, given.get(raw["InstanceId"], {})) for raw in found]
    for one in shown:
        _note(cloud, one)
    return shown


def _note(cloud: Cloud, shown: Instance) -> None:
    """Remember a young instance: one server of EC2 knows it, and the next may not yet."""
    since = shown.launched.timestamp()
    cloud.recent.seen(cloud.region, INSTANCE, shown.id, since, shown)
    if shown.spot_request_id:
        cloud.recent.seen(cloud.region, REQUEST, shown.spot_request_id, since)


def _late(cloud: Cloud, what: str, wanted: Mapping[str, Sequence[str]], shown: Collection[str]) -> Iterator[Instance]:
    """The instances that are meant, but left out because they, or their tags, are too young for EC2 to show them."""
    young, given = cloud.recent.told(cloud.region, INSTANCE), cloud.recent.tags(cloud.region)
    missing = [
        one
        for one in {**young, **given}
        if one not in shown and _means(wanted, one, given.get(one, {}), young.get(one))
    ]
    if not missing:
        return
    found: dict[str, Instance] = {}

    def unknown() -> list[str]:
        asked = [one for one in missing if one not in found]
        found.update({one.id: one for batch in batches(asked) for one in _shown(cloud, what, {"instance-id": batch})})
        return [one for one in asked if one not in found and one in young and young[one] is None]

    cloud.recent.patiently(unknown, bool)
    states = wanted.get("instance-state-name", ())
    for name in missing:
        one: Instance | None = found.get(name) or young.get(name)
        if one is not None and (not states or one.state in states):
            yield replace(one, tags={**one.tags, **fitting(given.get(name, {}))[0]})


def _means(wanted: Mapping[str, Sequence[str]], instance_id: str, tags: Mapping[str, str], told: Any) -> bool:
    """Whether the filters would find the instance of which that much is known."""

    def fits(name: str, values: Sequence[str]) -> bool:
        if name == "instance-state-name":
            return told is None or told.state in values
        if name == "instance-id":
            return instance_id in values
        if name == "tag-key":
            return any(key in tags for key in values)
        if name.startswith("tag:"):
            return any(_fits(value, tags.get(name.removeprefix("tag:"), "")) for value in values)
        return name == "key-name" and (told is None or told.key_name in values)

    return all(fits(name, values) for name, values in wanted.items())


def _fits(pattern: str, text: str) -> bool:
    """Whether a filter's pattern, in which a backslash takes a sign as it is, fits the text."""
    signs = re.findall(r"\\.|.", pattern, re.DOTALL)
    anything = {"*": ".*", "?": "."}
    return bool(re.fullmatch("".join(anything.get(sign) or re.escape(sign[-1]) for sign in signs), text, re.DOTALL))


def _filters(wanted: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": list(values)} for name, values in wanted.items()]


def _instance(region: str, raw: Mapping[str, Any], given: Mapping[str, str]) -> Instance:
    """The instance as EC2 tells it, and with the tags that were ``given`` to it moments ago."""
    tags, refused = fitting({**{tag["Key"]: tag["Value"] for tag in raw.get("Tags", ())}, **given})
    return Instance(
        id=raw["InstanceId"],
        region=region,
        state=raw["State"]["Name"],
        type=raw["InstanceType"],
        zone=raw.get("Placement", {}).get("AvailabilityZone", ""),
        launched=raw["LaunchTime"],
        tags=tags,
        key_name=raw.get("KeyName", ""),
        public_ip=raw.get("PublicIpAddress", ""),
        vpc_id=raw.get("VpcId", ""),
        subnet_id=raw.get("SubnetId", ""),
        groups={group["GroupId"]: group["GroupName"] for group in raw.get("SecurityGroups", ())},
        is_spot=raw.get("InstanceLifecycle") == "spot",
        spot_request_id=raw.get("SpotInstanceRequestId", ""),
        state_reason=raw.get("StateReason", {}).get("Code", ""),
        raw=raw,
        refused=refused,
    )
