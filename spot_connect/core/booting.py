"""How long a machine may take to boot. This also runs on instances, so it is written for Python 3.7."""

from __future__ import annotations

_USUAL_SECONDS = 300.0
_SLOW_SECONDS = 1500.0
_SLOW_FAMILIES = ("u-", "u7", "mac")


def boot_seconds(instance_type: str) -> float:
    """The longest that the type takes until its SSH server answers.

    Bare metal tests its memory and hardware first, which takes up to 20 minutes; so do types with many terabytes.
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-types.html

    Example:
        >>> boot_seconds("t3.micro"), boot_seconds("m7i.metal-24xl")
        (300.0, 1500.0)
    """
    family, _, size = instance_type.partition(".")
    return _SLOW_SECONDS if size.startswith("metal") or family.startswith(_SLOW_FAMILIES) else _USUAL_SECONDS
