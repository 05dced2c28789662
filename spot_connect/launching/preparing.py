"""What a launch needs: everything is checked and looked up first, and only then made."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal

from spot_connect.aws import images, instance_types, networks, prices
from spot_connect.aws.session import Cloud
from spot_connect.core.errors import PriceTooLow, UsageError
from spot_connect.core.images import check_starts, starts_on
from spot_connect.core.instance_profiles import bare_name
from spot_connect.core.models import Image, LaunchSpec, SpotPrice, Subnet
from spot_connect.core.names import (
    FILE_SYSTEM_TAG,
    GROUP_TAG,
    INSTANCE_PROFILE_TAG,
    LOGIN_TAG,
    MANAGED_TAG,
    NAME_TAG,
    PROFILE_TAG,
    SUBNET_TAG,
    USER_TAG,
)
from spot_connect.core.prices import money
from spot_connect.core.profiles import Profile
from spot_connect.core.reporting import Reporter
from spot_connect.core.requests import LaunchRequest, is_run_at_boot
from spot_connect.launching import doors, instance_profiles, mounting
from spot_connect.launching.realm import Realm
from spot_connect.store import tables
from spot_connect.store.keys import KeyFiles
from spot_connect.store.refreshed import Refreshed
from spot_connect.store.state import State, home


@dataclass(frozen=True, slots=True)
class Prepared:
    """A launch with its door in place: what to ask for, where it can be put, and what it costs there."""

    spec: LaunchSpec
    subnets: tuple[Subnet, ...]
    prices: tuple[SpotPrice, ...]


@dataclass(frozen=True, slots=True)
class _Ground:
    """What AWS told before anything was made."""

    image: Image
    username: str
    subnets: tuple[Subnet, ...]
    prices: tuple[SpotPrice, ...]


def prepare(realm: Realm, request: LaunchRequest, files: KeyFiles, reporter: Reporter) -> Prepared:
    """The launch asked for, its image, key pair and group in place; nothing runs yet.

    Raises:
        UsageError: no profile, or image and type do not fit; nothing was made.
        PriceTooLow: the market is above the maximum; nothing was made.
        NotAuthorized, AwsObjectMissing: AWS refused something.
    """
    profile = _profile_of(request)
    region = region_of(realm, request)
    cloud = realm.cloud(region)
    instance_type = request.instance_type or profile.instance_type
    if request.user_data and not is_run_at_boot(request.user_data):
        # Some images read their own kind of user data, so it is not refused.
        reporter.warn(f"the user data of {request.name} does not begin with #! or #cloud-config: cloud-init ignores it")
    with reporter.step(f"looking up {instance_type} in {region}"):
        ground = _look_up(cloud, request, profile, instance_type)
    limit = _price_limit(request, profile, region, instance_type)
    _check_price(request.name, ground.prices, limit)
    _warn_if_unreachable(request, ground.subnets, reporter)
    with reporter.step(f"opening the door of {request.name}"):
        key_name, group_id = _open_doors(realm, cloud, files, request, profile, ground.subnets, reporter)
    spec = LaunchSpec(
        name=request.name,
        region=region,
        instance_type=instance_type,
        image=ground.image,
        key_name=key_name,
        group_id=group_id,
        tags=_tags(request, profile, ground.username, group_id),
        users_tags=request.all_tags,
        username=ground.username,
        max_price=limit,
        instance_profile=request.instance_profile,
        monitoring=request.monitoring,
        user_data=request.user_data,
        on_demand=request.on_demand,
    )
    return Prepared(spec, ground.subnets, ground.prices)


def region_of(realm: Realm, request: LaunchRequest) -> str:
    """Where the launch would go."""
    return request.region or realm.region_of(request.profile)


def _profile_of(request: LaunchRequest) -> Profile:
    if request.profile is None:
        raise UsageError(f"cannot launch {request.name}", "no profile was given", "Name one with -p, e.g. -p t3.micro.")
    return request.profile


def _look_up(cloud: Cloud, request: LaunchRequest, profile: Profile, instance_type: str) -> _Ground:
    with ThreadPoolExecutor(max_workers=5) as pool:
        rights = pool.submit(instance_profiles.must_exist, cloud, request.instance_profile)
        image = pool.submit(choose_image, cloud, request, profile, instance_type)
        subnets = pool.submit(_choose_subnets, cloud, request)
        quotes = pool.submit(prices.current, cloud, instance_type)
        file_system = pool.submit(mounting.vpc_of, cloud, request.filesystem)
        chosen, username = image.result()
        rights.result()
        there = file_system.result()
        mounting.require_same_vpc(request.filesystem, request.name, there, subnets.result()[0].vpc_id)
        return _Ground(chosen, request.username or username, subnets.result(), quotes.result())


def _choose_subnets(cloud: Cloud, request: LaunchRequest) -> tuple[Subnet, ...]:
    """The subnet that the user named, or one a zone: in the VPC of the group that he named, or in the default one."""
    group = doors.named_group(cloud, request)
    if not request.subnet:
        return networks.subnets(cloud, group.vpc_id if group else "")
    chosen = networks.subnet(cloud, request.subnet)
    if group is not None and group.vpc_id != chosen.vpc_id:
        # Names are unique in one VPC alone.
        group = None if group.id == request.security_group else doors.named_group(cloud, request, chosen.vpc_id)
        if group is None:
            raise UsageError(
                f"cannot launch {request.name} in the subnet {chosen.id}",
                f"it is in {chosen.vpc_id}, and the security group {request.security_group} is in another VPC",
                "Name a group of that VPC, or leave -sg out to have one made there.",
            )
    return (chosen,)


def _warn_if_unreachable(request: LaunchRequest, subnets: Sequence[Subnet], reporter: Reporter) -> None:
    if any(subnet.is_public for subnet in subnets):
        return
    where = f"the subnet {request.subnet}" if request.subnet else f"every subnet of {subnets[0].vpc_id}"
    reporter.warn(
        f"{request.name} can hardly be reached: {where} is private, without a route to an internet gateway; "
        "name a public one with --subnet, or give its route table a route of 0.0.0.0/0 to an internet gateway"
    )


def choose_image(cloud: Cloud, request: LaunchRequest, profile: Profile, instance_type: str) -> tuple[Image, str]:
    """The image and its user name: the one asked for, else the newest of the profile's kind for the type.

    Raises:
        UsageError: image and type do not fit.
        AwsObjectMissing: the Region has no such image or type.
    """
    architecture = instance_types.architecture(cloud, instance_type)
    image_id, username = _image_id(cloud, request, profile, instance_type, architecture)
    image = images.describe(cloud, image_id)
    check_starts(image_id, image.name, instance_type)
    if image.architecture != architecture:
        raise UsageError(
            f"cannot launch {request.name}",
            f"the image {image_id} is for {image.architecture}, {instance_type} is {architecture}",
            "Leave -ami out to have a fitting image chosen.",
        )
    return image, username


def _image_id(
    cloud: Cloud, request: LaunchRequest, profile: Profile, instance_type: str, architecture: str
) -> tuple[str, str]:
    if request.image_id:
        known = tables.image_by_id(request.image_id)
        return request.image_id, known.username if known else profile.username
    row = tables.image(cloud.region, architecture, profile.image_name) if profile.image_name else None
    row = tables.fitting(row, instance_type)
    if row is None or not _is_ours(profile):
        return _own_image(cloud, request, profile), profile.username
    newest = images.newest_id(cloud, row.ssm_parameter) if row.ssm_parameter else ""
    # The profile's own image is of another kind where another one had to be chosen.
    own = _next_best(cloud, request, profile) if starts_on(profile.image_name, instance_type) else ""
    return newest or own or row.id, row.username


def _is_ours(profile: Profile) -> bool:
    """Whether we chose the profile's image, so that we may choose a newer one, or its like in another Region."""
    if not profile.image_id or tables.image_by_id(profile.image_id):
        return True
    return bool(Refreshed(State(home())).image_name(profile.image_id))


