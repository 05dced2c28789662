"""Which rights a call needs, on which resources.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from spot_connect.local.calls import Call
from spot_connect.local.cloud import ACCOUNT
from spot_connect.local.policies import Need, Values

Context = Mapping[str, Values]
_FREE = frozenset({"sts:GetCallerIdentity", "sts:DecodeAuthorizationMessage"})
_OF_A_LAUNCH = ("instance", "network-interface", "volume")
_TAGGED = (*_OF_A_LAUNCH, "spot-instances-request")
_BY_PREFIX = {
    "i": "instance",
    "sir": "spot-instances-request",
    "vol": "volume",
    "eni": "network-interface",
    "sg": "security-group",
    "lt": "launch-template",
    "fleet": "fleet",
    "key": "key-pair",
    "subnet": "subnet",
    "vpc": "vpc",
}
_S3 = {
    "HeadBucket": "ListBucket",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "HeadObject": "GetObject",
    "DeleteObjects": "DeleteObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "ListBuckets": "ListAllMyBuckets",
}
"""S3 checks calls by permissions with names of their own."""


def needs(call: Call) -> tuple[Need, ...]:
    """What the caller must be allowed for the call to be made; of a fleet without what it launches."""
    if call.action in _FREE:
        return ()
    makers: dict[str, Callable[[Call], Iterable[Need]]] = {
        "ec2:AuthorizeSecurityGroupIngress": _rules,
        "ec2:CancelSpotInstanceRequests": lambda call: _each(call, "SpotInstanceRequestIds"),
        "ec2:CreateFleet": _fleet,
        "ec2:CreateLaunchTemplate": lambda call: _made(call, "launch-template"),
        "ec2:CreateSecurityGroup": _group,
        "ec2:CreateTags": _tags,
        "ec2:DeleteFleets": _end_fleets,
        "ec2:DeleteKeyPair": lambda call: [Need(call.action, *_key(call.region, str(call.parameters.get("KeyName"))))],
        "ec2:DeleteLaunchTemplate": lambda call: _each(call, "LaunchTemplateId"),
        "ec2:DescribeInstanceAttribute": lambda call: _each(call, "InstanceId"),
        "ec2:GetConsoleOutput": lambda call: _each(call, "InstanceId"),
        "ec2:ImportKeyPair": lambda call: _made(call, "key-pair", str(call.parameters.get("KeyName"))),
        "ec2:RevokeSecurityGroupIngress": _rules,
        "ec2:RunInstances": lambda call: launch(call.parameters, call.region),
        "ec2:TerminateInstances": lambda call: _each(call, "InstanceIds"),
        "elasticfilesystem:CreateFileSystem": _file_system,
        "elasticfilesystem:CreateMountTarget": _mount_target,
    }
    maker = makers.get(call.action) or {"s3": _s3, "iam": _iam, "ssm": _parameters}.get(call.service, _anything)
    region: Context = {"aws:requestedregion": (call.region,)}
    return tuple(Need(one.action, one.resource, {**one.context, **region}) for one in maker(call))


def launch(
    parameters: Mapping[str, Any], region: str, template: str = "", *, action: str = "ec2:RunInstances"
) -> Iterator[Need]:
    """What a launch with the parameters of RunInstances needs, from the launch template of that id if there is one."""
    common: dict[str, Values] = {"ec2:launchtemplate": (_arn(region, "launch-template", template),)} if template else {}
    specifications = parameters.get("TagSpecifications") or ()
    # moto keeps the tags of a template itself among those of what is launched from it.
    marked = {one["ResourceType"]: one.get("Tags") or () for one in specifications if one["ResourceType"] in _TAGGED}
    market = str((parameters.get("InstanceMarketOptions") or {}).get("MarketType") or "on-demand")
    common["ec2:instancemarkettype"] = (market,)
    common["ec2:instancetype"] = (str(parameters.get("InstanceType") or "m1.small"),)
    if template:
        yield Need(action, _arn(region, "launch-template", template), common | _carried(region, template))
    for kind in dict.fromkeys((*_OF_A_LAUNCH, *marked)):
        yield Need(action, _arn(region, kind, "*"), common | _asked(marked.get(kind, ())))
    yield Need(action, f"arn:aws:ec2:{region}::image/{parameters.get('ImageId')}", common)
    interfaces = parameters.get("NetworkInterfaces") or ()
    groups = [
        *(parameters.get("SecurityGroupIds") or ()),
        *(one for nic in interfaces for one in nic.get("Groups") or ()),
    ]
    subnets = [parameters.get("SubnetId"), *(nic.get("SubnetId") for nic in interfaces)]
    for one in [*groups, *filter(None, subnets)]:
        yield Need(action, _arn_of(region, one), common | _carried(region, one))
    if parameters.get("KeyName"):
        where, carried = _key(region, str(parameters["KeyName"]))
        yield Need(action, where, {**common, **carried})
    if action != "ec2:RunInstances":
        return
    for kind, tags in marked.items():
        yield _tagging(region, kind, "*", tags, "RunInstances")
    profile = parameters.get("IamInstanceProfile") or {}
    for role in _roles_of(str(profile.get("Name") or profile.get("Arn") or "")):
        yield Need("iam:PassRole", role, {"iam:passedtoservice": ("ec2.amazonaws.com",)})


def _fleet(call: Call) -> Iterator[Need]:
    yield from _made(call, "fleet")
    for config in call.parameters.get("LaunchTemplateConfigs") or ():
        told = config.get("LaunchTemplateSpecification") or {}
        for template, data in _template(call.region, told):
            for override in config.get("Overrides") or [{}]:
                yield from launch(overridden(data, override), call.region, template, action="ec2:CreateFleet")


def overridden(data: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a launch template, and what one override of a fleet says of them."""
    kept = {key: override[key] for key in ("InstanceType", "SubnetId", "ImageId") if override.get(key)}
    return {**data, **kept}


