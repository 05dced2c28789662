"""Machine images, by id or by the public SSM parameter that names the newest one."""

from __future__ import annotations

from spot_connect.aws.refusals import asking
from spot_connect.aws.session import Cloud
from spot_connect.core.errors import AwsError, AwsObjectMissing
from spot_connect.core.models import Image

_NOT_TO_BE_HAD = frozenset({"ParameterNotFound", "AccessDeniedException", "AccessDenied", "UnauthorizedOperation"})


def newest_id(cloud: Cloud, parameter: str) -> str:
    """The image id that a public SSM parameter holds now; empty when it is absent or may not be read.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-public-parameters-ami.html
    """
    try:
        with asking(f"read {parameter} in {cloud.region}"):
            return str(cloud.client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"])
    except AwsError as error:
        if error.code in _NOT_TO_BE_HAD:
            return ""
        raise


def describe(cloud: Cloud, image_id: str) -> Image:
    """The image with that id in the Region.

    Raises:
        AwsObjectMissing: the Region has no such image.
    """
    with asking(f"look up the image {image_id} in {cloud.region}"):
        found = cloud.ec2.describe_images(ImageIds=[image_id])["Images"]
    if not found:
        raise AwsObjectMissing(
            f"cannot find the image {image_id} in {cloud.region}", advice="Image ids belong to one Region."
        )
    raw = found[0]
    root = raw.get("RootDeviceName", "/dev/xvda")
    sizes = [
        device.get("Ebs", {}).get("VolumeSize", 0)
        for device in raw.get("BlockDeviceMappings", ())
        if device.get("DeviceName") == root
    ]
    return Image(image_id, raw["Architecture"], root, max(sizes, default=0), raw.get("Name", ""))
