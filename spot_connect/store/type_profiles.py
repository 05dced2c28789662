"""Profiles of types that the profile file does not have, made from the tables when they are asked for.

This is the one way by which ``-p`` takes every type that ``find`` prints: the file has the types of one Region only.
"""

from __future__ import annotations

from spot_connect.core.errors import UsageError
from spot_connect.core.images import ARCHITECTURES, DEFAULT_IMAGE_NAME
from spot_connect.core.profiles import Profile
from spot_connect.store import tables


def of_type(instance_type: str, region: str) -> Profile | None:
    """A profile for a type in a Region, like those that are shipped; ``None`` when no table knows the type.

    Its image is Amazon Linux 2023 for the type's architecture, its price the on-demand price there. Where the tables
    have none, because type or Region are newer, the price is left open and AWS is the judge.

    Raises:
        UsageError: the type runs neither x86_64 nor arm64.

    Example:
        >>> of_type("p5.4xlarge", "eu-west-2").image_name
        'Amazon Linux 2023 AMI (kernel 6.1)'
    """
    kind = tables.type_row(instance_type)
    if kind is None:
        return None
    if kind.architecture not in ARCHITECTURES:
        raise UsageError(
            f"there is no profile {instance_type!r}",
            f"the type runs {kind.architecture} only",
            "`spot_connect find --vcpus N --memory GIB` lists types that will do.",
        )
    price = tables.price(instance_type, region)
    image = tables.fitting(tables.default_image(region, kind.architecture), instance_type)
    return Profile(
        name=instance_type,
        instance_type=instance_type,
        region=region,
        image_id=image.id if image else "",
        image_name=image.name if image else DEFAULT_IMAGE_NAME,
        username=image.username if image else "ec2-user",
        price=price.on_demand if price else None,
        min_price=price.spot if price else None,
    )
