"""Many machines watched from outside."""

from __future__ import annotations

from collections import Counter

import pytest

from spot_connect.core.endings import announced, why_it_ended
from spot_connect.instance_manager import InstanceManager
from tests.boundary.runs.conftest import interrupt, until


@pytest.fixture
def manager(heard):
    manager = InstanceManager(local=True, reporter=heard)
    yield manager
    if manager.instances:
        manager.terminate(list(manager.instances))


@pytest.fixture
def calls(manager):
    counted = Counter()
    client = manager._realm.cloud("us-east-1").ec2
    counter = client.meta.events.register("before-send.ec2", lambda event_name, **_: counted.update([event_name]))
    yield counted
    client.meta.events.unregister("before-send.ec2", counter)


def test_an_interruption_a_shutdown_and_a_user_are_told_apart(manager, calls):
    taken, halted, ended, well = manager.launch_instances(
        ["w-taken", "w-halted", "w-ended", "w-well"], profile="t2.micro"
    )
    calls.clear()
    assert manager.interruptions() == {}
    assert sum(calls.values()) == 1
    interrupt(taken, 300)
    assert manager.interruptions() == {"w-taken": "AWS needs the capacity back"}
    halted.run("nohup sh -c 'sleep 1; sudo shutdown -h now' >/dev/null 2>&1 &", cmd=True)
    ended.terminate()
    until("both", lambda: len(manager.interruptions()) == 3)
    assert manager.interruptions() == {
        "w-taken": "AWS needs the capacity back",
        "w-halted": "it shut itself down",
        "w-ended": "somebody with your AWS account terminated it",
    }
    assert well.refresh_instance(verbose=False) == "running"


def test_after_its_end_the_reason_is_the_same(manager):
    taken = manager.launch_instance("w-gone", profile="t2.micro")
    interrupt(taken, 0)
    until("its end", lambda: taken.refresh_instance(verbose=False) == "terminated")
    ending = why_it_ended(taken.seen)
    assert (ending.interrupted, ending.words) == (True, "AWS took the spot instance away")
    assert "w-gone" in manager.interruptions()


@pytest.mark.parametrize(
    "code", ["fulfilled", "", "instance-terminated-by-user", "request-canceled-and-instance-running"]
)
def test_a_status_that_announces_nothing(code):
    assert announced(code) is None
