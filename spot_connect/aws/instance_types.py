"""What an instance type is."""

from __future__ import annotations

from spot_connect.aws.refusals import asking
from spot_connect.aws.session import Cloud
from spot_connect.core.errors import AwsObjectMissing

_PREFERRED = ("x86_64", "arm64")


def architecture(cloud: Cloud, instance_type: str) -> str:
    """``x86_64`` or ``arm64``: what an image must be built for to run on the type.

    Raises:
        AwsObjectMissing: the Region has no such type, or it is not sold on the spot market.
    """
    with asking(f"look up the instance type {instance_type} in {cloud.region}"):
        raw = cloud.ec2.describe_instance_types(InstanceTypes=[instance_type])["InstanceTypes"][0]
    if "spot" not in raw.get("SupportedUsageClasses", ("spot",)):
        raise AwsObjectMissing(
            f"cannot launch {instance_type}",
            f"{cloud.region} does not sell it on the spot market",
            "Choose another type with -p.",
        )
    supported = raw["ProcessorInfo"]["SupportedArchitectures"]
    return next((wanted for wanted in _PREFERRED if wanted in supported), str(supported[0]))
