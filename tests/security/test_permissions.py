"""The policy in docs/permissions.md allows what the source calls, and nothing else."""

import ast
import functools
import json
import re
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

from spot_connect.aws.fleets import fleet_request
from spot_connect.core.fleets import FLEET_TAG, common_tags, member_names
from spot_connect.core.members import MEMBERS_TAG
from spot_connect.core.names import FILE_SYSTEM_TAG, MANAGED_TAG, NAME_TAG, SUCCESSOR_TAG
from spot_connect.core.profiles import Profile
from spot_connect.core.requests import LaunchRequest
from spot_connect.crew.replacing import NAME_TAGS
from spot_connect.launching.preparing import _tags

ROOT = Path(__file__).parents[2]
MAKER = "session.py"
IAM_PREFIX = {"efs": "elasticfilesystem", "service-quotas": "servicequotas"}
CLIENT_OF = {"ec2": "ec2", "ec2_once": "ec2"}
NO_CALL_OF_OURS = {
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "elasticfilesystem:TagResource",
    "iam:PassRole",
    "iam:TagInstanceProfile",
    "iam:TagRole",
}
"""Asked by AWS along with another call: tags given at creation, an instance profile at launch, the network
interface of a mount target."""
CALLED_OTHERWISE = {
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
}
"""S3's permissions have names of their own."""


def policies():
    """The policy of everybody, and that of whoever makes instance profiles."""
    text = (ROOT / "docs/permissions.md").read_text(encoding="utf-8")
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]


def policy():
    return policies()[0]


def listed(value):
    return [value] if isinstance(value, str) else value


def allowed():
    statements = [statement for policy in policies() for statement in policy["Statement"]]
    return {action for statement in statements for action in listed(statement["Action"])}


def trees():
    modules = sorted((ROOT / "spot_connect/aws").rglob("*.py"))
    return [ast.parse(path.read_text(encoding="utf-8"), str(path)) for path in modules if path.name != MAKER]


def service_of(node):
    """The service whose client the expression is, or nothing."""
    if isinstance(node, ast.Attribute):
        return CLIENT_OF.get(node.attr, "")
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "client":
        return ast.literal_eval(node.args[0])
    return ""


def calls():
    """Service, Python method and keywords of every call of a client."""
    for tree in trees():
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            service = service_of(node.func.value)
            if service:
                method = node.func.attr
                if method == "get_paginator":
                    method = ast.literal_eval(node.args[0])
                yield service, method, {keyword.arg for keyword in node.keywords}


@functools.cache
def operations(service):
    names = botocore.session.get_session().get_service_model(service).operation_names
    return {xform_name(name): name for name in names}


def action(service, method):
    name = f"{IAM_PREFIX.get(service, service)}:{operations(service)[method]}"
    return CALLED_OTHERWISE.get(name, name)


def test_every_client_is_called_where_it_is_named_so_that_no_call_escapes_this_test():
    for tree in trees():
        functions = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
        called = {id(function.value) for function in functions if isinstance(function, ast.Attribute)}
        loose = [ast.unparse(node) for node in ast.walk(tree) if service_of(node) and id(node) not in called]
        assert not loose


def test_every_operation_that_the_source_calls_is_allowed():
    called = {action(service, method) for service, method, _ in calls()}
    assert len(called) > 10
    assert called - allowed() == set()


def test_nothing_is_allowed_that_the_source_does_not_call():
    assert allowed() - {action(service, method) for service, method, _ in calls()} == NO_CALL_OF_OURS


def test_things_may_be_tagged_in_every_call_that_tags_them():
    (tagging,) = (one for one in policy()["Statement"] if one["Sid"] == "TagWhatIsBeingMade")
    tags = {action(service, method) for service, method, keywords in calls() if "TagSpecifications" in keywords}
    makers = {f"ec2:{name}" for name in tagging["Condition"]["StringEquals"]["ec2:CreateAction"]}
    # These two take their parameters from a mapping.
    assert makers == tags | {"ec2:CreateFleet", "ec2:RunInstances"}


def statements(policy, action):
    return [one for one in policy["Statement"] if action in listed(one["Action"])]


def of_instances():
    """The policy of instances that replace one another."""
    return policies()[1]


def called_there():
    """What the program on such instances asks of EC2, at once or later."""
    tree = ast.parse((ROOT / "spot_connect/crew/replacing.py").read_text(encoding="utf-8"))
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    methods = [one.attr for one in attributes if ast.unparse(one.value) == "ec2"]
    return {action("ec2", method) for method in methods}


def test_instances_may_do_what_their_program_calls_and_nothing_else():
    allowed_there = {action for one in of_instances()["Statement"] for action in listed(one["Action"])}
    # A fleet launches with the rights of whoever asks for it.
    assert allowed_there == called_there() | {"ec2:RunInstances", "iam:PassRole"}
    assert len(called_there()) == 4


CHANGING = ("ec2:CreateFleet", "ec2:RunInstances", "ec2:CreateTags", "ec2:TerminateInstances")


