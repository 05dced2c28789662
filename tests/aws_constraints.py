"""What AWS's documentation demands of requests, beside what botocore checks, and its own model beside that.

Each row names the page it was read on, and a request that it refuses. ``faults`` holds one request against all of it;
``tests/conftest.py`` does so with every request that our code sends to a local cloud.
"""

from __future__ import annotations

import base64
import binascii
import functools
import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

Parameters = Mapping[str, Any]
Check = Callable[[Parameters], Iterator[str]]

_API = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/"
_GUIDE = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/"
_EFS = "https://docs.aws.amazon.com/efs/latest/ug/"
_IAM = "https://docs.aws.amazon.com/IAM/latest/APIReference/"
_S3 = "https://docs.aws.amazon.com/AmazonS3/latest/"
_CLIENT_NAME = {"elasticfilesystem": "efs", "servicequotas": "service-quotas"}
_GROUP_CHARACTERS = r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]"


@dataclass(frozen=True, slots=True)
class Row:
    """What the page says of the actions; ``bad`` is a request of the first one that it refuses."""

    actions: tuple[str, ...]
    page: str
    says: str
    check: Check
    bad: Parameters


def faults(action: str, parameters: Parameters) -> list[str]:
    """Why AWS would refuse the request, by its documentation and by the whole model of botocore."""
    found = [f"{action}: {said}; {row.says} ({row.page})" for row in ROWS if _suits(row, action)
             for said in row.check(parameters)]  # fmt: skip
    return [*found, *(f"{action}: {said}" for said in model_faults(action, parameters))]


def _suits(row: Row, action: str) -> bool:
    return action in row.actions or f"{action.partition(':')[0]}:*" in row.actions


# The model.


@functools.cache
def operation(action: str) -> Any:
    """What botocore's whole model says of the action."""
    service, _, name = action.partition(":")
    return _model(_CLIENT_NAME.get(service, service)).operation_model(name)


@functools.cache
def _model(service: str) -> Any:
    import botocore.session

    # That of EC2 takes a second to read.
    return botocore.session.get_session().get_service_model(service)


def model_faults(action: str, parameters: Parameters) -> Iterator[str]:
    """What botocore's validator finds, and what it does not look at: lengths, patterns and enumerations."""
    from botocore.validate import ParamValidator

    shape = operation(action).input_shape
    if shape is None:
        return
    report = ParamValidator().validate(parameters, shape)
    if report.has_errors():
        yield report.generate_report()
        return
    yield from _shape_faults(shape, parameters, "")


def _shape_faults(shape: Any, value: Any, where: str) -> Iterator[str]:
    if shape.type_name == "structure":
        for name, inner in value.items():
            yield from _shape_faults(shape.members[name], inner, f"{where}.{name}")
    elif shape.type_name == "list":
        yield from _length_faults(shape, len(value), where)
        for number, inner in enumerate(value):
            yield from _shape_faults(shape.member, inner, f"{where}[{number}]")
    elif shape.type_name == "string":
        yield from _length_faults(shape, len(value), where)
        pattern = shape.metadata.get("pattern")
        if pattern and not _compiled(pattern).fullmatch(value):
            yield f"{where} is {value!r}, which does not match {pattern}"
        # That enumeration is always behind: AWS sells new types each week.
        if shape.enum and value not in shape.enum and shape.name != "InstanceType":
            yield f"{where} is {value!r}, which is none of {', '.join(shape.enum)}"
    elif shape.type_name in ("integer", "long"):
        yield from _length_faults(shape, value, where)


def _length_faults(shape: Any, length: int, where: str) -> Iterator[str]:
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max", float("inf"))
    if not least <= length <= most:
        yield f"{where} has {length}, and takes {least} to {most}"


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    for theirs, ours in ((r"\p{L}", r"\w"), (r"\p{N}", r"\d"), (r"\p{Z}", " ")):
        pattern = pattern.replace(theirs, ours)
    return re.compile(pattern)


# Checks that several rows share.


def _at(parameters: Any, path: str) -> Iterator[Any]:
    """All values at the path, such as ``IpPermissions[].IpRanges[].Description``."""
    name, _, rest = path.partition(".")
    found = parameters.get(name.removesuffix("[]"))
    if found is None:
        return
    for one in found if name.endswith("[]") else [found]:
        if rest:
            yield from _at(one, rest)
        else:
            yield one


