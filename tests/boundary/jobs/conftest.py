"""Distributed jobs on a real local cloud: machines, file system, dask and all."""

from __future__ import annotations

import uuid

import pytest

from spot_connect.core.errors import SpotConnectError
from spot_connect.core.reporting import Silent
from spot_connect.instance_manager import InstanceManager
from spot_connect.local import service
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


class Attentive(Heard):
    """A reporter that remembers, and lets files pass."""

    def transfer(self, name, total):
        return Silent().transfer(name, total)


@pytest.fixture
def heard():
    return Attentive()


@pytest.fixture
def manager(heard):
    return InstanceManager(local=True, reporter=heard)


@pytest.fixture
def start(manager):
    """``start(scripts, n_instances, **settings)`` is a run with a file system; its machines are ended afterwards."""

    def begin(scripts, n_instances=2, *, n_jobs=None, filesystem="jobs-fs", **settings):
        name = f"crew-{uuid.uuid4().hex[:8]}"
        count = n_jobs or (1 if isinstance(scripts, str) else len(scripts))
        given = {"linger": 60, "lease": 15, **settings}
        return manager.run_distributed_jobs(
            name, count, scripts, "t2.micro", filesystem, n_instances=n_instances, **given
        )

    yield begin
    for fleet in list(manager.fleets):
        manager.cancel_fleet(fleet)


def states(record):
    return [job.state for job in record.jobs]


def interrupt(manager, instance_id, seconds):
    service.call(None, "POST", f"instances/{instance_id}/interrupt", {"in": seconds})


def is_alive(line):
    try:
        line.run("true", cmd=True)
    except SpotConnectError:
        return False
    return True
