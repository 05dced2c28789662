"""A machine of the local cloud with a file system, and what tests do with runs on it."""

from __future__ import annotations

import uuid

import pytest

from spot_connect.core.waiting import Seen, wait_for
from spot_connect.local import service
from spot_connect.spotted import SpotInstance
from tests.boundary.launching.conftest import Heard
from tests.local_cloud import running_local_cloud

PATIENCE = 60


@pytest.fixture(scope="session")
def cloud_home(tmp_path_factory):
    home = tmp_path_factory.mktemp("cloud") / "home"
    with running_local_cloud(home):
        yield home


@pytest.fixture(autouse=True)
def at_home(cloud_home, monkeypatch):
    monkeypatch.setenv("SPOT_CONNECT_HOME", str(cloud_home))


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def launched(heard):
    """``launched(name, **settings)`` is a machine that is ended after the test."""
    machines = []

    def launch(name="", **settings):
        machine = SpotInstance(
            name or f"vm-{uuid.uuid4().hex[:8]}", profile="t2.micro", local=True, reporter=heard, **settings
        )
        machines.append(machine)
        return machine

    yield launch
    for machine in machines:
        machine.terminate()


@pytest.fixture(scope="module")
def shared(cloud_home):
    """One machine for the tests of a module that leave it as it was."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPOT_CONNECT_HOME", str(cloud_home))
        machine = SpotInstance(f"vm-{uuid.uuid4().hex[:8]}", profile="t2.micro", local=True, reporter=Heard())
        yield machine
        machine.terminate()


@pytest.fixture
def vm(launched):
    return launched()


def interrupt(machine, seconds):
    service.call(None, "POST", f"instances/{machine.id}/interrupt", {"in": seconds})


def told(machine, text):
    """What the commands print on the machine."""
    return machine.run(text, cmd=True, return_output=True)


def until(what, look):
    """Wait until ``look()`` is true; what it returned."""

    def seen():
        found = look()
        return Seen(found or None, str(found))

    return wait_for(what, seen, seconds=PATIENCE, every=0.1)
