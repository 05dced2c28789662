"""The doctor at a real local cloud."""

from __future__ import annotations

import pytest

from spot_connect.core.reporting import Silent
from spot_connect.doctor.examination import examined
from spot_connect.launching.realm import Realm
from tests.local_cloud import running_local_cloud


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("cloud") / "home"


@pytest.fixture(scope="module")
def cloud(home):
    with running_local_cloud(home) as cloud:
        yield cloud


@pytest.fixture
def realm(cloud, home, monkeypatch):
    monkeypatch.setenv("SPOT_CONNECT_HOME", str(home))
    return Realm(local=True)


@pytest.fixture
def look(realm):
    """``look(profile, region, key_directory)`` is what is found, by check."""

    def look(profile="", region="", key_directory=""):
        report = examined(realm, profile, region, key_directory, Silent())
        return {finding.check: finding for finding in report.findings}

    return look


@pytest.fixture
def fault(cloud):
    """``fault(action, code)`` has EC2 refuse an action from now on."""

    def fault(action, code, status=403):
        return cloud.control("POST", "faults", kind="error", action=action, code=code, status=status)

    yield fault
    cloud.control("DELETE", "faults")
