"""Instance profiles against the local cloud: made, listed, checked before a launch, waited for."""

from __future__ import annotations

import json
import uuid

import pytest
from botocore.awsrequest import AWSResponse

from spot_connect import sutils
from spot_connect.core.errors import AwsError, AwsObjectMissing, UsageError
from spot_connect.launching import ending
from spot_connect.launching.fleets import cancel_fleet, launch_fleet
from spot_connect.launching.launch import launch
from spot_connect.launching.realm import Realm
from spot_connect.launching.realm import _shared as cloud_of_another_process
from tests.boundary.launching.conftest import Wire

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
DENIED = """<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>injected</Message></Error>
<RequestId>x</RequestId></ErrorResponse>"""


class _Raw:
    def __init__(self, body):
        self._body = body

    def stream(self, **_):
        yield self._body


@pytest.fixture
def cloud(realm):
    return realm.cloud("us-east-1")


@pytest.fixture
def iam(cloud):
    return cloud.client("iam")


@pytest.fixture
def name():
    return f"profile-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def role(iam, name):
    iam.create_role(RoleName=f"role-of-{name}", AssumeRolePolicyDocument=json.dumps(TRUST))
    return f"role-of-{name}"


@pytest.fixture
def denied(iam):
    """Refuse these IAM calls from now on."""

    registered = []

    def send(request, **_):
        return AWSResponse(request.url, 403, {}, _Raw(DENIED.encode()))

    def denied(*actions):
        for action in actions:
            iam.meta.events.register_first(f"before-send.iam.{action}", send)
            registered.append(f"before-send.iam.{action}")

    yield denied
    for event in registered:
        iam.meta.events.unregister(event, send)


def roles(iam, name):
    found = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Roles"]
    return [one["RoleName"] for one in found]


@pytest.mark.parametrize("form", ["{}", "arn:aws:iam::123456789012:role/{}"])
def test_a_role_is_put_into_a_new_profile(iam, name, role, form):
    made = sutils.create_instance_profile(name, form.format(role), local=True)
    assert (made.name, made.roles) == (name, (role,))
    assert made.arn.endswith(f":instance-profile/{name}")
    assert roles(iam, name) == [role]


def test_making_it_again_changes_nothing(iam, name, role):
    first = sutils.create_instance_profile(name, role, local=True)
    assert sutils.create_instance_profile(name, role, local=True) == first


def test_a_profile_without_its_role_is_completed(iam, name, role):
    iam.create_instance_profile(InstanceProfileName=name)
    assert sutils.create_instance_profile(name, role, local=True).roles == (role,)


@pytest.mark.parametrize("policy", ["AmazonS3ReadOnlyAccess", "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"])
def test_a_policy_gets_a_role_of_its_own(iam, name, policy):
    for _ in range(2):
        made = sutils.create_instance_profile(name, policy, local=True)
    role = f"spot-connect-{name}"
    assert made.roles == (role,)
    attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    assert [one["PolicyName"] for one in attached] == ["AmazonS3ReadOnlyAccess"]
    assert iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"] == TRUST


def test_a_profile_with_another_role_is_left_alone(iam, name, role):
    sutils.create_instance_profile(name, "AmazonS3ReadOnlyAccess", local=True)
    with pytest.raises(AwsError, match=f"it has the role spot-connect-{name}"):
        sutils.create_instance_profile(name, role, local=True)
    assert roles(iam, name) == [f"spot-connect-{name}"]


def test_a_role_of_somebody_else_gets_no_policy(iam, name):
    iam.create_role(RoleName=f"spot-connect-{name}", AssumeRolePolicyDocument=json.dumps(TRUST))
    with pytest.raises(AwsError, match="not made by spot-connect"):
        sutils.create_instance_profile(name, "AmazonS3ReadOnlyAccess", local=True)
    assert not iam.list_attached_role_policies(RoleName=f"spot-connect-{name}")["AttachedPolicies"]


def test_a_misspelt_policy_is_answered_with_the_nearest(realm, name):
    with pytest.raises(AwsObjectMissing, match="AmazonS3ReadOnlyAccess"):
        sutils.create_instance_profile(name, "AmazonS3ReadonlyAcces", local=True)
    assert name not in {one.name for one in sutils.list_instance_profiles(local=True)}


