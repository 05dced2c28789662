"""Machines in the place of those that are gone, and the limits of what a run may cost."""

from __future__ import annotations

import uuid

import pytest

from spot_connect import sutils
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.local import service
from tests.boundary.jobs.conftest import PATIENCE, interrupt, states
from tests.boundary.jobs.test_trouble import counting, running, until, victim_of


def members(run):
    return {one.id: one for one in run._crew.yard.members()}


def workers(record):
    return {job.instance for job in record.jobs}


def described(manager, instance):
    found = manager._realm.cloud("us-east-1").ec2.describe_instances(InstanceIds=[instance])
    return found["Reservations"][0]["Instances"][0]


def successor_of(run, lost, known):
    """The machine that has the place of another, once there is one."""

    def look():
        fresh = [one for one in members(run).values() if one.id not in known and one.name == known[lost].name]
        return Seen(fresh[0] if fresh else None)

    return wait_for("a successor", look, seconds=PATIENCE, every=0.5)


@pytest.mark.late
def test_while_somebody_stays_a_machine_that_is_taken_away_is_replaced(start, manager):
    run = start(counting(50), 2, n_jobs=5)
    first = members(run)
    victim = victim_of(run)
    interrupt(manager, victim.instance, 20)
    record = run.stay(2 * PATIENCE)
    assert states(record) == ["succeeded"] * 5
    [fresh] = workers(record) - first.keys()
    assert members(run).get(fresh, first[victim.instance]).name == first[victim.instance].name
    assert record.gone == 1


def test_a_machine_that_cannot_be_replaced_at_once_is_replaced_later(start, manager, heard):
    run = start(counting(100), 2, n_jobs=4)
    first = members(run)
    victim = victim_of(run)
    service.call(None, "POST", "faults", {"kind": "capacity", "times": 45})
    interrupt(manager, victim.instance, 12)
    record = run.stay(2 * PATIENCE)
    assert states(record) == ["succeeded"] * 4
    assert any("capacity" in warning for warning in heard.warnings)
    assert workers(record) - first.keys()


def test_a_machine_is_replaced_only_while_there_is_work_for_it(start, manager):
    run = start(["sleep 1", counting(80)], 2)
    [long] = until(run, "the long job alone", lambda record: len(running(record)) == 1).jobs[1:]
    idle = next(one for one in members(run) if one != long.instance)
    interrupt(manager, idle, 5)
    record = run.stay(2 * PATIENCE)
    assert states(record) == ["succeeded"] * 2
    assert members(run).keys() <= {long.instance}


def test_what_a_user_ends_is_not_replaced(start, manager):
    run = start(counting(60), 2, n_jobs=4, lease=5)
    first = members(run)
    manager.terminate(first[victim_of(run).instance].name)
    record = run.stay(2 * PATIENCE)
    assert states(record) == ["succeeded"] * 4
    assert members(run).keys() < first.keys()


def test_when_all_machines_die_at_once_one_that_comes_later_goes_on(start, manager):
    run = start(counting(40), 2, n_jobs=4, lease=5)
    first = members(run)
    victim_of(run)
    for one in first:
        interrupt(manager, one, 0)
    record = run.stay(3 * PATIENCE)
    assert states(record) == ["succeeded"] * 4
    assert workers(record) - first.keys()


@pytest.fixture
def role(cloud_home):
    name = f"jobs-{uuid.uuid4().hex[:8]}"
    sutils.create_instance_profile(name, "AmazonEC2FullAccess", local=True)
    return name


@pytest.mark.parametrize("notice", [20, 0])
@pytest.mark.late
def test_machines_with_a_role_replace_one_another_while_nobody_stays(start, manager, role, notice):
    run = start(counting(60), 2, n_jobs=5, instance_profile=role, lease=5)
    first = members(run)
    victim = victim_of(run)
    interrupt(manager, victim.instance, notice)
    successor = successor_of(run, victim.instance, first)
    record = run.wait(2 * PATIENCE)
    assert states(record) == ["succeeded"] * 5
    # Others may have come too: on a busy computer a machine may be silent for as long as the lease, and live.
    assert successor.id in workers(record)


def test_somebody_who_stays_and_the_machines_themselves_replace_one_machine_once(start, manager, role):
    run = start(counting(60), 2, n_jobs=5, instance_profile=role)
    first = members(run)
    victim = victim_of(run)
    interrupt(manager, victim.instance, 20)
    record = run.stay(2 * PATIENCE)
    assert states(record) == ["succeeded"] * 5
    assert len((workers(record) | members(run).keys()) - first.keys()) == 1


def test_a_role_that_may_not_launch_is_told_of(start, manager, role):
    run = start(counting(100), 2, n_jobs=6, instance_profile=role)
    victim = victim_of(run)
    service.call(None, "POST", "faults", {"kind": "capacity", "times": 1000})
    interrupt(manager, victim.instance, 10)
    record = until(run, "words", lambda record: record.capacity)
    assert victim.instance in record.capacity
    service.call(None, "DELETE", "faults", None)
    run.cancel()


@pytest.mark.late
def test_after_so_many_interruptions_machines_are_launched_on_demand(start, manager):
    run = start(counting(50), 2, n_jobs=5, on_demand_after=1)
    first = members(run)
    victim = victim_of(run)
    interrupt(manager, victim.instance, 15)
    record = run.stay(2 * PATIENCE)
    assert states(record) == ["succeeded"] * 5
    [fresh] = workers(record) - first.keys()
    assert described(manager, fresh).get("InstanceLifecycle", "on-demand") == "on-demand"
    assert described(manager, victim.instance)["InstanceLifecycle"] == "spot"


def test_the_jobs_are_stopped_when_they_have_cost_too_much(start):
    run = start(counting(1000), 2, n_jobs=3, max_cost="0.00004")
    record = run.wait(2 * PATIENCE)
    assert set(states(record)) == {"stopped"}
    assert record.why == "it has cost $0.00004, which is the limit"
    assert 0.00004 <= record.cost < 0.001


def test_the_jobs_are_stopped_when_they_have_taken_too_long(start):
    run = start(counting(1000), 1, max_hours=12 / 3600)
    record = run.wait(2 * PATIENCE)
    assert (states(record), record.why) == (["stopped"], "it has taken 0.00333333 hours, which is the limit")


def test_more_machines_can_be_had_for_what_waits(start):
    run = start(counting(20), 1, n_jobs=12)
    assert run.scale(3) == 2
    assert run.scale(2) == 0
    assert len(workers(run.wait(2 * PATIENCE))) == 3


def test_a_machine_that_came_later_is_replaced_like_the_first(start, manager):
    run = start(counting(40), 1, n_jobs=8)
    [first] = members(run)
    run.scale(2)
    [later] = members(run).keys() - {first}
    until(run, "work on it", lambda record: later in {job.instance for job in running(record)})
    interrupt(manager, later, 12)
    record = run.stay(2 * PATIENCE)
    assert states(record) == ["succeeded"] * 8
    assert workers(record) - {first, later}


def test_where_the_own_type_is_not_to_be_had_another_does_its_work(start, manager):
    run = start(counting(50), 2, n_jobs=5)
    first = members(run)
    victim = victim_of(run)
    service.call(None, "POST", "faults", {"kind": "capacity", "instance_type": "t2.micro", "times": 1000})
    try:
        interrupt(manager, victim.instance, 15)
        record = run.stay(2 * PATIENCE)
    finally:
        service.call(None, "DELETE", "faults", None)
    assert states(record) == ["succeeded"] * 5
    [fresh] = workers(record) - first.keys()
    assert described(manager, fresh)["InstanceType"] != "t2.micro"
