"""Launch templates, which a fleet launches from."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from spot_connect.aws.consistency import TEMPLATE
from spot_connect.aws.instances import run_request
from spot_connect.aws.refusals import asking
from spot_connect.aws.session import Cloud
from spot_connect.core.errors import AwsError
from spot_connect.core.models import LaunchSpec, Subnet

_GONE = frozenset({"InvalidLaunchTemplateId.NotFound", "InvalidLaunchTemplateName.NotFoundException"})
# What a fleet says itself, pool by pool.
_OF_THE_FLEET = ("MinCount", "MaxCount", "InstanceType", "InstanceMarketOptions")


def create(cloud: Cloud, name: str, spec: LaunchSpec, tags: Mapping[str, str]) -> str:
    """The id of a new template for ``spec``, without its type, zone and price; ``name`` must be unique."""
    marks = [{"Key": key, "Value": value} for key, value in tags.items()]
    with asking(f"create the launch template {name} in {cloud.region}"):
        answer = cloud.ec2.create_launch_template(
            LaunchTemplateName=name,
            LaunchTemplateData=template_data(spec),
            TagSpecifications=[{"ResourceType": "launch-template", "Tags": marks}],
        )
    made = str(answer["LaunchTemplate"]["LaunchTemplateId"])
    cloud.recent.tell(cloud.region, TEMPLATE, made, dict(spec.tags))
    return made


def tags_of(cloud: Cloud, template_id: str) -> dict[str, str]:
    """The tags of the template.

    Raises:
        AwsObjectMissing: there is no such template.
    """
    with asking(f"look at the launch template {template_id}"):
        found = cloud.ec2.describe_launch_templates(LaunchTemplateIds=[template_id])["LaunchTemplates"]
    return {tag["Key"]: tag["Value"] for one in found for tag in one.get("Tags", ())}


def delete(cloud: Cloud, template_id: str) -> None:
    """Remove the template; one that is gone is no error. Instances launched from it stay."""
    try:
        with asking(f"delete the launch template {template_id}"):
            cloud.ec2.delete_launch_template(LaunchTemplateId=template_id)
    except AwsError as error:
        if error.code not in _GONE:
            raise


def template_data(spec: LaunchSpec) -> dict[str, Any]:
    """The LaunchTemplateData for ``spec``: what RunInstances would be told, less what the fleet tells.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RequestLaunchTemplateData.html
    """
    request = run_request(spec, Subnet("", "", ""))
    data = {key: value for key, value in request.items() if key not in _OF_THE_FLEET}
    data["NetworkInterfaces"] = [
        {key: value for key, value in one.items() if key != "SubnetId"} for one in data["NetworkInterfaces"]
    ]
    if spec.user_data:
        # botocore encodes user data for RunInstances only.
        data["UserData"] = base64.b64encode(spec.user_data.encode()).decode()
    return data
