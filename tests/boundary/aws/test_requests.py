"""What is sent to a local cloud is written down and held against what AWS demands, whoever sends it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from spot_connect.aws import groups
from spot_connect.aws.session import Cloud, Endpoint
from spot_connect.local import service
from tests.local_cloud import running_local_cloud

SCRIPT = str(Path(sys.executable).with_name("spot_connect"))


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    with running_local_cloud(tmp_path_factory.mktemp("cloud") / "home") as local:
        yield local


@pytest.fixture
def cloud(local):
    there = local.endpoint
    return Cloud("us-east-1", Endpoint(there.url, there.access_key, there.secret_key))


def test_a_request_of_our_code_that_aws_would_refuse_fails_the_test_that_sent_it(cloud, recorded_calls):
    vpc = cloud.ec2.describe_subnets()["Subnets"][0]["VpcId"]
    assert recorded_calls.faults() == []
    groups.create(cloud, "it's mine", vpc, {"a": "b"})
    [said] = recorded_calls.faults()
    assert said.startswith('ec2:CreateSecurityGroup: GroupName is "it\'s mine"')


def test_a_request_of_a_test_may_be_wrong(local, recorded_calls):
    local.client("ec2").create_security_group(GroupName="mine", Description="it's mine")
    assert recorded_calls.faults() == []


def test_the_installed_script_is_heard_too(local, recorded_calls, tmp_path):
    recorded_calls.faults()
    before = recorded_calls.path.read_bytes().count(b"\n")
    done = subprocess.run(
        [SCRIPT, "list", "--local"],
        env={"SPOT_CONNECT_HOME": str(local.home), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = recorded_calls.path.read_text().splitlines()[before:]
    assert any(json.loads(line)["operation"] == "DescribeInstances" for line in lines)


def test_what_is_written_down_is_the_call_as_it_was_made(local, cloud, recorded_calls):
    client = cloud.client("s3")
    client.create_bucket(Bucket="written-down")
    client.put_object(Bucket="written-down", Key="a/b", Body=b"secret" * 1000)
    client.delete_objects(Bucket="written-down", Delete={"Objects": [{"Key": "a/b"}]})
    cloud.client("efs").create_file_system(CreationToken="written", Tags=[{"Key": "Name", "Value": "ä"}])
    calls = [json.loads(line) for line in recorded_calls.path.read_text().splitlines()]
    heard = {one["operation"]: one["parameters"] for one in calls}
    assert heard["PutObject"]["Key"] == "a/b"
    assert "secret" not in recorded_calls.path.read_text()
    assert heard["DeleteObjects"]["Delete"] == {"Objects": [{"Key": "a/b"}]}
    assert heard["CreateFileSystem"] == {"CreationToken": "written", "Tags": [{"Key": "Name", "Value": "ä"}]}
    assert recorded_calls.path.stat().st_mode & 0o777 == 0o600
    # The bodies that were read to write them down were there for whom they were meant.
    assert "Contents" not in client.list_objects_v2(Bucket="written-down")


def test_without_the_variable_nothing_is_written_down(tmp_path, monkeypatch, recorded_calls):
    recorded_calls.faults()
    size = recorded_calls.path.stat().st_size
    monkeypatch.delenv("SPOT_CONNECT_LOCAL_CALLS")
    with running_local_cloud(tmp_path / "home") as local:
        local.client("ec2").describe_regions()
        assert service.status(local.home)
    assert recorded_calls.path.stat().st_size == size
