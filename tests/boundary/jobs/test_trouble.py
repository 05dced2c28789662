"""What AWS, networks and people do to distributed jobs, and that each still ends exactly once."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

from spot_connect.core.waiting import Seen, wait_for
from tests.boundary.jobs.conftest import PATIENCE, interrupt, is_alive, states
from tests.local_cloud import somebody_else

COUNT = """
cd $SPOT_CONNECT_CHECKPOINT_DIR
n=$(cat n 2>/dev/null || echo 0)
trap 'echo $n > n.new; mv n.new n; exit {exit}' TERM
while [ $n -lt {steps} ]; do
    sleep 0.2
    n=$((n + 1))
    echo $n >> $SPOT_CONNECT_OUT_DIR/steps
done
"""


def counting(steps, leaving=75):
    """A script that makes steps, and goes on where it was interrupted."""
    return COUNT.format(steps=steps, exit=leaving)


def until(run, what, look):
    """The record of the run, once ``look`` finds it right."""

    def seen():
        record = run.record()
        return Seen(record if look(record) else None, record.summary)

    return wait_for(what, seen, seconds=PATIENCE, every=0.2)


def running(record):
    return [job for job in record.jobs if job.state == "running"]


def steps_of(run, directory):
    return [[int(line) for line in (path / "steps").read_text().split()] for path in run.results(directory)]


def victim_of(run):
    """A job that has got somewhere, on a machine that is not the head: a lost head is a test of its own."""

    def found(record):
        return [job for job in running(record) if job.instance not in (record.head, "")]

    record = until(run, "job beside the head", found)
    looks = iter([None, "worked"])
    wait_for("some work", lambda: Seen(next(looks)), seconds=PATIENCE, every=1.5)
    return found(record)[0]


@pytest.mark.parametrize("leaving", [75, 0])
def test_a_job_goes_on_elsewhere_at_the_notice_and_repeats_nothing(start, manager, tmp_path, leaving):
    run = start(counting(80, leaving), 2, n_jobs=4, lease=20)
    victim = victim_of(run)
    interrupt(manager, victim.instance, 12)
    record = run.wait(2 * PATIENCE)
    assert states(record) == ["succeeded"] * 4
    assert record.jobs[victim.number].interruptions == 1
    assert record.jobs[victim.number].instance != victim.instance
    assert steps_of(run, tmp_path) == [list(range(1, 81))] * 4


def test_a_job_whose_machine_dies_without_a_word_is_run_again_elsewhere(start, manager):
    run = start(counting(40), 2, n_jobs=4, lease=10)
    victim = victim_of(run)
    interrupt(manager, victim.instance, 0)
    record = run.wait(2 * PATIENCE)
    assert states(record) == ["succeeded"] * 4
    assert (record.jobs[victim.number].attempts, record.jobs[victim.number].interruptions) == (2, 1)


@pytest.mark.parametrize("notice", [12, 0])
def test_when_the_head_is_lost_another_machine_takes_over(start, manager, notice):
    run = start(counting(50), 3, n_jobs=6, lease=20)
    lost = until(run, "three jobs", lambda record: len(running(record)) == 3).head
    interrupt(manager, lost, notice)
    record = run.wait(2 * PATIENCE)
    assert states(record) == ["succeeded"] * 6
    assert sum(job.interruptions for job in record.jobs) == 1
    assert record.head != lost


def test_when_the_head_hangs_the_others_go_on_with_another(start, manager):
    run = start(counting(30), 3, n_jobs=9, lease=20)
    head = until(run, "three jobs", lambda record: len(running(record)) == 3).head
    [machine] = [line for line in manager.instances.values() if line.id == head]
    machine.run("pkill -STOP -f '[j]obs-lead'", cmd=True)
    record = run.wait(2 * PATIENCE)
    assert states(record) == ["succeeded"] * 9
    assert [job.attempts for job in record.jobs] == [1] * 9
    assert record.gone == 0


def test_interruptions_are_counted_against_their_own_budget(start, manager):
    run = start(counting(200), 2, n_jobs=2, max_interruptions=0, lease=20)
    victim = victim_of(run)
    interrupt(manager, victim.instance, 8)
    record = until(run, "end of one", lambda record: record.jobs[victim.number].state == "failed")
    assert record.jobs[victim.number].why == "interrupted 1 times"
    run.cancel()


def test_without_a_file_system_a_checkpoint_travels_too(start, manager, tmp_path):
    run = start(counting(200), 2, n_jobs=2, filesystem=None)
    victim = victim_of(run)
    interrupt(manager, victim.instance, 12)
    record = run.wait(2 * PATIENCE)
    assert states(record) == ["succeeded"] * 2
    assert record.jobs[victim.number].interruptions == 1
    assert steps_of(run, tmp_path) == [list(range(1, 201))] * 2


def test_without_a_file_system_a_machine_that_dies_costs_what_it_was_doing(start, manager):
    run = start(counting(40), 2, n_jobs=2, filesystem=None)
    victim = victim_of(run)
    interrupt(manager, victim.instance, 0)
    record = run.wait(2 * PATIENCE)
    assert states(record) == ["succeeded"] * 2
    assert (record.jobs[victim.number].attempts, record.jobs[victim.number].interruptions) == (2, 1)


def test_jobs_go_on_when_the_caller_is_killed_right_after_the_submit(start, manager):
    script = textwrap.dedent("""
        import os, signal
        from spot_connect.instance_manager import InstanceManager
        InstanceManager(local=True).run_distributed_jobs(
            "orphans", 4, "echo done", "t2.micro", "jobs-fs", n_instances=2, linger=60)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    run = manager.attach("orphans")
    assert states(run.wait(2 * PATIENCE)) == ["succeeded"] * 4
    run.close()