def _matching(pattern: str, *paths: str) -> Check:
    def check(parameters: Parameters) -> Iterator[str]:
        for path in paths:
            for value in _at(parameters, path):
                if not re.fullmatch(pattern, value):
                    yield f"{path} is {value!r}"

    return check


def _at_most(most: int, *paths: str) -> Check:
    def check(parameters: Parameters) -> Iterator[str]:
        for path in paths:
            for value in _at(parameters, path):
                if len(value) > most:
                    yield f"{path} has {len(value)}, more than {most}"

    return check


def _not_both(one: str, *others: str) -> Check:
    def check(parameters: Parameters) -> Iterator[str]:
        if any(_at(parameters, one)):
            yield from (f"{one} goes with no {other}" for other in others if any(_at(parameters, other)))

    return check


def _between(least: int, most: int, *paths: str) -> Check:
    def check(parameters: Parameters) -> Iterator[str]:
        for path in paths:
            for value in _at(parameters, path):
                if not least <= value <= most:
                    yield f"{path} is {value}"

    return check


def _tagging(path: str, *allowed: str) -> Check:
    def check(parameters: Parameters) -> Iterator[str]:
        for kind in _at(parameters, f"{path}.ResourceType"):
            if kind not in allowed:
                yield f"it tags {kind}"

    return check


def _tags(*paths: str) -> Check:
    def check(parameters: Parameters) -> Iterator[str]:
        for path in paths:
            for tags in _at(parameters, path):
                keys = [tag["Key"] for tag in tags]
                if len(set(keys)) < len(keys):
                    yield f"a key is given twice: {keys}"
                if len(tags) > 50:
                    yield f"there are {len(tags)} tags"
                for tag in tags:
                    if not 1 <= len(tag["Key"]) <= 128 or tag["Key"].lower().startswith("aws:"):
                        yield f"{tag['Key']!r} is no key"
                    if len(tag.get("Value", "")) > 256:
                        yield f"the value of {tag['Key']} has {len(tag['Value'])} characters"

    return check


def _price(*paths: str) -> Check:
    def check(parameters: Parameters) -> Iterator[str]:
        for path in paths:
            for value in _at(parameters, path):
                try:
                    fits = Decimal(value) > Decimal("0.001") and re.fullmatch(r"[0-9]*\.?[0-9]+", value)
                except InvalidOperation:
                    fits = None
                if not fits:
                    yield f"{path} is {value!r}"

    return check


def _user_data(path: str) -> Check:
    def check(parameters: Parameters) -> Iterator[str]:
        for value in _at(parameters, path):
            try:
                raw = base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError):
                yield f"{path} is not base64"
                continue
            if len(raw) > 16384:
                yield f"{path} has {len(raw)} bytes"

    return check


def _never(path: str, *, unless: str = "") -> Check:
    def check(parameters: Parameters) -> Iterator[str]:
        if any(True for _ in _at(parameters, path)):
            yield f"{path} is said{' without ' + unless if unless else ''}"

    return check


# Checks of one row.


def _spot_tags(parameters: Parameters) -> Iterator[str]:
    market = next(_at(parameters, "InstanceMarketOptions.MarketType"), "")
    if market != "spot" and "spot-instances-request" in _at(parameters, "TagSpecifications[].ResourceType"):
        yield "it tags a spot request, and asks for none"


def _persistent(parameters: Parameters) -> Iterator[str]:
    options = next(_at(parameters, "InstanceMarketOptions.SpotOptions"), {})
    behavior = options.get("InstanceInterruptionBehavior", "terminate")
    if options.get("SpotInstanceType") == "persistent" and behavior == "terminate":
        yield "it is persistent and terminates"
    if options.get("SpotInstanceType", "one-time") == "one-time" and "ValidUntil" in options:
        yield "it is one-time and has an end"


def _fleet_tags(parameters: Parameters) -> Iterator[str]:
    instant = parameters.get("Type") == "instant"
    allowed = ("fleet", "instance", "volume", "network-interface") if instant else ("fleet",)
    yield from _tagging("TagSpecifications[]", *allowed)(parameters)


def _of_maintained_fleets(parameters: Parameters) -> Iterator[str]:
    if parameters.get("Type", "maintain") != "maintain":
        yield from _never("ReplaceUnhealthyInstances")(parameters)
        yield from _never("ExcessCapacityTerminationPolicy")(parameters)


