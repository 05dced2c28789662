"""What the caller may do: each call of EC2 that we make, asked for with DryRun, which makes and changes nothing.

"If you have the required permissions, the error response is DryRunOperation. Otherwise, it is UnauthorizedOperation."
(https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from spot_connect.aws.instances import run_request
from spot_connect.aws.refusals import asking
from spot_connect.aws.session import Cloud
from spot_connect.aws.together import once
from spot_connect.core.errors import AwsError, NotAuthorized
from spot_connect.core.models import LIVE_STATES, LaunchSpec, Subnet
from spot_connect.core.names import MANAGED_TAG

NOTHING = "there is nothing of spot-connect to ask about"
_ALLOWED = "DryRunOperation"
_OURS = [{"Name": "tag-key", "Values": [MANAGED_TAG]}]
_MARKS = [{"Key": MANAGED_TAG, "Value": "true"}]
_NAME = "spot-connect-doctor"
"""Of what the questions are about, and of nothing that is ever made."""
_PUBLIC_KEY = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPDytLh4qdcX95AM+KMD5mf36UNoHSzQ7K6ZjjbL7s1x"
_RULE = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "192.0.2.1/32"}]}]
"""An address of documentation (RFC 5737)."""


class NothingToAskAbout(Exception):
    """The call changes a thing of ours, and there is none: about another one EC2 would answer something else."""


@dataclass(frozen=True, slots=True)
class Ours:
    """Things of spot-connect in the Region, one of each kind if there is any; the ids are empty where there is none."""

    instance: str = ""
    spot_request: str = ""
    group: str = ""
    key_pair: str = ""
    template: str = ""
    fleet: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a call is allowed; ``None`` where that cannot be told, and then what was said."""

    allowed: bool | None
    said: str = ""


Ask = Callable[[Cloud, "Ours"], Any]

LOOK: Mapping[str, Ask] = {
    "ec2:DescribeFleets": lambda cloud, _: cloud.ec2.describe_fleets(DryRun=True),
    "ec2:DescribeImages": lambda cloud, _: cloud.ec2.describe_images(Owners=["self"], DryRun=True),
    "ec2:DescribeInstanceAttribute": lambda cloud, ours: cloud.ec2.describe_instance_attribute(
        InstanceId=_known(ours.instance), Attribute="userData", DryRun=True
    ),
    "ec2:DescribeInstanceTypes": lambda cloud, _: cloud.ec2.describe_instance_types(DryRun=True),
    "ec2:DescribeInstances": lambda cloud, _: cloud.ec2.describe_instances(DryRun=True),
    "ec2:DescribeKeyPairs": lambda cloud, _: cloud.ec2.describe_key_pairs(DryRun=True),
    "ec2:DescribeLaunchTemplates": lambda cloud, _: cloud.ec2.describe_launch_templates(DryRun=True),
    "ec2:DescribeRegions": lambda cloud, _: cloud.ec2.describe_regions(DryRun=True),
    "ec2:DescribeRouteTables": lambda cloud, _: cloud.ec2.describe_route_tables(DryRun=True),
    "ec2:DescribeSecurityGroupRules": lambda cloud, _: cloud.ec2.describe_security_group_rules(DryRun=True),
    "ec2:DescribeSecurityGroups": lambda cloud, _: cloud.ec2.describe_security_groups(DryRun=True),
    "ec2:DescribeSpotInstanceRequests": lambda cloud, _: cloud.ec2.describe_spot_instance_requests(DryRun=True),
    "ec2:DescribeSpotPriceHistory": lambda cloud, _: cloud.ec2.describe_spot_price_history(DryRun=True),
    "ec2:DescribeSubnets": lambda cloud, _: cloud.ec2.describe_subnets(DryRun=True),
    "ec2:GetConsoleOutput": lambda cloud, ours: cloud.ec2.get_console_output(
        InstanceId=_known(ours.instance), DryRun=True
    ),
}
"""Calls that find things and tell of them."""

