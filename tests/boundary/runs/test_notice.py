"""The two minutes before an interruption, on a machine of the local cloud; the clock is short."""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager, suppress

import pytest

from spot_connect.core.errors import LocalCloudError, SpotConnectError, SshError
from spot_connect.core.reporting import Silent
from spot_connect.local import service
from spot_connect.spotted import SpotInstance
from tests.boundary.runs.conftest import interrupt, told, until

FOREVER = "trap 'echo caught; exit 75' TERM; echo begun; while :; do sleep 0.1; done"


@pytest.fixture
def vm(launched):
    """A machine whose runs are on a file system, and so outlive it."""
    return launched(filesystem="kept")


@pytest.fixture
def reader(launched, vm):
    """Another machine that sees what the first has left behind."""
    other = launched(filesystem="kept")

    def read(run, name):
        return told(other, f"cat ~/efs/.spot-connect/runs/*/{run.id}/attempts/0001/{name}")

    return read


def ended(machine):
    return until("its end", lambda: machine.refresh_instance(verbose=False) == "terminated")


def test_a_run_is_asked_to_end_and_is_handed_back(vm, reader):
    run = vm.run(FOREVER, cmd=True, detach=True)
    interrupt(vm, 16)
    until("the hand-over", lambda: run.status == "interrupted")
    assert vm.refresh_instance(verbose=False) == "running"
    # Bash tells, between the two, that what it was waiting for was terminated, too.
    assert run.log().startswith(b"begun\n")
    assert run.log().endswith(b"caught\n")
    ended(vm)
    end = json.loads(reader(run, "end.json"))
    assert (end["outcome"], end["exit_code"]) == ("interrupted", 75)
    assert reader(run, "log").endswith("caught\n")


def test_a_script_that_saves_and_says_it_ended_well_is_not_believed(vm):
    run = vm.run(FOREVER.replace("exit 75", "exit 0"), cmd=True, detach=True)
    interrupt(vm, 16)
    until("the hand-over", lambda: run.status == "interrupted")


def test_a_script_that_sees_the_notice_first_hands_the_run_back_too(vm):
    notice = json.dumps({"deadline": time.time() + 60, "seen": time.time()})
    run = vm.run(f"echo '{notice}' > $SPOT_CONNECT_NOTICE_FILE; exit 75", cmd=True, detach=True)
    until("the hand-over", lambda: run.status == "interrupted")


def test_unless_it_says_that_it_has_really_finished(vm):
    done = "touch $SPOT_CONNECT_DONE_FILE; exit 0"
    run = vm.run(FOREVER.replace("exit 75", done), cmd=True, detach=True)
    interrupt(vm, 16)
    assert run.wait(60) == 0


def test_a_script_that_ends_before_it_is_asked_to_has_ended(vm):
    run = vm.run("sleep 3; echo done", cmd=True, detach=True)
    interrupt(vm, 40)
    assert run.wait(60) == 0
    vm.terminate()


def test_a_script_that_does_not_listen_is_killed_and_its_log_is_whole(vm, reader):
    run = vm.run("trap '' TERM; n=0; while :; do n=$((n+1)); echo $n; sleep 0.05; done", cmd=True, detach=True)
    interrupt(vm, 16)
    ended(vm)
    end = json.loads(reader(run, "end.json"))
    numbers = [int(line) for line in reader(run, "log").splitlines()]
    assert end["outcome"] == "interrupted"
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 100


def test_the_hook_runs_before_the_script_is_asked_to_end(vm):
    hook = "echo hook $SPOT_CONNECT_SECONDS_LEFT $SPOT_CONNECT_ATTEMPT > ~/efs/hook"
    run = vm.run(FOREVER, cmd=True, detach=True, on_interrupt=hook)
    interrupt(vm, 20)
    until("the hand-over", lambda: run.status == "interrupted")
    word, left, attempt = told(vm, "cat ~/efs/hook").split()
    assert (word, attempt) == ("hook", "1")
    assert 10 <= int(left) <= 20
    vm.terminate()


@pytest.mark.parametrize("hook", ["sleep 300", "exit 3", "no-such-command"])
def test_a_hook_that_hangs_or_fails_does_not_keep_the_run_from_its_end(vm, hook):
    run = vm.run(FOREVER, cmd=True, detach=True, on_interrupt=hook)
    # A quarter of it is left when a hook that hangs has been given up, and the machine must be asked in that.
    interrupt(vm, 48)
    until("the hand-over", lambda: run.status == "interrupted")
    assert vm.refresh_instance(verbose=False) == "running"
    assert b"caught" in run.log()
    until("what is said of the hook", lambda: "hook" in told(vm, "cat ~/.spot-connect/agent.log"))
    vm.terminate()


