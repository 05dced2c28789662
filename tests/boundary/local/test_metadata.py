"""The metadata service of an instance, as AWS documents version 2."""

from __future__ import annotations

import http.client
import json

import boto3
import pytest


class Metadata:
    """A program on the instance that asks about it."""

    def __init__(self, cloud, instance_id="", secret=""):
        self._host = cloud.endpoint.url.removeprefix("http://")
        address = "" if secret else cloud.control("GET", f"instances/{instance_id}/metadata")["address"]
        self._root = f"/_imds/{secret or address.split('/')[-2]}/latest/"
        self.token = ""

    def ask(self, path, method="GET", **headers):
        connection = http.client.HTTPConnection(self._host, timeout=30)
        connection.request(method, self._root + path, headers=headers)
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        return reply.status, text

    def begin(self, seconds="60"):
        status, self.token = self.ask("api/token", "PUT", **{"X-aws-ec2-metadata-token-ttl-seconds": seconds})
        return status

    def get(self, path, token=None):
        return self.ask(path, **{"X-aws-ec2-metadata-token": self.token if token is None else token})


REQUIRED = {"HttpTokens": "required", "InstanceMetadataTags": "enabled"}


@pytest.fixture(scope="module")
def launched(cloud):
    tags = [{"Key": "Name", "Value": "vm one"}]
    return cloud.spot(
        MetadataOptions=REQUIRED,
        UserData="#!/bin/sh\ntrue\n",
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )


@pytest.fixture
def metadata(cloud, launched):
    metadata = Metadata(cloud, launched["InstanceId"])
    assert metadata.begin() == 200
    return metadata


def test_what_it_tells(metadata, launched, cloud):
    instance = cloud.instance(launched["InstanceId"])
    facts = {
        "instance-id": instance["InstanceId"],
        "instance-type": "t3.micro",
        "ami-id": instance["ImageId"],
        "instance-life-cycle": "spot",
        "placement/region": "us-east-1",
        "placement/availability-zone": instance["Placement"]["AvailabilityZone"],
        "local-ipv4": instance["PrivateIpAddress"],
        "public-ipv4": instance["PublicIpAddress"],
        "local-hostname": instance["PrivateDnsName"],
        "hostname": instance["PrivateDnsName"],
        "security-groups": "default",
        "tags/instance/Name": "vm one",
    }
    assert {path: metadata.get(f"meta-data/{path}") for path in facts} == {
        path: (200, value) for path, value in facts.items()
    }


def test_directories_are_listed(metadata):
    assert {"instance-id", "placement/", "tags/"} <= set(metadata.get("meta-data/")[1].split("\n"))
    assert "Name" in metadata.get("meta-data/tags/instance")[1].split("\n")


def test_user_data_is_as_it_was_given(metadata):
    assert metadata.get("user-data") == (200, "#!/bin/sh\ntrue\n")


def test_the_identity_document(metadata, launched):
    document = json.loads(metadata.get("dynamic/instance-identity/document")[1])
    assert document["instanceId"] == launched["InstanceId"]
    assert document["region"] == "us-east-1"


@pytest.mark.parametrize(
    "path", ["spot/instance-action", "spot/termination-time", "events/recommendations/rebalance", "no/such/thing"]
)
def test_without_a_notice_there_is_nothing(metadata, path):
    assert metadata.get(f"meta-data/{path}")[0] == 404


def test_without_a_token_of_its_own_nobody_learns_anything(metadata, cloud):
    assert metadata.ask("meta-data/instance-id")[0] == 401
    assert metadata.get("meta-data/instance-id", "made up")[0] == 401
    other = Metadata(cloud, cloud.run()["InstanceId"])
    other.begin()
    assert metadata.get("meta-data/instance-id", other.token)[0] == 401


def test_a_token_ends(metadata, cloud):
    cloud.control("POST", "clock", forward=61)
    assert metadata.get("meta-data/instance-id")[0] == 401


@pytest.mark.parametrize("seconds", ["0", "21601", "-1", "x", ""])
def test_a_token_lives_from_a_second_to_six_hours(metadata, seconds):
    assert metadata.begin(seconds) == 400


def test_a_token_is_not_given_through_a_proxy(metadata):
    headers = {"X-aws-ec2-metadata-token-ttl-seconds": "60", "X-Forwarded-For": "192.0.2.1"}
    assert metadata.ask("api/token", "PUT", **headers)[0] == 403


def test_version_1_answers_where_it_is_allowed(cloud):
    launched = cloud.run(MetadataOptions={"HttpTokens": "optional"})
    assert Metadata(cloud, launched["InstanceId"]).ask("meta-data/instance-id") == (200, launched["InstanceId"])


def test_an_instance_that_is_not_there_has_none(cloud):
    assert Metadata(cloud, secret="i-0123456789abcdef0").begin() == 404
    ended = cloud.run()["InstanceId"]
    cloud.end(ended)
    assert Metadata(cloud, ended).begin() == 404


def test_keys_of_the_role_open_the_cloud_as_that_role(cloud, name):
    iam = cloud.client("iam")
    trust = {
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]
    }
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", **trust}))
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    metadata = Metadata(cloud, cloud.run(IamInstanceProfile={"Name": name})["InstanceId"])
    metadata.begin()
    assert metadata.get("meta-data/iam/security-credentials/") == (200, name)
    keys = json.loads(metadata.get(f"meta-data/iam/security-credentials/{name}")[1])
    assert keys["Code"] == "Success"
    sts = boto3.client(
        "sts",
        region_name="us-east-1",
        endpoint_url=cloud.endpoint.url,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["Token"],
    )
    assert f"assumed-role/{name}/" in sts.get_caller_identity()["Arn"]


def test_without_a_profile_there_are_no_keys(metadata):
    assert metadata.get("meta-data/iam/security-credentials/")[0] == 404
