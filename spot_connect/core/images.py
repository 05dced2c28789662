"""Machine images: where AWS publishes the newest, who logs in, what they run on."""

from __future__ import annotations

import re
from collections.abc import Iterable

from spot_connect.core.errors import UsageError

DEFAULT_IMAGE_NAME = "Amazon Linux 2023 AMI (kernel 6.1)"
"""The stable kernel; the name is the same in every Region and for both architectures."""

STARTS_ANYWHERE = "Ubuntu Server 24.04 LTS (HVM), SSD Volume Type"
"""What the first ARM types get, which Amazon Linux 2023 does not start on. Amazon Linux 2 would, but is at its end."""

_IMAGE_ID = re.compile(r"ami-[0-9a-f]{8}(?:[0-9a-f]{9})?")

ARCHITECTURES = ("x86_64", "arm64")
"""What spot instances run on, the one to choose first when a type runs on both first."""

_DLAMI = "/aws/service/deeplearning/ami/{arch}/base-oss-nvidia-driver-gpu-{system}/latest/ami-id"
_UBUNTU = "/aws/service/canonical/ubuntu/server/{version}/stable/current/{deb}/hvm/{disk}/ami-id"
_AMAZON = "/aws/service/ami-amazon-linux-latest/{name}"
_ECS = "/aws/service/ecs/optimized-ami/amazon-linux-2023/{ecs}recommended/image_id"
_PARAMETERS = {
    "amazon-linux-2023": _AMAZON.replace("{name}", "al2023-ami-kernel-default-{arch}"),
    "amazon-linux-2": _AMAZON.replace("{name}", "amzn2-ami-kernel-5.10-hvm-{arch}-gp2"),
    "ubuntu-24.04": _UBUNTU.replace("{version}", "24.04").replace("{disk}", "ebs-gp3"),
    "ubuntu-22.04": _UBUNTU.replace("{version}", "22.04").replace("{disk}", "ebs-gp2"),
    "debian-12": "/aws/service/debian/release/12/latest/{deb}",
    "debian-13": "/aws/service/debian/release/13/latest/{deb}",
    "deep-learning-ubuntu-24.04": _DLAMI.replace("{system}", "ubuntu-24.04"),
    "deep-learning-ubuntu-22.04": _DLAMI.replace("{system}", "ubuntu-22.04"),
    "deep-learning-amazon-linux-2023": _DLAMI.replace("{system}", "amazon-linux-2023"),
    "ecs-al2023": _ECS,
}
FAMILIES = tuple(_PARAMETERS)

_OWNERS = {"099720109477": "ubuntu", "136693071363": "admin", "137112412989": "ec2-user", "309956199498": "ec2-user"}
# First match wins: a Deep Learning image names its base system, a Bitnami image its Debian.
_USERNAMES = (
    (r"bitnami", "bitnami"),
    (r"ubuntu", "ubuntu"),
    (r"debian", "admin"),
    (r"rocky", "rocky"),
    (r"centos", "centos"),
    (r"fedora", "fedora"),
    (r"amazon linux|\bamzn|\bal2023|rhel|red hat|suse|sles|oracle|freebsd", "ec2-user"),
)


def image_id(text: str) -> str:
    """An EC2 image id, ``ami-`` and 8 or 17 hexadecimal digits.

    Raises:
        UsageError: anything else.

    Example:
        >>> image_id("ami-0006118602dfc1c09")
        'ami-0006118602dfc1c09'
    """
    if not _IMAGE_ID.fullmatch(text):
        raise UsageError(f"{text!r} is not an image id", advice="It looks like ami-0123456789abcdef0.")
    return text


def ssm_parameter(family: str, architecture: str) -> str:
    """The public Systems Manager parameter that holds the id of a family's newest image.

    Raises:
        UsageError: an unknown family or architecture.

    Example:
        >>> ssm_parameter("amazon-linux-2023", "arm64")
        '/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64'
    """
    if family not in _PARAMETERS:
        raise UsageError(f"{family!r} is not an image family", advice=f"The families are {', '.join(FAMILIES)}.")
    if architecture not in ARCHITECTURES:
        raise UsageError(f"{architecture!r} is not an architecture", advice="It is x86_64 or arm64.")
    deb = "amd64" if architecture == "x86_64" else "arm64"
    ecs = "" if architecture == "x86_64" else "arm64/"
    return _PARAMETERS[family].format(arch=architecture, deb=deb, ecs=ecs)


def username_for(image_name: str, owner: str = "") -> str:
    """The login name an image most likely has, from its name and its owner's account; empty when nothing tells.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/managing-users.html

    Example:
        >>> username_for("ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20260101")
        'ubuntu'
    """
    name = image_name.lower()
    named = next((user for pattern, user in _USERNAMES if re.search(pattern, name)), "")
    return named or _OWNERS.get(owner, "")


def preferred_architecture(supported: Iterable[str]) -> str:
    """The architecture to launch a type with; empty when it runs neither x86_64 nor arm64.

    Old types list ``i386`` first; no current image is made for it.

    Example:
        >>> preferred_architecture(["i386", "x86_64"])
        'x86_64'
    """
    known = set(supported)
    return next((architecture for architecture in ARCHITECTURES if architecture in known), "")


def starts_on(image_name: str, instance_type: str) -> bool:
    """Whether images of that name start on the type, as far as the name tells.

    Amazon Linux 2023 for ARM needs Graviton2; it is launched on an ``a1`` type, but never comes up.
    https://docs.aws.amazon.com/linux/al2023/ug/system-requirements.html

    Example:
        >>> starts_on(DEFAULT_IMAGE_NAME, "t4g.nano"), starts_on(DEFAULT_IMAGE_NAME, "a1.medium")
        (True, False)
    """
    return not (instance_type.startswith("a1.") and re.search(r"al2023|amazon[ -]linux[ -]2023", image_name.lower()))


def check_starts(image: str, image_name: str, instance_type: str) -> None:
    """Refuse an image that the instance type does not start, though it is of the type's architecture.

    Raises:
        UsageError: the two do not fit.
    """
    if not starts_on(image_name, instance_type):
        raise UsageError(
            f"image {image} does not start on {instance_type}",
            "Amazon Linux 2023 needs a later ARM processor than that of the a1 types",
            "Leave -ami out to have a fitting image chosen, or choose another type.",
        )


def check_architecture(image: str, architecture: str, instance_type: str, supported: Iterable[str]) -> None:
    """Refuse an image that the instance type cannot boot.

    Args:
        image: what to call the image in the error, its id or name.
        architecture: what the image is made for.
        instance_type: the type to launch.
        supported: what that type runs, as EC2 lists it.

    Raises:
        UsageError: the two do not fit.

    Example:
        >>> check_architecture("ami-1", "arm64", "t4g.nano", ["arm64"])
    """
    runs = tuple(supported)
    if architecture not in runs:
        raise UsageError(
            f"image {image} does not run on {instance_type}",
            f"the image is {architecture}, the type runs {' or '.join(runs)}",
            f"Choose an image for {preferred_architecture(runs) or 'that type'}, or another instance type.",
        )