def _next_best(cloud: Cloud, request: LaunchRequest, profile: Profile) -> str:
    """The profile's own image where it fits: a refresh may have made it newer than that of the tables."""
    same_type = request.instance_type in ("", profile.instance_type)
    return profile.image_id if same_type and profile.region == cloud.region else ""


def _own_image(cloud: Cloud, request: LaunchRequest, profile: Profile) -> str:
    if not profile.image_id:
        raise UsageError(
            f"cannot launch {request.name}",
            f"no image {profile.image_name!r} is known in {cloud.region}",
            "Name one with -ami.",
        )
    return profile.image_id


def _price_limit(request: LaunchRequest, profile: Profile, region: str, instance_type: str) -> Decimal | None:
    if request.price is not None:
        return request.price
    if region == profile.region and instance_type == profile.instance_type:
        return profile.price
    return tables.on_demand_price(instance_type, region)


def _check_price(name: str, quotes: Sequence[SpotPrice], limit: Decimal | None) -> None:
    if limit is None or not quotes:
        return
    lowest = min(quotes, key=lambda quote: quote.price)
    if lowest.price > limit:
        raise PriceTooLow(
            f"cannot launch {name}",
            f"the lowest spot price is {money(lowest.price)} an hour in {lowest.zone}, your maximum {money(limit)}",
            "Raise it with -prc; you are billed the current price, never your maximum.",
        )


def _open_doors(
    realm: Realm,
    cloud: Cloud,
    files: KeyFiles,
    request: LaunchRequest,
    profile: Profile,
    subnets: tuple[Subnet, ...],
    reporter: Reporter,
) -> tuple[str, str]:
    with ThreadPoolExecutor(max_workers=2) as pool:
        key = pool.submit(doors.key_pair, cloud, files, request, reporter)
        group = doors.security_group(cloud, request, subnets[0].vpc_id)
        firewall = request.firewall or profile.firewall_ingress
        if group.ours:
            doors.open_group(realm, cloud, group.id, firewall, reporter)
        elif firewall:
            reporter.warn(f"the security group {group.name} is not ours; the firewall rules were not applied")
        return key.result(), group.id


def _tags(request: LaunchRequest, profile: Profile, username: str, group_id: str) -> dict[str, str]:
    """What the machine is told by later, also when it has ended and EC2 has forgotten its network and its rights."""
    named = {
        FILE_SYSTEM_TAG: request.filesystem,
        GROUP_TAG: request.security_group and group_id,
        SUBNET_TAG: request.subnet,
        INSTANCE_PROFILE_TAG: bare_name(request.instance_profile),
    }
    return {
        **request.all_tags,
        "Name": request.name,
        NAME_TAG: request.name,
        MANAGED_TAG: "true",
        USER_TAG: doors.own_mark().removeprefix("spot-connect ")[:256],
        PROFILE_TAG: profile.name,
        LOGIN_TAG: username,
        **{key: value for key, value in named.items() if value},
    }