def _of_instant_fleets(parameters: Parameters) -> Iterator[str]:
    if parameters.get("Type") != "instant":
        for options in ("SpotOptions", "OnDemandOptions"):
            for name in ("SingleInstanceType", "SingleAvailabilityZone", "MinTargetCapacity", "MaxTotalPrice"):
                yield from _never(f"{options}.{name}")(parameters)
        if sum(1 for _ in _at(parameters, "LaunchTemplateConfigs[].Overrides[].InstanceType")) > 300:
            yield "there are more than 300 overrides"
    elif any("," in one for one in _at(parameters, "LaunchTemplateConfigs[].Overrides[].SubnetId")):
        yield "an override names several subnets"


def _price_options(parameters: Parameters) -> Iterator[str]:
    strategy = next(_at(parameters, "SpotOptions.AllocationStrategy"), "lowest-price")
    if strategy != "lowest-price":
        yield from _never("SpotOptions.InstancePoolsToUseCount")(parameters)


def _filters(parameters: Parameters) -> Iterator[str]:
    filters = parameters.get("Filters", ())
    if len(filters) > 50:
        yield f"there are {len(filters)} filters"
    for one in filters:
        if not 1 <= len(one.get("Values", ())) <= 200:
            yield f"the filter {one['Name']} has {len(one.get('Values', ()))} values"


def documented_filters(action: str) -> frozenset[str]:
    """The names of filters that the documentation of the action lists."""
    text = operation(action).input_shape.members["Filters"].documentation
    text = text.replace("</code>:&lt;key&gt;", ":</code>").replace("&lt;key&gt;", "")
    told = re.findall(r"<li>\s*<p>\s*<code>([a-z0-9.\-]+:?)</code>", text)
    return frozenset([*told, *re.findall(r"also use <code>([A-Za-z\-]+)</code>", text)])


def _filter_names(action: str) -> Check:
    def check(parameters: Parameters) -> Iterator[str]:
        known = documented_filters(action)
        for one in parameters.get("Filters", ()):
            name = one["Name"] if not one["Name"].startswith("tag:") else "tag:"
            if name not in known:
                yield f"there is no filter {one['Name']}"

    return check


def _launch_sizes(parameters: Parameters) -> Iterator[str]:
    yield from _between(1, 65536, "BlockDeviceMappings[].Ebs.VolumeSize")(parameters)
    if parameters.get("MinCount", 1) > parameters.get("MaxCount", 1):
        yield "MinCount is above MaxCount"


def _profile_twice(parameters: Parameters) -> Iterator[str]:
    yield from _not_both("IamInstanceProfile.Arn", "IamInstanceProfile.Name")(parameters)


def _rules(parameters: Parameters) -> Iterator[str]:
    for rule in parameters.get("IpPermissions", ()):
        first, last = rule.get("FromPort", 0), rule.get("ToPort", 0)
        if rule["IpProtocol"] in ("tcp", "udp") and not 0 <= first <= last <= 65535:
            yield f"the ports are {first} to {last}"
        blocks = [one["CidrIp"] for one in rule.get("IpRanges", ())]
        blocks += [one["CidrIpv6"] for one in rule.get("Ipv6Ranges", ())]
        if not blocks and not rule.get("UserIdGroupPairs") and not rule.get("PrefixListIds"):
            yield "it opens a port to nobody"
        for block in blocks:
            try:
                ipaddress.ip_network(block)
            except ValueError as error:
                yield str(error)


def _revoked(parameters: Parameters) -> Iterator[str]:
    if not parameters.get("SecurityGroupRuleIds") and not parameters.get("IpPermissions"):
        yield "it names no rule"


def _public_key(parameters: Parameters) -> Iterator[str]:
    for raw in _at(parameters, "PublicKeyMaterial"):
        text = raw.decode() if isinstance(raw, bytes) else raw
        if text.split(" ")[0] not in ("ssh-ed25519", "ssh-rsa"):
            yield f"the key is {text.split(' ')[0]!r}"


def _whole_instant_fleets(parameters: Parameters) -> Iterator[str]:
    if not parameters.get("TerminateInstances", False):
        yield "it would leave instances"
    if len(parameters.get("FleetIds", ())) > 25:
        yield "there are more than 25"