def _template(region: str, told: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Id and parameters of the launch template; nothing when there is none, which others tell."""
    from moto.ec2.models import ec2_backends

    known = ec2_backends[ACCOUNT][region].launch_templates
    by_name = {one.name: one for one in known.values()}
    found = known.get(told.get("LaunchTemplateId", "")) or by_name.get(told.get("LaunchTemplateName", ""))
    return [(found.id, found.get_version(told.get("Version") or "$Default").data)] if found else []


def _made(call: Call, kind: str, name: str = "*") -> Iterator[Need]:
    """A thing that is made, tagged in the same call or not."""
    marked = {one["ResourceType"]: one.get("Tags") or () for one in call.parameters.get("TagSpecifications") or ()}
    yield Need(call.action, _arn(call.region, kind, name), _asked(marked.get(kind, ())))
    for other, tags in marked.items():
        yield _tagging(call.region, other, name if other == kind else "*", tags, call.operation)


def _group(call: Call) -> Iterator[Need]:
    yield from _made(call, "security-group")
    vpc = str(call.parameters.get("VpcId") or "")
    if vpc:
        yield Need(call.action, _arn(call.region, "vpc", vpc), _carried(call.region, vpc))


def _rules(call: Call) -> Iterator[Need]:
    yield from _each(call, "GroupId")
    yield Need(call.action, _arn(call.region, "security-group-rule", "*"))


def _tags(call: Call) -> Iterator[Need]:
    for one in call.parameters.get("Resources") or ():
        context = {**_carried(call.region, one), **_asked(call.parameters.get("Tags") or ())}
        yield Need(call.action, _arn_of(call.region, one), context)


def _end_fleets(call: Call) -> Iterator[Need]:
    from moto.ec2.models import ec2_backends

    yield from _each(call, "FleetIds")
    fleets = ec2_backends[ACCOUNT][call.region].fleets
    for fleet in filter(None, map(fleets.get, call.parameters.get("FleetIds") or ())):
        running = [request.instance for request in fleet.spot_requests if request.instance]
        for instance in [*running, *(one["instance"] for one in fleet.on_demand_instances)]:
            if instance.state in ("pending", "running"):
                where = _arn(call.region, "instance", instance.id)
                yield Need("ec2:TerminateInstances", where, _carried(call.region, instance.id))


def _file_system(call: Call) -> Iterator[Need]:
    where, asked = (
        f"arn:aws:elasticfilesystem:{call.region}:{ACCOUNT}:file-system/*",
        _asked(call.parameters.get("Tags") or ()),
    )
    yield Need(call.action, where, asked)
    if asked:
        yield Need(
            "elasticfilesystem:TagResource", where, {**asked, "elasticfilesystem:createaction": ("CreateFileSystem",)}
        )


def _mount_target(call: Call) -> Iterator[Need]:
    from moto.efs.models import efs_backends

    name = str(call.parameters.get("FileSystemId"))
    tags = efs_backends[ACCOUNT][call.region].tagging_service.get_tag_dict_for_resource(name)
    yield Need(
        call.action, f"arn:aws:elasticfilesystem:{call.region}:{ACCOUNT}:file-system/{name}", _resource_tags(tags)
    )
    for other in ("DescribeSubnets", "DescribeNetworkInterfaces", "CreateNetworkInterface"):
        yield Need(f"ec2:{other}")


def _s3(call: Call) -> Iterator[Need]:
    action = f"s3:{_S3.get(call.operation, call.operation)}"
    bucket = call.parameters.get("Bucket")
    if not bucket:
        yield Need(action)
        return
    keys = [one["Key"] for one in (call.parameters.get("Delete") or {}).get("Objects") or ()]
    for key in keys or [call.parameters.get("Key")]:
        yield Need(action, f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}")


def _iam(call: Call) -> Iterator[Need]:
    told = call.parameters
    profile, role = told.get("InstanceProfileName"), told.get("RoleName")
    of_role = f"arn:aws:iam::{ACCOUNT}:role/{role}"
    where = f"arn:aws:iam::{ACCOUNT}:instance-profile/{profile}" if profile else of_role if role else "*"
    asked = _asked(told.get("Tags") or ())
    yield Need(call.action, where, asked)
    if asked:
        yield Need(f"iam:Tag{'InstanceProfile' if profile else 'Role'}", where, asked)
    if call.operation == "AddRoleToInstanceProfile":
        yield Need("iam:PassRole", of_role, {"iam:passedtoservice": ("ec2.amazonaws.com",)})


def _parameters(call: Call) -> Iterator[Need]:
    names = call.parameters.get("Names") or [call.parameters.get("Name")]
    for name in names:
        # Those of AWS itself belong to no account.
        owner = "" if str(name).startswith("/aws/service/") else ACCOUNT
        yield Need(call.action, f"arn:aws:ssm:{call.region}:{owner}:parameter/{str(name).lstrip('/')}")


def _anything(call: Call) -> Iterator[Need]:
    yield Need(call.action)


def _each(call: Call, parameter: str) -> Iterator[Need]:
    told = call.parameters.get(parameter) or ()
    for one in [told] if isinstance(told, str) else told:
        yield Need(call.action, _arn_of(call.region, one), _carried(call.region, one))


def _tagging(region: str, kind: str, name: str, tags: Iterable[Mapping[str, str]], action: str) -> Need:
    return Need("ec2:CreateTags", _arn(region, kind, name), {**_asked(tags), "ec2:createaction": (action,)})


def _asked(tags: Iterable[Mapping[str, str]]) -> dict[str, Values]:
    given = {one["Key"]: one.get("Value", "") for one in tags}
    context: dict[str, Values] = {f"aws:requesttag/{key}".lower(): (value,) for key, value in given.items()}
    return {**context, "aws:tagkeys": tuple(given)} if given else {}


def _carried(region: str, resource_id: str) -> dict[str, Values]:
    from moto.ec2.models import ec2_backends

    return _resource_tags(ec2_backends[ACCOUNT][region].tags.get(resource_id) or {})


def _resource_tags(tags: Mapping[str, str]) -> dict[str, Values]:
    return {f"aws:resourcetag/{key}".lower(): (str(value),) for key, value in tags.items()}


def _key(region: str, name: str) -> tuple[str, dict[str, Values]]:
    from moto.ec2.models import ec2_backends

    known = ec2_backends[ACCOUNT][region].key_pairs.get(name)
    return _arn(region, "key-pair", name), _carried(region, known.id) if known else {}


def _roles_of(name_or_arn: str) -> list[str]:
    from moto.iam.models import iam_backends

    wanted = name_or_arn.rpartition("/")[2]
    profiles = iam_backends[ACCOUNT]["aws"].instance_profiles.values()
    return [role.arn for profile in profiles if profile.name == wanted for role in profile.roles]


def _arn_of(region: str, resource_id: str) -> str:
    return _arn(region, _BY_PREFIX.get(resource_id.partition("-")[0], "*"), resource_id)


def _arn(region: str, kind: str, name: str) -> str:
    return f"arn:aws:ec2:{region}:{ACCOUNT}:{kind}/{name}"
