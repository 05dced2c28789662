"""A local cloud of which a caller, or the role of instances, may do only what docs/permissions.md allows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from spot_connect import sutils
from spot_connect.core.reporting import Silent
from spot_connect.instance_manager import InstanceManager
from spot_connect.local import service
from tests.boundary.launching.conftest import Heard
from tests.local_cloud import LocalCloud, running_local_cloud

SCRIPT = str(Path(sys.executable).with_name("spot_connect"))
PAGE = Path(__file__).parents[3] / "docs/permissions.md"


def page_policies(**places):
    """The policies of the page, with what a reader writes in them."""
    found = re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    for name, value in places.items():
        found = [text.replace(name.replace("_", "-"), value) for text in found]
    return [json.loads(text) for text in found]


class Account:
    """The account, as its administrator has it."""

    def __init__(self, home):
        self.home = home
        self.cloud = LocalCloud(home, service.ensure_up(home))
        self.bucket = "data-of-ours"
        self.role = "spot-connect-jobs"

    def enforce(self, policy, role=""):
        self.cloud.control("POST", "faults", kind="allow-only", policy=policy, role=role)

    def deny(self, action, role=""):
        self.cloud.control("POST", "faults", kind="deny", action=action, role=role)

    def free(self):
        """No policy is enforced any more."""
        self.cloud.control("DELETE", "faults")

    def prepare(self):
        """What only an administrator makes: a bucket, and a role that instances have."""
        s3, iam = self.cloud.client("s3"), self.cloud.client("iam")
        s3.create_bucket(Bucket=self.bucket)
        s3.put_object(Bucket=self.bucket, Key="in/a.txt", Body=b"from the bucket")
        trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        iam.create_role(RoleName=self.role, AssumeRolePolicyDocument=document)
        iam.create_instance_profile(InstanceProfileName=self.role)
        iam.add_role_to_instance_profile(InstanceProfileName=self.role, RoleName=self.role)

    def types(self, *words, **variables):
        """Run the installed command on this cloud."""
        environment = {"SPOT_CONNECT_HOME": str(self.home), "SPOT_CONNECT_LOCAL": "1", "PATH": "/usr/bin:/bin"}
        return subprocess.run(
            [SCRIPT, *words],
            env={**environment, "HOME": str(self.home), **variables},
            capture_output=True,
            text=True,
            check=False,
        )


class Attentive(Heard):
    """A reporter that remembers, and lets files pass."""

    def transfer(self, name, total):
        return Silent().transfer(name, total)


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    home = tmp_path_factory.mktemp("cloud") / "home"
    with running_local_cloud(home):
        account = Account(home)
        account.prepare()
        yield account


@pytest.fixture
def callers_policy(account):
    """The page's first policy is enforced for the caller."""
    account.enforce(page_policies(YOUR_BUCKET=account.bucket)[0])
    yield
    account.free()


@pytest.fixture(autouse=True)
def _at_home(account, monkeypatch):
    monkeypatch.setenv("SPOT_CONNECT_HOME", str(account.home))
    monkeypatch.setenv("SPOT_CONNECT_LOCAL", "1")
    yield
    account.free()
    sutils.show_instances(local=True)


@pytest.fixture
def name():
    return f"vm-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def heard():
    return Attentive()


@pytest.fixture
def manager(heard):
    return InstanceManager(local=True, reporter=heard)
