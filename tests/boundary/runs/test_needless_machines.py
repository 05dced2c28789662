"""No machine is launched, or ended, for a run that does not ask for it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from spot_connect.aws import instances
from spot_connect.core.errors import RunInterrupted
from spot_connect.launching.realm import Realm
from tests.boundary.runs.conftest import interrupt, until


def follow(run, vm, seconds):
    """Interrupt the machine once the run has said ``begun``; all that it has said, and its exit status."""
    pieces = []

    def show(data):
        pieces.append(data)
        if b"begun" in data:
            interrupt(vm, seconds)

    status = run.follow(show)
    return b"".join(pieces), status


def test_for_a_run_that_ends_in_time_one_machine_is_launched_in_vain_and_no_more(launched, heard):
    vm = launched(filesystem="kept")
    text = "trap : TERM; echo begun; for i in $(seq 200); do sleep 0.1; done; touch $SPOT_CONNECT_DONE_FILE; echo done"
    run = vm.run(text, cmd=True, detach=True, resume=True)
    said, _ = follow(run, vm, 60)
    assert said.endswith(b"done\n")
    assert sum("launched" in note for note in heard.notes) == 2
    vm.terminate()


def test_a_run_that_ends_at_once_on_the_other_machine_is_read_there(launched):
    vm = launched(filesystem="kept")
    first = vm.id
    text = "[ $SPOT_CONNECT_ATTEMPT = 1 ] || { echo second; exit 3; }; echo begun; sleep 300"
    run = vm.run(text, cmd=True, detach=True, resume=True)
    said, status = follow(run, vm, 10)
    assert said.endswith(b"second\n")
    assert status == 3
    live = instances.named(Realm(local=True).cloud("us-east-1"), vm.name)
    assert [one.id for one in live if one.id != first] == [vm.id]


def test_when_nothing_goes_on_and_the_machine_is_gone_nobody_waits_for_ever(launched):
    vm = launched(filesystem="kept")
    interrupt(vm, 0)
    until("its end", lambda: vm.refresh_instance(verbose=False) == "terminated")
    vm._host._recovery = SimpleNamespace(go_on=lambda _: None)
    with pytest.raises(RunInterrupted, match="AWS took"):
        vm._host.rejoin()
