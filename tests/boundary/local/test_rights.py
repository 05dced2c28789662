"""Policies that the local cloud enforces, once they are ordered, for a caller or for a role."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from spot_connect.core.errors import LocalCloudError
from tests.local_cloud import running_local_cloud

SCRIPT = str(Path(sys.executable).with_name("spot_connect"))
TAG = {"Key": "spot-connect:managed", "Value": "true"}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with running_local_cloud(tmp_path_factory.mktemp("cloud") / "home") as cloud:
        yield cloud


@pytest.fixture(autouse=True)
def _no_policies(cloud):
    yield
    cloud.control("DELETE", "faults")


def refusal(call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    response = caught.value.response
    return response["Error"]["Code"], response["Error"]["Message"], response["ResponseMetadata"]["HTTPStatusCode"]


def deny(cloud, action, role=""):
    cloud.control("POST", "faults", kind="deny", action=action, role=role)


def allow_only(cloud, *statements, role=""):
    listed = [{"Effect": "Allow", "Resource": "*", **one} for one in statements]
    cloud.control("POST", "faults", kind="allow-only", policy={"Statement": listed}, role=role)


def test_ec2_says_that_the_operation_is_not_authorized_who_asked_for_what_and_why(cloud):
    instance = cloud.run()["InstanceId"]
    deny(cloud, "ec2:CreateTags")
    code, said, status = refusal(cloud.client("ec2").create_tags, Resources=[instance], Tags=[TAG])
    assert (code, status) == ("UnauthorizedOperation", 403)
    assert said.startswith("You are not authorized to perform this operation. User: arn:aws:")
    where = f"arn:aws:ec2:us-east-1:123456789012:instance/{instance}"
    assert f"is not authorized to perform: ec2:CreateTags on resource: {where} with an explicit deny" in said
    assert len(said.partition("Encoded authorization failure message: ")[2]) > 500


@pytest.mark.parametrize(
    ("service", "method", "parameters", "action", "code"),
    [
        ("elasticfilesystem", "describe_file_systems", {}, "DescribeFileSystems", "AccessDeniedException"),
        ("ssm", "get_parameter", {"Name": "/aws/service/x"}, "GetParameter", "AccessDeniedException"),
        ("pricing", "get_products", {"ServiceCode": "AmazonEC2"}, "GetProducts", "AccessDeniedException"),
        ("iam", "list_policies", {}, "ListPolicies", "AccessDenied"),
        ("s3", "list_objects_v2", {"Bucket": "mine"}, "ListBucket", "AccessDenied"),
        ("s3", "head_bucket", {"Bucket": "mine"}, "ListBucket", "403"),
    ],
)
def test_every_service_refuses_in_its_own_words(cloud, service, method, parameters, action, code):
    deny(cloud, f"{service}:{action}")
    client = cloud.client({"elasticfilesystem": "efs"}.get(service, service))
    said = refusal(getattr(client, method), **parameters)
    assert said[0] == code
    assert code == "403" or f"is not authorized to perform: {service}:{action}" in said[1]


def test_where_only_some_is_allowed_the_rest_is_not_and_who_one_is_may_be_asked(cloud):
    allow_only(cloud, {"Action": "ec2:DescribeInstances"})
    cloud.client("ec2").describe_instances()
    cloud.client("sts").get_caller_identity()
    code, said, _ = refusal(cloud.client("ec2").describe_subnets)
    assert code == "UnauthorizedOperation"
    assert "because no identity-based policy allows the ec2:DescribeSubnets action" in said


def test_a_launch_needs_every_resource_that_it_is_made_of(cloud):
    kinds = ("instance", "image", "network-interface", "volume", "subnet", "security-group")
    image = cloud.image()
    for missing in kinds:
        arns = ["arn:aws:ec2:*::image/*" if kind == "image" else f"arn:aws:ec2:*:*:{kind}/*" for kind in kinds]
        allow_only(
            cloud, {"Action": "ec2:RunInstances", "Resource": [one for one in arns if f":{missing}/" not in one]}
        )
        subnet = "subnet-0123456789abcdef0"
        nic = {"DeviceIndex": 0, "SubnetId": subnet, "Groups": ["sg-0123456789abcdef0"]}
        request = {
            "ImageId": image,
            "InstanceType": "t3.micro",
            "MinCount": 1,
            "MaxCount": 1,
            "NetworkInterfaces": [nic],
        }
        _, said, _ = refusal(cloud.client("ec2").run_instances, **request)
        assert f":{missing}/" in said.partition("on resource: ")[2].partition(" because")[0]
        cloud.control("DELETE", "faults")


def test_a_launch_can_be_limited_to_a_type_and_to_the_spot_market(cloud):
    ec2 = cloud.client("ec2")
    limited = {"StringEquals": {"ec2:InstanceType": ["t3.small"], "ec2:InstanceMarketType": "spot"}}
    others = ["arn:aws:ec2:*::image/*", *(f"arn:aws:ec2:*:*:{kind}/*" for kind in ("network-interface", "volume"))]
    others += [f"arn:aws:ec2:*:*:{kind}/*" for kind in ("subnet", "security-group", "launch-template")]
    template = ec2.create_launch_template(LaunchTemplateName="limited", LaunchTemplateData={"ImageId": cloud.image()})
    allow_only(
        cloud,
        {"Action": "ec2:RunInstances", "Resource": "arn:aws:ec2:*:*:instance/*", "Condition": limited},
        {"Action": "ec2:RunInstances", "Resource": others},
        {"Action": ["ec2:CreateFleet", "ec2:Describe*", "ec2:TerminateInstances", "ssm:*"]},
    )
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    market = {"InstanceMarketOptions": {"MarketType": "spot"}, "SubnetId": subnet}
    cloud.end(cloud.run(InstanceType="t3.small", **market)["InstanceId"])
    request = {"ImageId": cloud.image(), "MinCount": 1, "MaxCount": 1, "SubnetId": subnet}
    for kind, more in (("t3.small", {}), ("t3.micro", {"InstanceMarketOptions": {"MarketType": "spot"}})):
        assert refusal(ec2.run_instances, InstanceType=kind, **request, **more)[0] == "UnauthorizedOperation"
    launched = {
        (kind, market): _fleet(ec2, template["LaunchTemplate"]["LaunchTemplateId"], subnet, kind, market)
        for kind in ("t3.small", "t3.micro")
        for market in ("spot", "on-demand")
    }
    assert [pool for pool, (ids, _) in launched.items() if ids] == [("t3.small", "spot")]
    refused = [codes for ids, codes in launched.values() if not ids]
    assert refused == [["UnauthorizedOperation"]] * 3
    cloud.end(*launched["t3.small", "spot"][0])


def _fleet(ec2, template, subnet, kind, market):
    """The instances that a fleet of one gives, and the codes of what it was refused; its answer itself is a success."""
    told = {"LaunchTemplateSpecification": {"LaunchTemplateId": template, "Version": "$Latest"}}
    answer = ec2.create_fleet(
        Type="instant",
        LaunchTemplateConfigs=[{**told, "Overrides": [{"InstanceType": kind, "SubnetId": subnet}]}],
        TargetCapacitySpecification={"TotalTargetCapacity": 1, "DefaultTargetCapacityType": market},
    )
    ids = [one for each in answer["Instances"] for one in each["InstanceIds"]]
    return ids, [one["ErrorCode"] for one in answer["Errors"]]


def test_tags_at_a_launch_are_a_right_of_their_own_and_other_tags_another(cloud):
    condition = {"StringEquals": {"ec2:CreateAction": "RunInstances"}}
    allow_only(
        cloud,
        {"Action": ["ec2:RunInstances", "ssm:*", "ec2:Describe*"]},
        {"Action": "ec2:CreateTags", "Condition": condition},
    )
    made = cloud.run(TagSpecifications=[{"ResourceType": "instance", "Tags": [TAG]}])["InstanceId"]
    assert refusal(cloud.client("ec2").create_tags, Resources=[made], Tags=[TAG])[0] == "UnauthorizedOperation"


def test_only_what_carries_a_tag_can_be_ended(cloud):
    ours = cloud.run(TagSpecifications=[{"ResourceType": "instance", "Tags": [TAG]}])["InstanceId"]
    theirs = cloud.run()["InstanceId"]
    tied = {"StringEquals": {"aws:ResourceTag/spot-connect:managed": "true"}}
    allow_only(cloud, {"Action": "ec2:DescribeInstances"}, {"Action": "ec2:TerminateInstances", "Condition": tied})
    assert refusal(cloud.client("ec2").terminate_instances, InstanceIds=[ours, theirs])[0] == "UnauthorizedOperation"
    cloud.end(ours)
    assert cloud.instance(theirs)["State"]["Name"] != "terminated"


def test_a_role_is_limited_apart_from_everybody_else(cloud):
    iam, sts = cloud.client("iam"), cloud.client("sts")
    role = iam.create_role(RoleName="limited", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    keys = sts.assume_role(RoleArn=role, RoleSessionName="it")["Credentials"]
    as_role = cloud.client(
        "ec2",
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )
    deny(cloud, "ec2:DescribeInstances", role="limited")
    code, said, _ = refusal(as_role.describe_instances)
    assert code == "UnauthorizedOperation"
    assert "assumed-role/limited/it" in said
    cloud.client("ec2").describe_instances()
    cloud.control("DELETE", "faults")
    deny(cloud, "ec2:DescribeInstances")
    as_role.describe_instances()


@pytest.mark.parametrize("action", ["CreateTags", "ec2", "ec2 CreateTags", ":x", ""])
def test_what_is_no_action_of_a_policy_is_refused(cloud, action):
    with pytest.raises(LocalCloudError, match="looks like ec2:CreateTags"):
        deny(cloud, action)


def typed(cloud, *words):
    environment = {"SPOT_CONNECT_HOME": str(cloud.home), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [SCRIPT, "local", "fault", *words], capture_output=True, text=True, env=environment, check=False
    )


def test_it_is_ordered_and_taken_back_at_the_command_line(cloud, tmp_path):
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"Statement": {"Effect": "Allow", "Action": "ec2:DescribeRegions", "Resource": "*"}}))
    assert "ec2:CreateTags is denied for you" in typed(cloud, "deny", "ec2:CreateTags").stderr
    assert "for the role r" in typed(cloud, "deny", "ec2:*", "--role", "r").stderr
    assert typed(cloud, "allow-only", str(policy)).returncode == 0
    assert refusal(cloud.client("ec2").describe_subnets)[0] == "UnauthorizedOperation"
    assert [one["kind"] for one in json.loads(typed(cloud, "list", "--json").stdout)] == ["deny", "deny", "allow-only"]
    assert typed(cloud, "clear").returncode == 0
    cloud.client("ec2").describe_subnets()


@pytest.mark.parametrize("text", ["{", "[]", "{}", None])
def test_a_file_that_is_no_policy_is_refused_in_one_line(cloud, tmp_path, text):
    path = tmp_path / "policy.json"
    if text is not None:
        path.write_text(text)
    done = typed(cloud, "allow-only", str(path))
    assert done.returncode in (1, 2)
    assert len(done.stderr.strip().splitlines()) <= 2
    assert "Traceback" not in done.stderr