def _efs_modes(parameters: Parameters) -> Iterator[str]:
    mode = parameters.get("ThroughputMode", "bursting")
    if mode == "elastic" and parameters.get("PerformanceMode") == "maxIO":
        yield "elastic throughput goes with no maxIO"
    if mode != "provisioned":
        yield from _never("ProvisionedThroughputInMibps")(parameters)


def _document(path: str) -> Check:
    def check(parameters: Parameters) -> Iterator[str]:
        for text in _at(parameters, path):
            try:
                written = json.loads(text)
            except ValueError:
                yield f"{path} is no JSON"
                continue
            if len(re.sub(r"\s", "", text)) > 2048:
                yield f"{path} has more than 2,048 characters"
            if written.get("Version") != "2012-10-17" or not written.get("Statement"):
                yield f"{path} has no version or no statement"

    return check


def _bucket(parameters: Parameters) -> Iterator[str]:
    name = parameters.get("Bucket", "a-bucket")
    fits = re.fullmatch(r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]", name) and ".." not in name
    if not fits or re.fullmatch(r"[0-9.]+", name) or name.startswith("xn--"):
        yield f"{name!r} is no bucket"


def _keys(parameters: Parameters) -> Iterator[str]:
    keys = [*_at(parameters, "Key"), *_at(parameters, "Delete.Objects[].Key")]
    yield from (f"the key {key[:20]}... has {len(key.encode())} bytes" for key in keys if len(key.encode()) > 1024)


def _one_of(*paths: str) -> Check:
    def check(parameters: Parameters) -> Iterator[str]:
        if sum(bool(any(_at(parameters, path))) for path in paths) > 1:
            yield f"it says more than one of {', '.join(paths)}"

    return check


def _row(actions: str | Sequence[str], page: str, says: str, check: Check, **bad: Any) -> Row:
    return Row((actions,) if isinstance(actions, str) else tuple(actions), page, says, check, bad)


_A, _ID = {"Key": "a", "Value": "b"}, "i-0123456789abcdef0"
_LAUNCH = {"MinCount": 1, "MaxCount": 1}
_TEMPLATE = "LaunchTemplateData"
_FLEET: Parameters = {
    "Type": "instant",
    "LaunchTemplateConfigs": [],
    "TargetCapacitySpecification": {"TotalTargetCapacity": 1},
}
_MAKERS_OF_TAGS = (
    "ec2:RunInstances",
    "ec2:CreateFleet",
    "ec2:CreateLaunchTemplate",
    "ec2:CreateSecurityGroup",
    "ec2:ImportKeyPair",
)
_FILTERED = (
    "DescribeImages",
    "DescribeInstanceTypes",
    "DescribeInstances",
    "DescribeKeyPairs",
    "DescribeSecurityGroupRules",
    "DescribeSecurityGroups",
    "DescribeSpotInstanceRequests",
    "DescribeSpotPriceHistory",
    "DescribeSubnets",
)

