"""From the arguments that users give to the machine they ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from spot_connect.core.firewall import parse_rules
from spot_connect.core.names import instance_name
from spot_connect.core.profiles import Profile
from spot_connect.core.requests import LaunchRequest
from spot_connect.core.tags import given_tags
from spot_connect.core.values import price as checked_price
from spot_connect.core.values import subnet_id
from spot_connect.core.values import username as checked_username
from spot_connect.launching.realm import Realm


def launch_request(
    realm: Realm,
    name: str,
    *,
    profile: str | Mapping[str, Any] | None = None,
    region: str | None = None,
    instance_type: str | None = None,
    image_id: str | None = None,
    price: str | float | Decimal | None = None,
    username: str | None = None,
    key_pair: str | None = None,
    security_group: str | None = None,
    firewall: object = None,
    instance_profile: str = "",
    monitoring: bool = False,
    user_data: str = "",
    subnet: str | None = None,
    tags: Mapping[str, str] | Iterable[str] | None = None,
) -> LaunchRequest:
    """The machine asked for, from arguments as :class:`spot_connect.spotted.SpotInstance` documents them.

    Raises:
        UsageError: one of them is wrong.
    """
    return LaunchRequest(
        name=instance_name(name),
        profile=_profile(realm, profile, region or ""),
        region=region or "",
        instance_type=instance_type or "",
        image_id=image_id or "",
        price=None if price in (None, "") else checked_price(str(price)),
        username=checked_username(username) if username else "",
        key_pair=key_pair or "",
        security_group=security_group or "",
        firewall=parse_rules(firewall),
        instance_profile=instance_profile or "",
        monitoring=monitoring,
        user_data=user_data,
        subnet=subnet_id(subnet) if subnet else "",
        tags=given_tags(tags),
        standing_tags=realm.tags,
    )


def _profile(realm: Realm, profile: str | Mapping[str, Any] | None, region: str) -> Profile | None:
    if not profile:
        return None
    if isinstance(profile, str):
        return realm.profiles.get(profile, region)
    return Profile.from_mapping(str(profile.get("instance_type", "custom")), profile)