PREPARE: Mapping[str, Ask] = {
    "ec2:CreateLaunchTemplate": lambda cloud, _: cloud.ec2.create_launch_template(
        LaunchTemplateName=_NAME,
        LaunchTemplateData={"InstanceType": "t3.micro"},
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": _MARKS}],
        DryRun=True,
    ),
    "ec2:ImportKeyPair": lambda cloud, _: cloud.ec2.import_key_pair(
        KeyName=_NAME,
        PublicKeyMaterial=_PUBLIC_KEY,
        TagSpecifications=[{"ResourceType": "key-pair", "Tags": _MARKS}],
        DryRun=True,
    ),
    "ec2:CreateFleet": lambda cloud, _: cloud.ec2.create_fleet(
        Type="instant",
        TargetCapacitySpecification={"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "spot"},
        LaunchTemplateConfigs=[
            {"LaunchTemplateSpecification": {"LaunchTemplateName": _NAME, "Version": "$Default"}},
        ],
        DryRun=True,
    ),
}
"""Calls that make what a launch needs, and launch many; they are about nothing that is there."""

CHANGE: Mapping[str, Ask] = {
    "ec2:AuthorizeSecurityGroupIngress": lambda cloud, ours: cloud.ec2.authorize_security_group_ingress(
        GroupId=_known(ours.group), IpPermissions=_RULE, DryRun=True
    ),
    "ec2:RevokeSecurityGroupIngress": lambda cloud, ours: cloud.ec2.revoke_security_group_ingress(
        GroupId=_known(ours.group), IpPermissions=_RULE, DryRun=True
    ),
    "ec2:CreateTags": lambda cloud, ours: cloud.ec2.create_tags(
        Resources=[_known(ours.instance)], Tags=[{"Key": "Name", "Value": _NAME}], DryRun=True
    ),
    "ec2:TerminateInstances": lambda cloud, ours: cloud.ec2.terminate_instances(
        InstanceIds=[_known(ours.instance)], DryRun=True
    ),
    "ec2:CancelSpotInstanceRequests": lambda cloud, ours: cloud.ec2.cancel_spot_instance_requests(
        SpotInstanceRequestIds=[_known(ours.spot_request)], DryRun=True
    ),
    "ec2:DeleteKeyPair": lambda cloud, ours: cloud.ec2.delete_key_pair(KeyPairId=_known(ours.key_pair), DryRun=True),
    "ec2:DeleteLaunchTemplate": lambda cloud, ours: cloud.ec2.delete_launch_template(
        LaunchTemplateId=_known(ours.template), DryRun=True
    ),
    "ec2:DeleteFleets": lambda cloud, ours: cloud.ec2.delete_fleets(
        FleetIds=[_known(ours.fleet)], TerminateInstances=True, DryRun=True
    ),
}
"""Calls that change what is there, and are allowed for things of spot-connect alone."""


def may(cloud: Cloud, ask: Ask, ours: Ours) -> Answer:
    """Whether a call is allowed, by asking for it with DryRun."""
    try:
        with asking("ask for it with DryRun"):
            ask(cloud, ours)
    except NothingToAskAbout:
        return Answer(None, NOTHING)
    except AwsError as error:
        if error.code == _ALLOWED:
            return Answer(allowed=True)
        return Answer(False if isinstance(error, NotAuthorized) else None, error.said)
    return Answer(None, "it was answered as if it were no dry run")


def create_group(vpc_id: str) -> Ask:
    """Asks for a security group in the VPC."""
    return lambda cloud, _: cloud.ec2.create_security_group(
        GroupName=_NAME,
        Description="spot-connect",
        VpcId=vpc_id,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": _MARKS}],
        DryRun=True,
    )


def run_instances(spec: LaunchSpec, subnet: Subnet) -> Ask:
    """Asks for an instance as a launch does, but with the subnet's own security group, and no key pair.

    Those of the launch are made just before it, and EC2 knows of no others.
    """
    request = run_request(spec, subnet)
    del request["KeyName"], request["NetworkInterfaces"][0]["Groups"]
    return lambda cloud, _: cloud.ec2_once.run_instances(**request, DryRun=True)


@once
def ours_in(cloud: Cloud) -> Ours:
    """One thing of spot-connect of each kind in the Region."""
    with asking(f"look for things of spot-connect in {cloud.region}"):
        live = [*_OURS, {"Name": "instance-state-name", "Values": list(LIVE_STATES)}]
        reservations = cloud.ec2.describe_instances(Filters=live)["Reservations"]
        groups = cloud.ec2.describe_security_groups(Filters=_OURS)["SecurityGroups"]
        pairs = cloud.ec2.describe_key_pairs(Filters=_OURS)["KeyPairs"]
        templates = cloud.ec2.describe_launch_templates(Filters=_OURS)["LaunchTemplates"]
        fleets = cloud.ec2.describe_fleets()["Fleets"]
    instance: Mapping[str, Any] = next((raw for one in reservations for raw in one["Instances"]), {})
    marked = [raw for raw in fleets if any(tag["Key"] == MANAGED_TAG for tag in raw.get("Tags", ()))]
    live_fleets = [raw for raw in marked if str(raw.get("FleetState", "")).startswith(("active", "submitted"))]
    return Ours(
        instance=instance.get("InstanceId", ""),
        spot_request=instance.get("SpotInstanceRequestId", ""),
        group=_first(groups, "GroupId"),
        key_pair=_first(pairs, "KeyPairId"),
        template=_first(templates, "LaunchTemplateId"),
        fleet=_first(live_fleets, "FleetId"),
    )


def _first(found: list[Mapping[str, Any]], key: str) -> str:
    return str(found[0].get(key, "")) if found else ""


def _known(thing: str) -> str:
    if not thing:
        raise NothingToAskAbout
    return thing
