"""Launching against a real local cloud, with trouble put into chosen AWS calls."""

from __future__ import annotations

import json
import uuid
from collections import Counter

import pytest
from botocore.awsrequest import AWSResponse

from spot_connect.core.requests import LaunchRequest
from spot_connect.launching.realm import Realm
from tests.local_cloud import running_local_cloud

ERROR = (
    "<Response><Errors><Error><Code>{}</Code><Message>injected</Message></Error></Errors>"
    "<RequestID>x</RequestID></Response>"
)


class Heard:
    """A reporter that remembers."""

    def __init__(self):
        self.notes = []
        self.warnings = []
        self.steps = []

    def note(self, text):
        self.notes.append(text)

    def warn(self, text):
        self.warnings.append(text)

    def step(self, text):
        from contextlib import nullcontext

        self.steps.append(text)
        return nullcontext()

    def transfer(self, name, total):
        raise AssertionError("nothing is transferred here")


class Wire:
    """What goes over the wire to AWS: counted, and answered with an error where one is planned."""

    def __init__(self, realm):
        self.calls = Counter()
        self.requests = []
        self._planned = {}
        self._realm = realm
        self._tapped = set()

    def tap(self, region="us-east-1"):
        cloud = self._realm.cloud(region)
        for client in (cloud.ec2, cloud.ec2_once, cloud.client("ssm")):
            if id(client) not in self._tapped:
                self._tapped.add(id(client))
                client.meta.events.register("before-send", self._send)
        return self

    def refuse(self, action, *codes):
        """Answer the next calls of ``action`` with these error codes, in turn."""
        self._planned.setdefault(action, []).extend(codes)

    def _send(self, request, event_name, **_):
        action = event_name.rpartition(".")[2]
        self.calls[action] += 1
        self.requests.append((action, request))
        if not self._planned.get(action):
            return None
        code = self._planned[action].pop(0)
        status = 500 if code in ("InsufficientInstanceCapacity", "InternalError") else 400
        text = ERROR.format(code) if ".ec2." in event_name else json.dumps({"__type": code, "message": "injected"})
        return AWSResponse(request.url, status, {}, _Raw(text.encode()))

    def bodies(self, action):
        return [request.body for name, request in self.requests if name == action]


class _Raw:
    def __init__(self, body):
        self._body = body

    def stream(self, **_):
        yield self._body


@pytest.fixture(scope="session")
def cloud_home(tmp_path_factory):
    home = tmp_path_factory.mktemp("cloud") / "home"
    with running_local_cloud(home):
        yield home


@pytest.fixture
def realm(cloud_home, monkeypatch):
    monkeypatch.setenv("SPOT_CONNECT_HOME", str(cloud_home))
    return Realm(local=True)


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def wire(realm):
    return Wire(realm).tap()


@pytest.fixture
def keys(realm, heard):
    return realm.keys("", heard)


@pytest.fixture
def request_for(realm):
    """A request for a machine of its own name."""

    def make(profile="t2.micro", **changes):
        name = changes.pop("name", f"vm-{uuid.uuid4().hex[:8]}")
        return LaunchRequest(name, profile=realm.profiles.get(profile) if profile else None, **changes)

    return make
