"""Machine images, by id or by the public SSM parameter that names the newest one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from spot_connect.aws.refusals import asking
from spot_connect.aws.session import Cloud
from spot_connect.aws.together import once
from spot_connect.core.errors import AwsError, AwsObjectMissing
from spot_connect.core.models import Image

_MOST_PARAMETERS = 10
_NOT_TO_BE_HAD = frozenset({"ParameterNotFound", "AccessDeniedException", "AccessDenied", "UnauthorizedOperation"})


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest image of its kind, and since when it is."""

    id: str
    since: datetime


@once
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


def check_reachable(cloud: Cloud, parameter: str) -> None:
    """Read a public SSM parameter, whatever it holds.

    Raises:
        AwsUnreachable: SSM does not answer.
        NotAuthorized: ``ssm:GetParameter`` is not allowed.
        AwsError: there is no such parameter.
    """
    with asking(f"read {parameter} in {cloud.region}"):
        cloud.client("ssm").get_parameter(Name=parameter)


def newest_ids(cloud: Cloud, parameters: Iterable[str]) -> dict[str, Newest]:
    """What several public SSM parameters hold now, ten in a call; those that do not exist are left out.

    https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html

    Raises:
        NotAuthorized: ``ssm:GetParameters`` is not allowed.
    """
    names = sorted(set(parameters))
    found: dict[str, Newest] = {}
    for first in range(0, len(names), _MOST_PARAMETERS):
        with asking(f"read the newest images in {cloud.region}"):
            answer = cloud.client("ssm").get_parameters(Names=names[first : first + _MOST_PARAMETERS])
        found |= {raw["Name"]: Newest(raw["Value"], raw["LastModifiedDate"]) for raw in answer["Parameters"]}
    return found


@once
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
