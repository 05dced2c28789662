"""Runs that go on elsewhere when AWS takes their machine away; the clock is short."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest

from spot_connect.aws import instances
from spot_connect.core.errors import InstanceNotFound, RunInterrupted, UsageError
from spot_connect.local import service
from spot_connect.spotted import SpotInstance
from tests.boundary.runs.conftest import interrupt, told, until

# Only what bash does itself: SIGTERM goes to the whole group, and would end a program in the middle of saving.
COUNT = """
state=$SPOT_CONNECT_CHECKPOINT_DIR/n
n=$(cat $state 2>/dev/null)
n=${{n:-0}}
trap 'stop=1' TERM
while [ $n -lt {until} ]; do
  n=$((n+1)); echo $n; echo $n > $state
  [ -z "$stop" ] || exit 75
  sleep 0.1
done
"""


@pytest.fixture
def vm(launched):
    return launched(filesystem="kept")


def numbers(pieces):
    return [int(line) for line in b"".join(pieces).split() if line.isdigit()]


def interrupt_at(vm, number, seconds):
    """A listener that has the machine taken away when it hears the number."""
    pieces = []

    def show(data):
        before = len(numbers(pieces))
        pieces.append(data)
        if before < number <= len(numbers(pieces)):
            threading.Thread(target=interrupt, args=(vm, seconds)).start()

    return pieces, show


def test_the_run_goes_on_on_another_machine_of_the_same_name(vm, heard, cloud_home):
    first = vm.id
    run = vm.run(COUNT.format(until=80), cmd=True, detach=True, resume=True)
    pieces, show = interrupt_at(vm, 20, 12)
    assert run.follow(show) == 0
    assert vm.id != first
    assert numbers(pieces) == list(range(1, 81))
    record = run.record()
    assert [one.outcome for one in record.attempts] == ["interrupted", "succeeded"]
    assert record.attempts[1].instance == vm.id
    assert record.interruptions == 1
    assert any("goes on as attempt 2" in note for note in heard.notes)
    assert SpotInstance(vm.name, local=True, reporter=heard).id == vm.id
    assert f"HostKeyAlias {vm.id}\n" in (cloud_home / "local/client/ssh" / f"{vm.name}.conf").read_text()


def test_it_goes_on_as_soon_as_the_other_machine_is_ready(vm):
    run = vm.run(COUNT.format(until=150), cmd=True, detach=True, resume=True)
    pieces, show = interrupt_at(vm, 20, 120)
    assert run.follow(show) == 0
    assert numbers(pieces) == list(range(1, 151))
    first, second = run.record().attempts
    assert (first.outcome, second.outcome) == ("interrupted", "succeeded")


def test_a_machine_that_dies_without_a_notice_is_replaced_too(vm):
    run = vm.run(COUNT.format(until=60), cmd=True, detach=True, resume=True)
    pieces, show = interrupt_at(vm, 20, 0)
    assert run.follow(show) == 0
    # What was not copied to the file system when it died is lost, but nothing is told twice or out of order.
    heard = numbers(pieces)
    assert heard == sorted(set(heard))
    assert heard[-1] == 60
    assert [one.outcome for one in run.record().attempts] == ["lost", "succeeded"]


def test_who_waits_keeps_it_going_too(vm):
    run = vm.run(COUNT.format(until=160), cmd=True, detach=True, resume=True)
    threading.Timer(1, interrupt, (vm, 8)).start()
    assert run.wait(120) == 0
    assert numbers([run.log()]) == list(range(1, 161))


def test_a_replacement_that_is_interrupted_is_replaced_again(vm):
    run = vm.run(COUNT.format(until=160), cmd=True, detach=True, resume=True)
    pieces = []

    def show(data):
        before = len(numbers(pieces))
        pieces.append(data)
        for number in (10, 80):
            if before < number <= len(numbers(pieces)):
                threading.Thread(target=interrupt, args=(vm, 8)).start()

    assert run.follow(show) == 0
    assert numbers(pieces) == list(range(1, 161))
    assert len(run.record().attempts) == 3


def test_a_run_that_ends_in_time_leaves_no_other_machine_behind(vm, heard):
    run = vm.run("echo begun; sleep 8; echo done", cmd=True, detach=True, resume=True)
    pieces = []

    def show(data):
        pieces.append(data)
        if b"begun" in data:
            interrupt(vm, 60)

    assert run.follow(show) == 0
    assert any("not needed" in note for note in heard.notes)
    first = vm.id
    vm.terminate()
    with pytest.raises(InstanceNotFound):
        SpotInstance(vm.name, local=True, reporter=heard)
    assert vm.id == first


def test_the_number_of_replacements_is_limited(vm):
    run = vm.run(COUNT.format(until=600), cmd=True, detach=True, resume=True, max_replacements=0)
    _, show = interrupt_at(vm, 5, 6)
    with pytest.raises(RunInterrupted, match="the limit"):
        run.follow(show)


def test_the_cost_is_limited(vm):
    run = vm.run(COUNT.format(until=600), cmd=True, detach=True, resume=True, max_cost="0.00001")
    _, show = interrupt_at(vm, 5, 6)
    with pytest.raises(RunInterrupted, match="has cost"):
        run.follow(show)


def test_a_user_who_terminates_wins(vm):
    run = vm.run(COUNT.format(until=600), cmd=True, detach=True, resume=True)
    threading.Timer(1, vm.terminate).start()
    with pytest.raises(InstanceNotFound, match="terminated it"):
        run.follow()


def test_a_run_that_was_not_asked_to_go_on_says_why_it_does_not(vm):
    run = vm.run(COUNT.format(until=600), cmd=True, detach=True)
    _, show = interrupt_at(vm, 5, 4)
    with pytest.raises(RunInterrupted, match="AWS took"):
        run.follow(show)


def test_later_somebody_goes_on_with_it_by_name(vm, heard):
    run = vm.run(COUNT.format(until=150), cmd=True, detach=True)
    interrupt(vm, 12)
    until("its end", lambda: vm.refresh_instance(verbose=False) == "terminated")
    with pytest.raises(RunInterrupted, match="AWS took"):
        SpotInstance(vm.name, local=True, reporter=heard)
    again = SpotInstance(vm.name, local=True, reporter=heard, again=True)
    try:
        assert again.resume_run().id == run.id
        going_on = again.find_run(run.id)
        assert going_on.wait(60) == 0
        assert numbers([going_on.log()]) == list(range(1, 151))
        assert told(again, "ls -d ~/efs/.spot-connect/runs/*") != ""
    finally:
        again.terminate()


def test_of_two_who_go_on_with_it_one_launches_and_the_other_attaches(vm, heard):
    run = vm.run(COUNT.format(until=160), cmd=True, detach=True, resume=True)
    other = SpotInstance(vm.name, local=True, reporter=heard).find_run(run.id)
    threading.Timer(1, interrupt, (vm, 8)).start()
    statuses = []
    second = threading.Thread(target=lambda: statuses.append(other.wait(120)))
    second.start()
    statuses.append(run.wait(120))
    second.join()
    assert statuses == [0, 0]
    assert [one.outcome for one in run.record().attempts] == ["interrupted", "succeeded"]


def test_without_capacity_it_waits_for_some(vm, heard, monkeypatch):
    from spot_connect.runs import recovery

    monkeypatch.setattr(recovery, "_CAPACITY_SECONDS", 1.0)
    service.call(None, "POST", "faults", {"kind": "capacity", "times": 40})
    run = vm.run(COUNT.format(until=60), cmd=True, detach=True, resume=True)
    pieces, show = interrupt_at(vm, 10, 8)
    assert run.follow(show) == 0
    assert numbers(pieces) == list(range(1, 61))
    assert any("trying again" in warning for warning in heard.warnings)


def test_without_capacity_for_its_type_another_type_goes_on_at_no_more_than_it_was_allowed(launched, heard):
    vm = launched(filesystem="kept", price="0.0111")
    service.call(None, "POST", "faults", {"kind": "capacity", "instance_type": "t2.micro", "times": 40})
    run = vm.run(COUNT.format(until=200), cmd=True, detach=True, resume=True)
    pieces, show = interrupt_at(vm, 10, 30)
    try:
        assert run.follow(show) == 0
    finally:
        service.call(None, "DELETE", "faults")
    assert numbers(pieces) == list(range(1, 201))
    assert vm.seen.type != "t2.micro"
    assert instances.price_limit(vm._realm.cloud(vm.region), vm.seen.spot_request_id) == Decimal("0.0111")


def test_going_on_needs_a_file_system(launched):
    with pytest.raises(UsageError, match="no file system"):
        launched().run("true", cmd=True, detach=True, resume=True)


@pytest.mark.parametrize("limit", [{"max_replacements": 3}, {"max_cost": 1}, {"fallback": "on-demand"}])
def test_limits_without_going_on_are_a_mistake(vm, limit):
    with pytest.raises(UsageError, match="without resume"):
        vm.run("true", cmd=True, detach=True, **limit)
