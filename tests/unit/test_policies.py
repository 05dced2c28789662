"""What a policy of IAM allows, by the rules of "Policy evaluation logic" in the IAM User Guide."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot_connect.core.errors import LocalCloudError
from spot_connect.local.policies import Need, decide, statements

PAGE = Path(__file__).parents[2] / "docs/permissions.md"


def decided(policy, action, resource="*", **context):
    named = {key.replace("__", ":").lower(): value for key, value in context.items()}
    return decide(statements(policy), Need(action, resource, named))


def allowing(effect="Allow", action="ec2:CreateTags", resource="*", **condition):
    return {"Statement": [{"Effect": effect, "Action": action, "Resource": resource, "Condition": condition}]}


def test_a_denial_has_the_last_word_and_silence_is_no_consent():
    both = {"Statement": [*allowing()["Statement"], *allowing("Deny")["Statement"]]}
    assert decided(both, "ec2:CreateTags") == "Deny"
    assert decided(allowing(), "ec2:createtags") == "Allow"
    assert decided(allowing(), "ec2:DeleteTags") == ""


@pytest.mark.parametrize(
    ("action", "allowed"),
    [("ec2:*", True), ("*", True), ("ec2:Create*", True), ("ec2:CreateTag?", True), ("ec2:Create", False)],
)
def test_stars_stand_for_anything_and_nothing_else_does(action, allowed):
    assert (decided(allowing(action=action), "ec2:CreateTags") == "Allow") is allowed


def test_a_resource_is_held_against_its_pattern():
    policy = allowing(resource="arn:aws:ec2:*:*:instance/*")
    assert decided(policy, "ec2:CreateTags", "arn:aws:ec2:us-east-1:123456789012:instance/i-1") == "Allow"
    assert decided(policy, "ec2:CreateTags", "arn:aws:ec2:us-east-1:123456789012:volume/vol-1") == ""


CASES = [
    ({"StringEquals": {"aws:RequestTag/a": "b"}}, {"aws__requesttag/a": ("b",)}, True),
    ({"StringEquals": {"aws:RequestTag/a": "b"}}, {"aws__requesttag/a": ("c",)}, False),
    ({"StringEquals": {"aws:RequestTag/a": "b"}}, {}, False),
    ({"StringEquals": {"aws:RequestTag/a": ["c", "b"]}}, {"aws__requesttag/a": ("b",)}, True),
    ({"StringEqualsIfExists": {"aws:RequestTag/a": "b"}}, {}, True),
    ({"StringNotEquals": {"aws:RequestTag/a": "b"}}, {}, True),
    ({"StringNotEquals": {"aws:RequestTag/a": ["b", "c"]}}, {"aws__requesttag/a": ("c",)}, False),
    ({"StringLike": {"aws:RequestTag/a": "w_*"}}, {"aws__requesttag/a": ("w_1",)}, True),
    ({"StringEquals": {"aws:RequestTag/a": "w_*"}}, {"aws__requesttag/a": ("w_1",)}, False),
    ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}, {"aws__tagkeys": ("a", "b")}, True),
    ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}, {"aws__tagkeys": ("a", "c")}, False),
    ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a"]}}, {}, True),
    ({"ForAnyValue:StringLike": {"aws:TagKeys": ["a*"]}}, {"aws__tagkeys": ("x", "ab")}, True),
    ({"ArnLike": {"ec2:LaunchTemplate": "arn:aws:ec2:*:*:launch-template/*"}}, {}, False),
    ({"Bool": {"aws:SecureTransport": False}}, {"aws__securetransport": ("false",)}, True),
    ({"Null": {"aws:RequestTag/a": "true"}}, {}, True),
    ({"Null": {"aws:RequestTag/a": "true"}}, {"aws__requesttag/a": ("b",)}, False),
]


@pytest.mark.parametrize(("condition", "context", "holds"), CASES)
def test_conditions_hold_as_iam_says(condition, context, holds):
    assert (decided(allowing(**condition), "ec2:CreateTags", **context) == "Allow") is holds


@pytest.mark.parametrize(
    "policy",
    [
        [],
        {},
        {"Statement": []},
        {"Statement": ["x"]},
        allowing(effect="Maybe"),
        {"Statement": {"Effect": "Allow", "NotAction": "ec2:*", "Resource": "*"}},
        allowing(IpAddress={"aws:SourceIp": "10.0.0.0/8"}),
        allowing(StringEquals={"aws:ResourceTag/owner": "${aws:username}"}),
    ],
)
def test_what_would_not_be_heeded_is_refused_when_it_is_read(policy):
    with pytest.raises(LocalCloudError, match="cannot use the policy"):
        statements(policy)


def test_every_policy_of_the_page_can_be_enforced():
    written = re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(written) == 3
    assert all(statements(json.loads(one)) for one in written)


@given(st.text(alphabet="ab*?.[", max_size=8), st.text(alphabet="ab.[", max_size=8))
def test_a_pattern_means_what_it_means_to_a_plain_reading_of_it(pattern, text):
    def plain(pattern, text):
        if not pattern:
            return not text
        if pattern[0] == "*":
            return any(plain(pattern[1:], text[start:]) for start in range(len(text) + 1))
        return bool(text) and pattern[0] in ("?", text[0]) and plain(pattern[1:], text[1:])

    assert (decided(allowing(resource=pattern), "ec2:CreateTags", text) == "Allow") is plain(pattern, text)
