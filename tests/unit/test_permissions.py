"""The policy in docs/permissions.md allows what the source calls, and nothing else."""

import ast
import functools
import json
import re
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

ROOT = Path(__file__).parents[2]
MAKER = "session.py"
IAM_PREFIX = {"efs": "elasticfilesystem"}
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


@pytest.mark.parametrize("name", ["ec2:TerminateInstances", "ec2:CancelSpotInstanceRequests"])
def test_only_our_own_machines_can_be_ended(name):
    from spot_connect.core.names import MANAGED_TAG

    (statement,) = (one for one in policy()["Statement"] if name in listed(one["Action"]))
    assert statement["Condition"] == {"StringEquals": {f"aws:ResourceTag/{MANAGED_TAG}": "true"}}


def test_the_policy_fits_into_a_managed_one():
    assert 2048 < len(re.sub(r"\s", "", json.dumps(policy()))) < 6144