@pytest.mark.parametrize("name", CHANGING)
def test_instances_change_only_what_carries_the_tag_of_their_run(name):
    """Each kind of resource that a call makes or changes, of which one without the tag refuses the whole call."""
    free = {"image", "key-pair", "security-group", "subnet"}
    # CreateFleet tags the fleet alone; its instances are launched by RunInstances.
    free |= (
        {"instance", "network-interface", "spot-instances-request", "volume"} if name == "ec2:CreateFleet" else set()
    )
    for one in statements(of_instances(), name):
        equal = one.get("Condition", {}).get("StringEquals", {})
        tied = any(equal.get(f"aws:{whose}/{FLEET_TAG}") == "YOUR-PREFIX" for whose in ("RequestTag", "ResourceTag"))
        kinds = {arn.rpartition(":")[2].partition("/")[0] for arn in listed(one["Resource"])}
        assert tied or kinds <= free, one["Sid"]
        assert "*" not in kinds


def test_instances_launch_from_a_template_of_their_run_alone():
    for name in ("ec2:CreateFleet", "ec2:RunInstances"):
        [one] = [one for one in statements(of_instances(), name) if "launch-template" in str(one["Resource"])]
        equal = one["Condition"]["StringEquals"]
        assert equal == {f"aws:ResourceTag/{MANAGED_TAG}": "true", f"aws:ResourceTag/{FLEET_TAG}": "YOUR-PREFIX"}
    [one] = [one for one in statements(of_instances(), "ec2:RunInstances") if "instance/*" in str(one["Resource"])]
    assert one["Condition"]["ArnLike"] == {"ec2:LaunchTemplate": "arn:aws:ec2:YOUR-REGION:*:launch-template/*"}


def test_an_instance_can_give_no_name_outside_its_run_and_no_other_tag():
    [one] = [one for one in statements(of_instances(), "ec2:CreateTags") if one["Sid"] == "NameThem"]
    assert set(one["Condition"]["ForAllValues:StringEquals"]["aws:TagKeys"]) == set(NAME_TAGS)
    assert one["Condition"]["StringLike"] == {f"aws:RequestTag/{key}": "YOUR-PREFIX_*" for key in NAME_TAGS}
    assert all(name.startswith("w_") for name in member_names("w", 3))


def test_what_an_instance_launches_has_the_tags_that_its_policy_lets_it_have():
    """All keys that a machine of jobs is launched with, and the one of the run on whatever is made."""
    named = {"security_group": "web", "subnet": "subnet-0123456789abcdef0", "instance_profile": "spot-connect-w"}
    request = LaunchRequest("w", filesystem="data", **named)
    given = _tags(request, Profile("t3.small", instance_type="t3.small"), "ec2-user", "sg-0123456789abcdef0")
    tags = common_tags("w", given)
    [one] = [one for one in statements(of_instances(), "ec2:CreateTags") if one["Sid"] == "TagWhatIsBeingMade"]
    assert set(one["Condition"]["ForAllValues:StringEquals"]["aws:TagKeys"]) == set(tags)
    assert tags[FLEET_TAG] == "w"
    made = fleet_request("lt-1", (), 1, {MANAGED_TAG: "true", FLEET_TAG: "w"})
    [marks] = made["TagSpecifications"]
    assert {"Key": FLEET_TAG, "Value": "w"} in marks["Tags"]
    assert {entry["Key"] for entry in marks["Tags"]} <= set(tags)


def test_an_instance_can_hand_on_its_own_role_alone():
    [one] = statements(of_instances(), "iam:PassRole")
    assert one["Resource"] == "arn:aws:iam::*:role/spot-connect-YOUR-ROLE"


def test_after_a_launch_only_the_keys_that_the_source_gives_can_be_given():
    [one] = [one for one in statements(policy(), "ec2:CreateTags") if one["Sid"] == "NameOwnMachines"]
    given = {"Name", NAME_TAG, FILE_SYSTEM_TAG, FLEET_TAG, SUCCESSOR_TAG, f"{MEMBERS_TAG}-*"}
    assert set(one["Condition"]["ForAllValues:StringLike"]["aws:TagKeys"]) == given


def test_only_file_systems_of_ours_are_made_tagged_and_given_mount_targets():
    ours = {"StringEquals": {f"aws:ResourceTag/{MANAGED_TAG}": "true"}}
    being_made = {"StringEquals": {"elasticfilesystem:CreateAction": "CreateFileSystem"}}
    conditions = {
        "elasticfilesystem:CreateFileSystem": {"StringEquals": {f"aws:RequestTag/{MANAGED_TAG}": "true"}},
        "elasticfilesystem:CreateMountTarget": ours,
        "elasticfilesystem:TagResource": being_made,
    }
    for name, condition in conditions.items():
        [one] = statements(policy(), name)
        assert one["Condition"] == condition
        assert one["Resource"] == "arn:aws:elasticfilesystem:*:*:file-system/*"


@pytest.mark.parametrize("name", ["ec2:TerminateInstances", "ec2:CancelSpotInstanceRequests"])
def test_only_our_own_machines_can_be_ended(name):
    (statement,) = (one for one in policy()["Statement"] if name in listed(one["Action"]))
    assert statement["Condition"] == {"StringEquals": {f"aws:ResourceTag/{MANAGED_TAG}": "true"}}


def test_the_policies_fit_into_managed_ones():
    assert all(len(re.sub(r"\s", "", json.dumps(one))) < 6144 for one in policies())
    assert len(re.sub(r"\s", "", json.dumps(policy()))) > 2048
