"""The client dies, with kill -9, at every moment between the notice and the run going on; the next one finishes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spot_connect.aws import instances
from spot_connect.launching.realm import Realm
from spot_connect.spotted import SpotInstance
from tests.boundary.runs.conftest import interrupt, until
from tests.boundary.runs.test_recovery import COUNT, numbers

SCRIPT = str(Path(sys.executable).with_name("spot_connect"))
MOMENTS = ["is told that it ends", "LOCAL launching", "LOCAL launched", "to hand", "goes on as attempt"]


@pytest.fixture
def client(cloud_home):
    """``client(*words)`` is the installed script, running."""
    started = []
    environment = {**os.environ, "SPOT_CONNECT_HOME": str(cloud_home), "SPOT_CONNECT_LOCAL": "1"}

    def start(*words):
        started.append(
            subprocess.Popen(
                [SCRIPT, *words], env=environment, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_next_client_goes_on(launched, client, heard, moment):
    vm = launched(filesystem="kept")
    run = vm.run(COUNT.format(until=150), cmd=True, detach=True, resume=True)
    first = client("logs", vm.name, run.id, "-f")
    interrupt(vm, 16)
    for line in first.stderr:
        if moment in line:
            break
    first.kill()
    first.wait()
    until("its end", lambda: vm.refresh_instance(verbose=False) == "terminated")
    second = client("resume", vm.name, run.id)
    assert second.wait(100) == 0, second.stderr.read()
    again = SpotInstance(vm.name, local=True, reporter=heard)
    try:
        record = again.find_run(run.id).record()
        assert record.state == "succeeded"
        assert len(record.attempts) == 2
        assert numbers([again.find_run(run.id).log()]) == list(range(1, 151))
        live = instances.named(Realm(local=True).cloud("us-east-1"), vm.name)
        assert [one.id for one in live] == [again.id]
    finally:
        again.terminate()