def test_a_machine_whose_launcher_died_before_it_mounted_anything_is_passed_over(start, manager):
    run = start("sleep 3; echo done", 1)
    stray = manager.launch_instance(f"{run.name}_9", profile="t2.micro")
    run._crew._lines.insert(0, stray)
    assert states(run.wait(2 * PATIENCE)) == ["succeeded"]
    stray.terminate()


def test_what_has_failed_can_be_tried_again(start):
    script = "[ -e $SPOT_CONNECT_CHECKPOINT_DIR/seen ] || { touch $SPOT_CONNECT_CHECKPOINT_DIR/seen; exit 3; }"
    run = start([script, "echo fine", "sleep 6"], 2)
    until(run, "a failure", lambda record: record.jobs[0].state == "failed")
    run.retry(0)
    record = run.wait(2 * PATIENCE)
    assert states(record) == ["succeeded"] * 3
    assert [job.attempts for job in record.jobs] == [2, 1, 1]


def test_what_has_failed_can_be_tried_again_after_the_end(start):
    run = start("[ $SPOT_CONNECT_ATTEMPT = 2 ]", 2, n_jobs=2)
    assert states(run.wait(2 * PATIENCE)) == ["failed"] * 2
    assert run.retry().state != "failed"
    record = run.wait(2 * PATIENCE)
    assert (record.state, states(record)) == ("succeeded", ["succeeded"] * 2)


def frozen(machine, action):
    """Stop or continue everything on the machine but its SSH server, as a host that freezes and thaws."""
    # In brackets, so that the pattern does not match the shell that it is given to.
    machine.run(f"pkill -{action} -f '[a]gent-|[/]scripts/0-'", cmd=True)


def test_a_machine_that_was_taken_for_dead_is_fenced_when_it_thaws(start, manager, tmp_path):
    run = start(counting(60), 3, n_jobs=3, lease=10)
    victim = victim_of(run)
    [machine] = [line for line in manager.instances.values() if line.id == victim.instance]
    frozen(machine, "STOP")
    until(run, "another attempt", lambda record: record.jobs[victim.number].attempts == 2)
    frozen(machine, "CONT")
    record = run.wait(2 * PATIENCE)
    assert states(record) == ["succeeded"] * 3
    assert record.jobs[victim.number].interruptions == 1
    # The machine itself may have ended by now; whoever was the head stays for the results.
    head = next(line for line in manager.instances.values() if is_alive(line))
    ends = head.run(f"ls {record.directory}/jobs/{victim.number:05d}", cmd=True, return_output=True).split()
    assert ends.count("end.json") == 1


def test_a_second_head_changes_nothing(start, manager):
    run = start("sleep 2", 2, n_jobs=6)
    record = until(run, "two jobs", lambda record: len(running(record)) == 2)
    [head] = [line for line in manager.instances.values() if line.id == record.head]
    [other] = [line for line in manager.instances.values() if line.id != record.head]
    words = f'{{"directory": "{record.directory}", "instance": "{other.id}"}}'
    # It finds a head, and leaves at once.
    other.run(f"$SPOT_CONNECT_PYTHON ~/.spot-connect/agent-*.d jobs-lead <<< '{words}'", cmd=True)
    record = run.wait(2 * PATIENCE)
    assert [job.attempts for job in record.jobs] == [1] * 6
    terms = head.run(f"ls {record.directory}/head/attempts", cmd=True, return_output=True)
    assert terms.split() == ["0001"]


def test_who_does_not_have_the_key_of_the_run_cannot_talk_to_its_head(start, manager):
    run = start("sleep 5", 1)
    record = until(run, "a job", running)
    [machine] = manager.instances.values()
    told = machine.run(f"cat {record.directory}/head/attempts/0001/start.json", cmd=True, return_output=True)
    told = json.loads(told)["address"]
    assert told.startswith("tls://")
    script = f"""
from distributed import Client
try:
    Client("{told.replace("tls://", "tcp://")}", timeout=4)
except Exception as error:
    print("refused", type(error).__name__)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.startswith("refused"), done.stderr
    assert states(run.wait(2 * PATIENCE)) == ["succeeded"]


def test_only_port_22_is_open_to_the_caller_and_the_rest_to_the_machines_themselves(start, manager):
    start("echo fine", 1)
    [machine] = manager.instances.values()
    [group] = machine.seen.groups
    rules = somebody_else().describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
    from_addresses = {(rule["FromPort"], rule["ToPort"]) for rule in rules if rule["IpRanges"]}
    from_groups = {pair["GroupId"] for rule in rules for pair in rule["UserIdGroupPairs"]}
    assert (from_addresses, from_groups) == ({(22, 22)}, {group})
    assert all(rule["IpRanges"] or rule["UserIdGroupPairs"] for rule in rules)


@pytest.mark.parametrize("filesystem", ["jobs-fs", None])
def test_the_head_may_have_a_machine_of_its_own_that_aws_does_not_take_away(start, manager, filesystem):
    run = start("sleep 1", 2, n_jobs=4, filesystem=filesystem, head="on-demand")
    head = manager.instances[f"{run.name}_head"]
    try:
        assert until(run, "a job", running).head == head.id
        assert not head.seen.spot_request_id
        record = run.wait(2 * PATIENCE)
        assert states(record) == ["succeeded"] * 4
        assert head.id not in {job.instance for job in record.jobs}
    finally:
        head.terminate()
