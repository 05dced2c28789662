"""Another machine under the name of one that AWS takes away."""

from __future__ import annotations

from contextlib import suppress

from spot_connect.aws import instances
from spot_connect.core.errors import AwsObjectMissing, InstanceNotFound, RunInterrupted
from spot_connect.core.fleets import FLEET_TAG
from spot_connect.core.models import LIVE_STATES, Instance
from spot_connect.core.names import (
    FILE_SYSTEM_TAG,
    GROUP_TAG,
    INSTANCE_PROFILE_TAG,
    SUBNET_TAG,
    SUCCESSOR_TAG,
    security_group_name,
)
from spot_connect.core.profiles import Profile
from spot_connect.core.reporting import Reporter
from spot_connect.core.requests import LaunchRequest
from spot_connect.core.tags import inherited_tags
from spot_connect.launching import connecting, ending, mounting
from spot_connect.launching.connecting import Reached
from spot_connect.launching.launch import launch
from spot_connect.launching.realm import Realm
from spot_connect.store.keys import KeyFiles

_LOCK_SECONDS = 300.0


def request_like(
    realm: Realm, instance: Instance, *, instance_type: str = "", on_demand: bool = False
) -> LaunchRequest:
    """What to ask for so that a machine like this one comes: AWS itself tells, from any computer.

    Type (unless another is named), the most it may cost, image, key pair, group, subnet, rights, user data, login name
    and the user's tags are those of the machine; its zone is the one that is tried last. Of one that has ended EC2 no
    longer tells its network and its rights: its tags do.

    Raises:
        TagRefused: somebody has written into a tag of the machine what does not belong there.
    """
    connecting.require_fitting_tags(realm, instance, f"launch a machine like {instance.name}")
    kind = instance_type or instance.type
    cloud = realm.cloud(instance.region)
    bids = instance.spot_request_id and not on_demand
    raw = instance.raw
    file_system = instance.tags.get(FILE_SYSTEM_TAG, "")
    return LaunchRequest(
        instance.name,
        profile=Profile(name=instance.profile or instance.type, instance_type=kind, region=instance.region),
        region=instance.region,
        instance_type=kind,
        price=instances.price_limit(cloud, instance.spot_request_id) if bids else None,
        image_id=str(raw.get("ImageId", "")),
        username=instance.username,
        key_pair=instance.key_name,
        security_group=_group_of(instance),
        instance_profile=_profile_of(instance),
        monitoring=raw.get("Monitoring", {}).get("State") in ("enabled", "pending"),
        user_data=instances.user_data(cloud, instance.id),
        on_demand=on_demand,
        filesystem=file_system,
        last_zone=instance.zone,
        subnet=_subnet_of(instance),
        tags=inherited_tags(instance.tags, file_system=bool(file_system), taken=len(realm.tags)),
        standing_tags=realm.tags,
    )


def _told_profile(instance: Instance) -> str:
    return str(instance.raw.get("IamInstanceProfile", {}).get("Arn", ""))


def _profile_of(instance: Instance) -> str:
    """Its instance profile. Of one that lives EC2 tells it, whatever somebody has written into its tags."""
    told = _told_profile(instance)
    return told if told or instance.state in LIVE_STATES else instance.tags.get(INSTANCE_PROFILE_TAG, "")


def _group_of(instance: Instance) -> str:
    """The group that it has instead of one of its own name; empty when it has none such."""
    if not instance.groups and instance.state not in LIVE_STATES:
        fleet = instance.tags.get(FLEET_TAG, "")
        return instance.tags.get(GROUP_TAG, "") or (security_group_name(fleet) if fleet else "")
    others = (group for group, name in instance.groups.items() if name != security_group_name(instance.name))
    return next(others, "")


def _subnet_of(instance: Instance) -> str:
    """The subnet that was named for it; while it lives, EC2 can tell whether that is true."""
    named = instance.tags.get(SUBNET_TAG, "")
    return named if instance.subnet_id in ("", named) else ""


def reach_again(realm: Realm, request: LaunchRequest, files: KeyFiles, reporter: Reporter) -> Reached:
    """The machine of that name, or another like the one that had it last; its file system is mounted there, too.

    Raises:
        InstanceNotFound: nothing runs under that name, and EC2 has forgotten what did.
    """
    try:
        reached = connecting.reach(realm, request, files, reporter)
    except (InstanceNotFound, RunInterrupted):
        last = connecting.last_of(realm, request)
        if last is None:
            raise
        made, is_ours = replace(realm, last, files, reporter)
        connection = connecting.open_line(realm, made, request_like(realm, made), files, reporter, fresh=is_ours)
        reached = Reached(made, connection, launched=is_ours)
    # Also on a machine that somebody launched who did not live to mount it.
    token = reached.instance.tags.get(FILE_SYSTEM_TAG, "")
    if token:
        mounting.mount(realm, reached.instance, reached.connection, token, reporter, new_target=False)
    return reached


def replace(
    realm: Realm,
    dying: Instance,
    files: KeyFiles,
    reporter: Reporter,
    *,
    instance_type: str = "",
    on_demand: bool = False,
) -> tuple[Instance, bool]:
    """The machine that has the name of ``dying`` from now on, and whether this call launched it.

    Whoever asks second, here or on another computer, gets the one that the first has launched.

    Raises:
        NoCapacity: no zone of the Region has a machine of the type.
        PriceTooLow: they cost more than the machine was allowed to.
        AwsError: AWS refused something else.
    """
    cloud = realm.cloud(dying.region)
    made: list[Instance] = []

    def waiting(_: str) -> None:
        reporter.note(f"another terminal replaces {dying.name}; waiting for it")

    try:
        with realm.state.lock(f"launch-{dying.name}", wait_seconds=_LOCK_SECONDS, on_wait=waiting):
            others = [one for one in instances.named(cloud, dying.name) if one.id != dying.id and _lasts(one)]
            if others:
                return others[0], False
            request = request_like(realm, dying, instance_type=instance_type, on_demand=on_demand)
            if request.instance_profile and not _told_profile(dying):
                rights = f"the instance profile {request.instance_profile}"
                reporter.note(f"the machine in the place of {dying.id} gets {rights}, as the tags of that one say")
            launch(realm, request, files, reporter, hear=made.append)
            with suppress(AwsObjectMissing):  # it has ended, and EC2 has forgotten it
                instances.tag(cloud, [dying.id], {SUCCESSOR_TAG: made[0].id})
        chosen = connecting.settled(realm, made[0], reporter)
    except KeyboardInterrupt:
        ending.terminate(realm, made)
        raise
    if chosen.id != made[0].id:
        reporter.note(f"another computer replaced {dying.name} first; using its {chosen.id}")
        ending.terminate(realm, made)
    return chosen, chosen.id == made[0].id


def _lasts(instance: Instance) -> bool:
    return SUCCESSOR_TAG not in instance.tags