@pytest.mark.parametrize("odd", ["", "a b", "a/b", "x" * 129])
def test_a_name_that_iam_refuses_is_refused_here(realm, odd):
    with pytest.raises(UsageError):
        sutils.create_instance_profile(odd, "some-role", local=True)


def test_all_profiles_are_listed_with_their_roles(name, role):
    made = sutils.create_instance_profile(name, role, local=True)
    assert made in sutils.list_instance_profiles(local=True)


@pytest.mark.parametrize("by", ["name", "arn"])
def test_it_is_attached_to_the_instance(realm, name, role, keys, heard, request_for, by):
    profile = sutils.create_instance_profile(name, role, local=True)
    made = launch(realm, request_for(instance_profile=getattr(profile, by)), keys, heard)
    told = realm.cloud("us-east-1").ec2.describe_instances(InstanceIds=[made.id])
    assert told["Reservations"][0]["Instances"][0]["IamInstanceProfile"]["Arn"] == profile.arn
    ending.terminate(realm, [made])


def test_it_is_attached_to_a_fleet(realm, name, role, keys, heard, request_for):
    profile = sutils.create_instance_profile(name, role, local=True)
    fleet = launch_fleet(realm, request_for("t3.micro", instance_profile=name), keys, heard, count=1)
    told = realm.cloud("us-east-1").ec2.describe_instances(InstanceIds=list(fleet.ids))
    assert told["Reservations"][0]["Instances"][0]["IamInstanceProfile"]["Arn"] == profile.arn
    cancel_fleet(realm, fleet, heard)


def test_a_profile_that_does_not_exist_is_an_error_before_anything_is_made(
    realm, wire, name, role, keys, heard, request_for
):
    sutils.create_instance_profile(name, role, local=True)
    with pytest.raises(AwsObjectMissing, match=f"Did you mean.*{name}"):
        launch(realm, request_for(instance_profile=f"{name}x"), keys, heard)
    assert not wire.calls["RunInstances"]
    assert not wire.calls["ImportKeyPair"]
    assert not wire.calls["CreateSecurityGroup"]


def test_whoever_may_not_ask_iam_can_launch_all_the_same(realm, name, role, keys, heard, request_for, denied):
    sutils.create_instance_profile(name, role, local=True)
    denied("GetInstanceProfile")
    made = launch(realm, request_for(instance_profile=name), keys, heard)
    ending.terminate(realm, [made])


@pytest.mark.punctual
def test_a_launch_is_tried_again_for_a_new_profile(realm, wire, name, role, keys, heard, request_for):
    sutils.create_instance_profile(name, role, local=True)
    wire.refuse("RunInstances", "InvalidParameterValue", "InvalidParameterValue")
    made = launch(realm, request_for(instance_profile=name), keys, heard)
    assert wire.calls["RunInstances"] == 3
    ending.terminate(realm, [made])


@pytest.mark.punctual
def test_a_profile_that_somebody_else_has_just_made_is_waited_for_too(iam, name, keys, heard, request_for):
    iam.create_instance_profile(InstanceProfileName=name)
    cloud_of_another_process.cache_clear()
    other = Realm(local=True)
    wire = Wire(other).tap()
    wire.refuse("RunInstances", "InvalidParameterValue")
    made = launch(other, request_for(instance_profile=name), keys, heard)
    assert wire.calls["RunInstances"] == 2
    ending.terminate(other, [made])


@pytest.mark.parametrize("profile", [True, False])
def test_other_refusals_of_a_launch_are_passed_on_at_once(realm, wire, name, role, keys, heard, request_for, profile):
    sutils.create_instance_profile(name, role, local=True)
    code = "InvalidAMIID.NotFound" if profile else "InvalidParameterValue"
    wire.refuse("RunInstances", code)
    with pytest.raises(AwsError):
        launch(realm, request_for(instance_profile=name if profile else ""), keys, heard)
    assert wire.calls["RunInstances"] == 1