ROWS: tuple[Row, ...] = (
    # Tags: which, where and how long.
    _row(
        "ec2:RunInstances",
        f"{_API}API_RunInstances.html",
        "instances, volumes, network interfaces and spot requests can be tagged",
        _tagging("TagSpecifications[]", "instance", "volume", "network-interface", "spot-instances-request"),
        TagSpecifications=[{"ResourceType": "key-pair", "Tags": [_A]}],
    ),
    _row(
        "ec2:RunInstances",
        f"{_API}API_LaunchTemplateTagSpecificationRequest.html",
        "a launch that tags what it does not make fails",
        _spot_tags,
        TagSpecifications=[{"ResourceType": "spot-instances-request", "Tags": [_A]}],
    ),
    _row(
        "ec2:CreateFleet",
        f"{_API}API_CreateFleet.html",
        "only an instant fleet can tag its instances; no fleet tags spot requests",
        _fleet_tags,
        Type="maintain",
        TagSpecifications=[{"ResourceType": "instance", "Tags": [_A]}],
    ),
    _row(
        "ec2:CreateLaunchTemplate",
        f"{_API}API_CreateLaunchTemplate.html",
        "the call itself tags the template alone",
        _tagging("TagSpecifications[]", "launch-template"),
        TagSpecifications=[{"ResourceType": "instance", "Tags": [_A]}],
    ),
    _row(
        "ec2:CreateLaunchTemplate",
        f"{_API}API_LaunchTemplateTagSpecificationRequest.html",
        "a template tags instances, volumes, network interfaces and spot requests",
        _tagging(
            f"{_TEMPLATE}.TagSpecifications[]", "instance", "volume", "network-interface", "spot-instances-request"
        ),
        LaunchTemplateData={"TagSpecifications": [{"ResourceType": "fleet", "Tags": [_A]}]},
    ),
    _row(
        "ec2:CreateSecurityGroup",
        f"{_API}API_CreateSecurityGroup.html",
        "it tags the group and its rules",
        _tagging("TagSpecifications[]", "security-group"),
        TagSpecifications=[{"ResourceType": "vpc", "Tags": [_A]}],
    ),
    _row(
        "ec2:ImportKeyPair",
        f"{_API}API_ImportKeyPair.html",
        "it tags the key pair",
        _tagging("TagSpecifications[]", "key-pair"),
        TagSpecifications=[{"ResourceType": "instance", "Tags": [_A]}],
    ),
    _row(
        _MAKERS_OF_TAGS,
        f"{_GUIDE}Using_Tags.html#tag-restrictions",
        "50 tags, keys of 1 to 128 characters, values of up to 256, no key twice, none that begins with aws:",
        _tags("TagSpecifications[].Tags", f"{_TEMPLATE}.TagSpecifications[].Tags"),
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "AWS:x", "Value": ""}]}],
    ),
    _row(
        "ec2:CreateTags",
        f"{_GUIDE}Using_Tags.html#tag-restrictions",
        "values of up to 256 characters",
        _tags("Tags"),
        Tags=[{"Key": "a", "Value": "b" * 257}],
    ),
    _row(
        "ec2:CreateTags",
        f"{_API}API_CreateTags.html",
        "up to 1000 resources in a call",
        _at_most(1000, "Resources"),
        Resources=[_ID] * 1001,
    ),
    # Launches.
    _row(
        "ec2:RunInstances",
        f"{_GUIDE}user-data.html",
        "user data has up to 16 KB before it is encoded in base64",
        _user_data("UserData"),
        UserData=base64.b64encode(b"x" * 16385).decode(),
    ),
    _row(
        "ec2:CreateLaunchTemplate",
        f"{_API}API_RequestLaunchTemplateData.html",
        "user data must be base64-encoded, of up to 16 KB",
        _user_data(f"{_TEMPLATE}.UserData"),
        LaunchTemplateData={"UserData": "#!/bin/sh"},
    ),
    _row(
        ("ec2:RunInstances", "ec2:CreateFleet"),
        f"{_API}Run_Instance_Idempotency.html",
        "a client token has up to 64 ASCII characters",
        _matching(r"[\x21-\x7e]{1,64}", "ClientToken"),
        ClientToken="ä",
    ),
    _row(
        "ec2:CreateLaunchTemplate",
        f"{_API}API_CreateLaunchTemplate.html",
        "a client token has up to 128 ASCII characters",
        _matching(r"[\x21-\x7e]{1,128}", "ClientToken"),
        ClientToken="x" * 129,
    ),
    _row(
        "ec2:RunInstances",
        f"{_API}API_RunInstances.html",
        "groups and subnet are said of the network interface where there is one",
        _not_both("NetworkInterfaces", "SecurityGroupIds", "SecurityGroups", "SubnetId", "PrivateIpAddress"),
        NetworkInterfaces=[{"DeviceIndex": 0}],
        SubnetId="subnet-1",
    ),
    _row(
        "ec2:CreateLaunchTemplate",
        f"{_API}API_RequestLaunchTemplateData.html",
        "groups are said of the network interface where there is one",
        _not_both(f"{_TEMPLATE}.NetworkInterfaces", f"{_TEMPLATE}.SecurityGroupIds", f"{_TEMPLATE}.SecurityGroups"),
        LaunchTemplateData={"NetworkInterfaces": [{"DeviceIndex": 0}], "SecurityGroupIds": ["sg-1"]},
    ),
    _row(
        "ec2:RunInstances",
        f"{_API}API_SpotMarketOptions.html",
        "persistent requests stop or hibernate, and only they have an end",
        _persistent,
        InstanceMarketOptions={"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "persistent"}},
    ),
    _row(
        "ec2:RunInstances",
        f"{_API}API_SpotMarketOptions.html",
        "a maximum price is a decimal number above 0.001",
        _price("InstanceMarketOptions.SpotOptions.MaxPrice"),
        InstanceMarketOptions={"MarketType": "spot", "SpotOptions": {"MaxPrice": "1E-2"}},
    ),
    _row(
        "ec2:RunInstances",
        f"{_API}API_EbsBlockDevice.html",
        "a gp3 volume has 1 to 65,536 GiB; MinCount is at most MaxCount",
        _launch_sizes,
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 0}}],
    ),
    _row(
        "ec2:RunInstances",
        f"{_API}API_InstanceMetadataOptionsRequest.html",
        "the hop limit is 1 to 64",
        _between(1, 64, "MetadataOptions.HttpPutResponseHopLimit"),
        MetadataOptions={"HttpPutResponseHopLimit": 0},
    ),
    _row(
        "ec2:RunInstances",
        f"{_API}API_IamInstanceProfileSpecification.html",
        "an instance profile has a name or an ARN",
        _profile_twice,
        IamInstanceProfile={"Arn": "arn:aws:iam::123456789012:instance-profile/a", "Name": "a"},
    ),
    # Fleets and their templates.
    _row(
        "ec2:CreateFleet",
        f"{_API}API_CreateFleet.html",
        "only a maintained fleet replaces the unhealthy and ends what is too much",
        _of_maintained_fleets,
        Type="instant",
        ReplaceUnhealthyInstances=True,
    ),
    _row(
        "ec2:CreateFleet",
        f"{_API}API_SpotOptionsRequest.html",
        "a single type, zone, least capacity and total price are for instant fleets, which take one subnet an override",
        _of_instant_fleets,
        Type="maintain",
        SpotOptions={"MaxTotalPrice": "1"},
    ),
    _row(
        "ec2:CreateFleet",
        f"{_API}API_SpotOptionsRequest.html",
        "the number of pools is for the strategy lowest-price",
        _price_options,
        SpotOptions={"AllocationStrategy": "diversified", "InstancePoolsToUseCount": 2},
    ),
    _row(
        "ec2:CreateFleet",
        f"{_API}API_FleetLaunchTemplateOverridesRequest.html",
        "a maximum price is a decimal number above 0.001",
        _price("LaunchTemplateConfigs[].Overrides[].MaxPrice"),
        LaunchTemplateConfigs=[{"Overrides": [{"MaxPrice": "0.0005"}]}],
    ),
    _row(
        "ec2:CreateFleet",
        f"{_GUIDE}fleet-quotas.html",
        "a fleet has up to 10,000 of capacity",
        _between(1, 10000, "TargetCapacitySpecification.TotalTargetCapacity"),
        TargetCapacitySpecification={"TotalTargetCapacity": 10001},
    ),
    _row(
        "ec2:CreateLaunchTemplate",
        f"{_API}API_CreateLaunchTemplate.html",
        "3 to 128 letters, digits and ().-/_",
        _matching(r"[a-zA-Z0-9().\-/_]{3,128}", "LaunchTemplateName"),
        LaunchTemplateName="a b c",
    ),
    _row(
        "ec2:DeleteFleets",
        f"{_API}API_DeleteFleets.html",
        "25 instant fleets in a call, and always with their instances",
        _whole_instant_fleets,
        FleetIds=["fleet-1"],
        TerminateInstances=False,
    ),
    # Groups and keys.
    _row(
        "ec2:CreateSecurityGroup",
        f"{_API}API_CreateSecurityGroup.html",
        "names have up to 255 characters of some, and do not begin with sg-",
        _matching(rf"(?!sg-){_GROUP_CHARACTERS}{{1,255}}", "GroupName"),
        GroupName="sg-mine",
    ),
    _row(
        "ec2:CreateSecurityGroup",
        f"{_API}API_CreateSecurityGroup.html",
        "descriptions have up to 255 characters of some",
        _matching(rf"{_GROUP_CHARACTERS}{{1,255}}", "Description"),
        Description="it's mine",
    ),
    _row(
        "ec2:AuthorizeSecurityGroupIngress",
        f"{_API}API_IpRange.html",
        "descriptions have up to 255 characters of some",
        _matching(
            rf"{_GROUP_CHARACTERS}{{0,255}}",
            "IpPermissions[].IpRanges[].Description",
            "IpPermissions[].Ipv6Ranges[].Description",
            "IpPermissions[].UserIdGroupPairs[].Description",
        ),
        IpPermissions=[{"IpProtocol": "tcp", "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "me'"}]}],
    ),
    _row(
        "ec2:AuthorizeSecurityGroupIngress",
        f"{_API}API_IpPermission.html",
        "ports are 0 to 65535, in order, and blocks are blocks",
        _rules,
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 21, "IpRanges": [{"CidrIp": "10.0.0.1/8"}]}],
    ),
    _row(
        "ec2:RevokeSecurityGroupIngress",
        f"{_API}API_RevokeSecurityGroupIngress.html",
        "it says which rules",
        _revoked,
        SecurityGroupRuleIds=[],
    ),
    _row(
        "ec2:ImportKeyPair",
        f"{_API}API_CreateKeyPair.html",
        "names have up to 255 ASCII characters",
        _matching(r"[\x20-\x7e]{1,255}", "KeyName"),
        KeyName="schlüssel",
    ),
    _row(
        "ec2:ImportKeyPair",
        f"{_GUIDE}create-key-pairs.html",
        "keys are RSA or ED25519",
        _public_key,
        PublicKeyMaterial=b"ecdsa-sha2-nistp256 AAAA",
    ),
    # Questions.
    _row(
        [f"ec2:{name}" for name in _FILTERED],
        f"{_GUIDE}Using_Filtering.html",
        "up to 50 filters, each with 1 to 200 values",
        _filters,
        Filters=[{"Name": "name", "Values": ["x"] * 201}],
    ),
    *(
        _row(
            f"ec2:{name}",
            f"{_API}API_{name}.html",
            "filters are those that the page lists",
            _filter_names(f"ec2:{name}"),
            Filters=[{"Name": "colour", "Values": ["blue"]}],
        )
        for name in _FILTERED
    ),
    _row(
        "ec2:DescribeInstances",
        f"{_API}API_DescribeInstances.html",
        "MaxResults goes with no instance ids",
        _not_both("MaxResults", "InstanceIds"),
        MaxResults=5,
        InstanceIds=[_ID],
    ),
    _row(
        "ec2:DescribeInstanceTypes",
        f"{_API}API_DescribeInstanceTypes.html",
        "up to 100 types in a call, and MaxResults with none",
        _not_both("MaxResults", "InstanceTypes"),
        MaxResults=5,
        InstanceTypes=["t3.nano"],
    ),
    _row(
        (
            "ec2:DescribeInstances",
            "ec2:DescribeSubnets",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSecurityGroupRules",
        ),
        f"{_API}API_DescribeSecurityGroups.html",
        "MaxResults is 5 to 1000",
        _between(5, 1000, "MaxResults"),
        MaxResults=1001,
    ),
    _row(
        "ec2:DescribeSpotPriceHistory",
        f"{_API}API_DescribeSpotPriceHistory.html",
        "a zone has a name or an id",
        _not_both("AvailabilityZone", "AvailabilityZoneId"),
        AvailabilityZone="us-east-1a",
        AvailabilityZoneId="use1-az1",
    ),
    _row(
        "ec2:TerminateInstances",
        f"{_API}API_TerminateInstances.html",
        "up to 1000 instances in a call",
        _at_most(1000, "InstanceIds"),
        InstanceIds=[_ID] * 1001,
    ),
    _row(
        ("ec2:TerminateInstances", "ec2:DescribeInstances"),
        f"{_API}API_Instance.html",
        "an instance id is i- and 8 or 17 hexadecimal digits",
        _matching(r"i-[0-9a-f]{8}([0-9a-f]{9})?", "InstanceIds[]"),
        InstanceIds=["vm1"],
    ),
    # File systems.
    _row(
        "elasticfilesystem:CreateFileSystem",
        f"{_EFS}API_CreateFileSystem.html",
        "elastic throughput goes with general purpose alone; a throughput is said of the provisioned",
        _efs_modes,
        CreationToken="a",
        PerformanceMode="maxIO",
        ThroughputMode="elastic",
    ),
    _row(
        "elasticfilesystem:CreateFileSystem",
        f"{_EFS}API_Tag.html",
        "keys and values have letters, digits, blanks and _.:/=+-@; no key begins with aws:",
        _matching(r"[\w .:/=+\-@]*", "Tags[].Key", "Tags[].Value"),
        CreationToken="a",
        Tags=[{"Key": "Name", "Value": "a#b"}],
    ),
    _row(
        "elasticfilesystem:CreateFileSystem",
        f"{_EFS}API_CreateFileSystem.html",
        "up to 50 tags, no key twice",
        _tags("Tags"),
        CreationToken="a",
        Tags=[_A, _A],
    ),
    _row(
        "elasticfilesystem:DescribeFileSystems",
        f"{_EFS}API_DescribeFileSystems.html",
        "a file system is asked for by token or by id",
        _one_of("CreationToken", "FileSystemId"),
        CreationToken="a",
        FileSystemId="fs-0123456789abcdef0",
    ),
    _row(
        "elasticfilesystem:DescribeMountTargets",
        f"{_EFS}API_DescribeMountTargets.html",
        "mount targets are asked for by one of three",
        _one_of("FileSystemId", "MountTargetId", "AccessPointId"),
        FileSystemId="fs-0123456789abcdef0",
        MountTargetId="fsmt-0123456789abcdef0",
    ),
    _row(
        "elasticfilesystem:CreateMountTarget",
        f"{_EFS}API_CreateMountTarget.html",
        "up to five groups",
        _at_most(5, "SecurityGroups"),
        SecurityGroups=["sg-1"] * 6,
    ),
    # Everything else.
    _row(
        "iam:CreateRole",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html",
        "a trust policy is JSON with a version, of up to 2,048 characters",
        _document("AssumeRolePolicyDocument"),
        AssumeRolePolicyDocument=json.dumps({"Statement": []}),
    ),
    _row(
        "iam:CreateRole",
        f"{_IAM}API_CreateRole.html",
        "a role's name has up to 64 letters, digits and _+=,.@-",
        _matching(r"[A-Za-z0-9_+=,.@\-]{1,64}", "RoleName"),
        RoleName="a b",
    ),
    _row(
        "iam:CreateInstanceProfile",
        f"{_IAM}API_CreateInstanceProfile.html",
        "a profile's name has up to 128 letters, digits and _+=,.@-",
        _matching(r"[A-Za-z0-9_+=,.@\-]{1,128}", "InstanceProfileName"),
        InstanceProfileName="a/b",
    ),
    _row(
        ("iam:CreateRole", "iam:CreateInstanceProfile"),
        f"{_IAM}API_Tag.html",
        "up to 50 tags, no key twice, none that begins with aws:",
        _tags("Tags"),
        Tags=[{"Key": "aws:a", "Value": "b"}],
    ),
    _row(
        ("iam:AttachRolePolicy",),
        f"{_IAM}API_AttachRolePolicy.html",
        "a policy is named by its ARN",
        _matching(r"arn:aws(-[a-z]+)*:iam::(aws|[0-9]{12}):policy/.{1,512}", "PolicyArn"),
        PolicyArn="AmazonS3FullAccess",
    ),
    _row(
        "s3:*",
        f"{_S3}userguide/bucketnamingrules.html",
        "a bucket has 3 to 63 small letters, digits, dots and hyphens",
        _bucket,
        Bucket="Mine",
    ),
    _row(
        "s3:*",
        f"{_S3}userguide/object-keys.html",
        "a key has up to 1,024 bytes of UTF-8",
        _keys,
        Bucket="mine",
        Key="ä" * 513,
    ),
    _row(
        "s3:DeleteObjects",
        f"{_S3}API/API_DeleteObjects.html",
        "up to 1000 keys in a call",
        _at_most(1000, "Delete.Objects"),
        Bucket="mine",
        Delete={"Objects": [{"Key": "a"}] * 1001},
    ),
    _row(
        "ssm:GetParameter",
        "https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html",
        "a name has letters, digits and _.-/",
        _matching(r"[a-zA-Z0-9_.\-/]{1,2048}", "Name"),
        Name="a b",
    ),
    _row(
        "ssm:GetParameters",
        "https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html",
        "up to ten names in a call, no name twice",
        _at_most(10, "Names"),
        Names=["a"] * 11,
    ),
    _row(
        "sts:AssumeRole",
        "https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html",
        "a session's name has 2 to 64 letters, digits and _+=,.@-",
        _matching(r"[\w+=,.@\-]{2,64}", "RoleSessionName"),
        RoleSessionName="a b",
    ),
    _row(
        "pricing:GetProducts",
        "https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/API_pricing_GetProducts.html",
        "up to 100 products in an answer",
        _between(1, 100, "MaxResults"),
        ServiceCode="AmazonEC2",
        MaxResults=101,
    ),
)
