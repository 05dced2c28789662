"""Instances that replace one another, where EC2 has not heard yet of what it has just launched for them."""

from __future__ import annotations

import pytest

from spot_connect.aws import instances
from spot_connect.crew import replacing
from spot_connect.crew.batch import Batch
from spot_connect.crew.capacity import INTERRUPTED, Capacity
from spot_connect.crew.replacing import Replacer
from spot_connect.interruption import files
from spot_connect.launching import orders
from spot_connect.launching.fleets import cancel_fleet, launch_fleet
from spot_connect.local import service

REGION = "us-east-1"


@pytest.fixture
def fleet(realm, request_for, keys, heard):
    made = launch_fleet(realm, request_for("t3.micro"), keys, heard, count=1)
    yield made
    service.call(None, "DELETE", "faults")
    cancel_fleet(realm, made, heard)


@pytest.fixture
def order(realm, fleet):
    written = orders.write(realm, fleet, user_data="", tags={})
    yield written
    orders.withdraw(realm, written)


@pytest.fixture
def capacity(fleet, order, tmp_path):
    """A run whose only machine is being taken away."""
    batch = Batch(tmp_path / "jobs" / "run")
    (batch.directory / "jobs").mkdir(parents=True)
    files.write(batch.directory / "spec.json", {"slots": 1, "shared": True})
    [lost] = fleet.instances
    found = Capacity(batch)
    found.begin([{"instance": lost.id, "name": lost.name, "since": 0, "price": ""}], order.wire())
    found.say_gone(lost.id, INTERRUPTED)
    return found


@pytest.fixture
def replacer(capacity, monkeypatch):
    """What the head asks AWS with, in the rights of its own role."""
    for name, value in service.environment(service.ensure_up()).items():
        monkeypatch.setenv(name, value)
    return Replacer(capacity)


@pytest.fixture
def lag(capacity):
    """EC2 hears of nothing that is made from now on, until it is cleared."""
    service.call(None, "POST", "faults", {"kind": "lag", "seconds": 3600})


def hears():
    service.call(None, "DELETE", "faults")


def placed(capacity, lost):
    return next((one for one in capacity.machines() if one != lost), "")


def test_the_new_machine_gets_the_name_of_the_one_that_is_gone(realm, fleet, capacity, replacer, lag):
    [lost] = fleet.instances
    replacer.look(1, ())
    new = placed(capacity, lost.id)
    replacer.look(1, ())
    assert replacer.trouble == ""
    hears()
    replacer.look(1, ())
    found = instances.by_ids(realm.cloud(REGION), [new])
    assert [(one.name, one.state in ("pending", "running")) for one in found] == [(lost.name, True)]
    assert replacer.trouble == ""


def test_a_machine_in_whose_place_another_counts_is_ended_as_soon_as_it_is_known(realm, capacity, replacer, lag):
    real, launched = capacity.say_placed, []

    def somebody_was_first(lost, machine):
        launched.append(machine["instance"])
        real(lost, {**machine, "instance": "i-00000000"})
        return real(lost, machine)

    capacity.say_placed = somebody_was_first
    replacer.look(1, ())
    hears()
    replacer.look(1, ())
    [one] = instances.by_ids(realm.cloud(REGION), launched)
    assert one.state in ("shutting-down", "terminated")


def test_what_ec2_never_hears_of_is_said_in_the_end(capacity, replacer, lag, monkeypatch):
    monkeypatch.setattr(replacing, "_UNHEARD_OF_SECONDS", 0.0)
    replacer.look(1, ())
    assert "InvalidInstanceID.NotFound" in replacer.trouble
