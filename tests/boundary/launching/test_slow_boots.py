"""A machine that does not answer goes on costing: what it costs and how to end it is said wherever a wait ends."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from spot_connect.aws import instances
from spot_connect.core.booting import boot_seconds
from spot_connect.core.errors import PartlyFailed, SshError, SshUnreachable
from spot_connect.crew import capacity
from spot_connect.instance_manager import InstanceManager
from spot_connect.launching import connecting, ending
from spot_connect.local import service
from spot_connect.store import tables

REGION = "us-east-1"
COSTS = (
    r"{name} \(i-[0-9a-f]+, t2\.micro\) runs on and costs \$0\.\d+ an hour; `spot_connect .*terminate {name}.*` ends it"
)


@pytest.fixture
def never_boots(realm):
    realm.cloud(REGION)
    service.call(None, "POST", "boot-seconds", {"seconds": 3600})
    yield
    service.call(None, "POST", "boot-seconds", {"seconds": 0})


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(connecting, "boot_seconds", lambda _: 1.0)
    monkeypatch.setattr(connecting, "_RECONNECT_SECONDS", 1.0)


def ended(realm, *names):
    for name in names:
        ending.terminate(realm, instances.named(realm.cloud(REGION), name))


@pytest.mark.usefixtures("never_boots", "impatient")
def test_a_launch_that_ends_in_a_deadline_tells_what_runs_on_and_for_how_much(realm, request_for, keys, heard):
    request = request_for()
    try:
        for _ in ("launched", "reached again"):
            with pytest.raises(SshUnreachable) as caught:
                connecting.reach(realm, request, keys, heard)
            assert re.search(COSTS.format(name=request.name), str(caught.value))
            assert len(instances.named(realm.cloud(REGION), request.name)) == 1
    finally:
        ended(realm, request.name)


@pytest.mark.usefixtures("never_boots", "impatient")
def test_each_machine_of_a_fleet_that_cannot_be_reached_is_told_with_its_price(realm, heard):
    manager = InstanceManager(local=True, reporter=heard)
    manager.launch_fleet(2, "t2.micro", "slowfleet")
    try:
        with pytest.raises(PartlyFailed) as caught:
            manager.reach_fleet()
        for name in ("slowfleet_0", "slowfleet_1"):
            assert re.search(COSTS.format(name=name), str(caught.value.failed[name]))
    finally:
        manager.cancel_fleet()


def test_a_machine_that_nobody_may_price_is_named_all_the_same(realm, request_for, keys, heard, wire, monkeypatch):
    request = request_for()
    reached = connecting.reach(realm, request, keys, heard)
    reached.connection.close()
    try:
        wire.refuse("DescribeSpotPriceHistory", *["UnauthorizedOperation"] * 3)
        monkeypatch.setattr(connecting, "_RECONNECT_SECONDS", 0.5)
        monkeypatch.setattr(connecting, "boot_seconds", lambda _: 0.0)
        gone = replace(reached.instance, tags={**reached.instance.tags, "spot-connect:ssh": "127.0.0.1:9"})
        with pytest.raises(SshError, match=r"costs \$0\.\d+ an hour"):
            connecting.open_line(realm, gone, request, keys, heard)
    finally:
        ended(realm, request.name)


def test_every_slow_type_has_the_time_it_takes():
    slow = {row.instance_type for row in tables.types() if boot_seconds(row.instance_type) > 20 * 60}
    assert slow == {
        row.instance_type
        for row in tables.types()
        if ".metal" in row.instance_type or row.instance_type.startswith(("u-", "u7", "mac"))
    }
    assert "a1.metal" in slow
    assert len(slow) > 50


def test_jobs_ask_for_no_second_machine_while_a_slow_one_boots():
    ordered = {"since": time.time() - 900}
    assert capacity._may_boot({**ordered, "type": "m7i.metal-24xl"})
    assert not capacity._may_boot({**ordered, "type": "t3.micro"})
    assert not capacity._may_boot(ordered)


@pytest.mark.parametrize(
    ("kind", "state", "age", "least", "most"),
    [
        ("t3.micro", "pending", 900, 300, 300),
        ("t3.micro", "running", 100, 190, 200),
        ("t3.micro", "running", 900, 0, 0),
        ("m7i.metal-24xl", "running", 900, 590, 600),
        ("t3.micro", "running", -900, 300, 300),
    ],
)
def test_a_machine_that_somebody_launched_lately_is_given_the_rest_of_its_time(
    realm, request_for, keys, heard, kind, state, age, least, most
):
    """Also where our clock is behind EC2's."""
    request = request_for()
    made = connecting.launch(realm, request, keys, heard)
    try:
        then = datetime.now(timezone.utc) - timedelta(seconds=age)
        one = replace(made, type=kind, state=state, launched=then)
        assert least <= connecting._left_to_boot(one) <= most
    finally:
        ended(realm, request.name)


@pytest.mark.usefixtures("never_boots", "impatient")
def test_jobs_whose_machines_cannot_be_reached_end_them_and_do_not_say_that_they_run_on(realm, heard):
    manager = InstanceManager(local=True, reporter=heard)
    with pytest.raises(PartlyFailed) as caught:
        manager.run_distributed_jobs("slowjobs", 2, "true\n", "t2.micro", n_instances=2)
    assert "runs on" not in str(caught.value)
    assert "no SSH server answers" in str(caught.value)
    assert any("cancelled the fleet slowjobs" in note for note in heard.notes)
    for number in range(2):
        assert instances.named(realm.cloud(REGION), f"slowjobs_{number}") == ()