def test_a_machine_without_runs_has_hooks_too(launched):
    machine = launched(filesystem="kept", on_interrupt="echo $SPOT_CONNECT_SECONDS_LEFT > ~/efs/machine-hook")
    interrupt(machine, 20)
    until("the hook", lambda: told(machine, "cat ~/efs/machine-hook 2>/dev/null || true"))
    machine.terminate()


def test_a_notice_given_twice_runs_the_hook_once(vm):
    run = vm.run(FOREVER, cmd=True, detach=True, on_interrupt="echo once >> ~/times; sleep 1")
    interrupt(vm, 30)
    interrupt(vm, 25)
    until("the hand-over", lambda: run.status == "interrupted")
    assert told(vm, "cat ~/times") == "once\n"
    vm.terminate()


def test_a_notice_given_before_anybody_watched_is_seen(launched):
    machine = launched(filesystem="kept")
    interrupt(machine, 30)
    run = machine.run(FOREVER, cmd=True, detach=True)
    until("the hand-over", lambda: run.status == "interrupted")
    machine.terminate()


def test_a_run_begun_after_the_notice_is_handed_back_at_once(vm):
    first = vm.run(FOREVER, cmd=True, detach=True)
    interrupt(vm, 40)
    until("the notice", lambda: told(vm, "cat ~/.spot-connect/notice.json 2>/dev/null || true"))
    late = vm.run("echo late", cmd=True, detach=True)
    until("the hand-over", lambda: late.status == "interrupted")
    assert late.log() == b""
    assert first.status in ("running", "interrupted")
    vm.terminate()


def test_a_recommendation_runs_its_hook_and_ends_nothing(vm):
    run = vm.run(FOREVER, cmd=True, detach=True, on_rebalance="echo moved > ~/rebalanced")
    service.call(None, "POST", f"instances/{vm.id}/rebalance")
    until("the hook", lambda: told(vm, "cat ~/rebalanced 2>/dev/null || true") == "moved\n")
    assert run.status == "running"
    run.stop()


def test_the_helper_in_a_script_sees_the_notice(vm, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(
        "#!/usr/bin/env python3\nimport itertools, time\n"
        "from spot_connect.interruption import notice, until_notice\n"
        "for step in until_notice(itertools.count()):\n    time.sleep(0.1)\n"
        "print(notice().tzinfo)\nraise SystemExit(75)\n"
    )
    run = vm.run(script, detach=True)
    interrupt(vm, 40)
    until("the hand-over", lambda: run.status == "interrupted")
    assert run.log() == b"UTC\n"
    vm.terminate()


def test_a_file_system_that_is_full_costs_the_log_and_not_the_work(vm):
    run = vm.run(FOREVER.replace("echo begun", "for i in 1 2 3; do echo $i; sleep 1; done"), cmd=True, detach=True)
    told(vm, f"cd ~/efs/.spot-connect/runs/*/{run.id}/attempts/0001 && ln -sf /dev/full log")
    until("lines", lambda: run.log() == b"1\n2\n3\n")
    run.stop()
    assert "log" in run.record().attempts[0].trouble


def test_an_upload_that_the_end_of_the_machine_breaks_says_so(launched, tmp_path):
    machine = launched()
    big = tmp_path / "big"
    big.write_bytes(os.urandom(1024**2) * 256)

    class Taken(Silent):
        """The machine is taken away when the first bytes have arrived."""

        @contextmanager
        def transfer(self, name, total):
            yield self

        def advance(self, done):
            with suppress(LocalCloudError):
                interrupt(machine, 0)

    line = SpotInstance(machine.name, local=True, reporter=Taken())
    with pytest.raises(SshError):
        line.upload(big)
    assert ended(machine)


def test_a_mount_that_the_end_of_the_machine_breaks_says_so(launched, heard):
    machine = launched()
    told(machine, "mkdir -p ~/efs")
    interrupt(machine, 0.4)

    def mount_again_and_again():
        for number in range(20):
            SpotInstance(machine.name, local=True, reporter=heard, filesystem=f"late-{number}").close()

    with pytest.raises(SpotConnectError):
        mount_again_and_again()
    assert ended(machine)


def test_how_a_run_ended_is_written_when_the_file_system_can_take_it_again(vm):
    run = vm.run("sleep 2; exit 4", cmd=True, detach=True)
    place = f"~/efs/.spot-connect/runs/*/{run.id}"
    told(vm, f"chmod 500 {place} {place}/attempts/0001")
    until("the trouble", lambda: "ermission denied" in told(vm, "cat ~/.spot-connect/agent.log"))
    assert run.status == "running"
    told(vm, f"chmod 700 {place} {place}/attempts/0001")
    assert run.wait(60) == 4
