"""One local cloud for all the contract tests; each test makes what it needs in it."""

from __future__ import annotations

import uuid

import pytest

from tests.local_cloud import running_local_cloud


@pytest.fixture(scope="session")
def cloud(tmp_path_factory):
    with running_local_cloud(tmp_path_factory.mktemp("cloud") / "home") as cloud:
        yield cloud


@pytest.fixture(scope="session")
def ec2(cloud):
    return cloud.client("ec2")


@pytest.fixture
def name():
    """A name that nothing else in the cloud has."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def group(ec2, name):
    return ec2.create_security_group(GroupName=name, Description="test")["GroupId"]


@pytest.fixture
def refused():
    """``refused(call, **parameters)`` is the code and the message of the refusal."""
    from botocore.exceptions import ClientError

    def refused(call, **parameters):
        with pytest.raises(ClientError) as caught:
            call(**parameters)
        error = caught.value.response["Error"]
        return error["Code"], error["Message"]

    return refused
