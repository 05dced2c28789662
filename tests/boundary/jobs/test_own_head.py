"""Jobs that the caller's own process hands out."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from spot_connect.connect import main
from spot_connect.core.errors import RunInterrupted, UsageError
from spot_connect.instance_manager import InstanceManager
from spot_connect.jobs import versions
from spot_connect.local import service
from tests.boundary.jobs.conftest import PATIENCE, interrupt, states
from tests.boundary.jobs.test_client import ended_machines
from tests.boundary.jobs.test_trouble import counting, running, steps_of, until


@pytest.fixture
def own(start):
    """``own(scripts, n_instances, **settings)`` is a run that this process hands out."""

    def begin(*arguments, **settings):
        return start(*arguments, **{"head": "client", "filesystem": None, **settings})

    return begin


@pytest.mark.parametrize("filesystem", ["jobs-fs", None])
def test_jobs_run_once_each_and_what_they_made_is_here(own, filesystem, tmp_path):
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "a.txt").write_text("for all\n")
    mounted = "mountpoint -q ~/efs || [ -L ~/efs ]" if filesystem else "true"
    script = f"{mounted} && cat work/common/a.txt && echo $SPOT_CONNECT_JOB > $SPOT_CONNECT_OUT_DIR/number"
    given = {"uploads": [tmp_path / "common"] * 6, "upload_path": "work", "filesystem": filesystem}
    run = own(script, 2, n_jobs=6, **given)
    record = run.wait(PATIENCE)
    assert states(record) == ["succeeded"] * 6
    # How many machines they ran on is not ours to say: the first that is there may have done all before the second.
    assert {job.attempts for job in record.jobs} == {1}
    assert [run.logs(number, follow=True) for number in range(6)] == [b"for all\n"] * 6
    found = run.results(tmp_path / "out")
    assert [(path / "number").read_text() for path in found] == [f"{number}\n" for number in range(6)]


def test_failures_and_cancelling_are_as_elsewhere(own):
    run = own(["exit 7", "echo fine", "sleep 60"], 2, retries=1)
    until(run, "a failure", lambda record: record.jobs[0].state == "failed")
    until(run, "the long job", lambda record: record.jobs[2].state == "running")
    run.cancel(2)
    record = run.wait(PATIENCE)
    assert states(record) == ["failed", "succeeded", "stopped"]
    assert (record.jobs[0].failures, record.jobs[0].exit_code) == (2, 7)
    with pytest.raises(UsageError, match="ended with them"):
        run.retry()


def test_a_job_goes_on_elsewhere_at_the_notice_from_its_checkpoint(own, manager, tmp_path):
    run = own(counting(80), 2, n_jobs=4)
    victim = until(run, "two jobs", lambda record: len(running(record)) == 2).jobs[0]
    interrupt(manager, victim.instance, 15)
    record = run.stay(2 * PATIENCE)
    assert states(record) == ["succeeded"] * 4
    assert record.interruptions == 1
    assert steps_of(run, tmp_path) == [list(range(1, 81))] * 4


def test_a_machine_that_dies_costs_what_it_was_doing(own, manager):
    run = own(counting(40), 2, n_jobs=2)
    victim = until(run, "two jobs", lambda record: len(running(record)) == 2).jobs[0]
    interrupt(manager, victim.instance, 0)
    record = run.wait(2 * PATIENCE)
    assert states(record) == ["succeeded"] * 2
    assert (record.jobs[0].attempts, record.jobs[0].interruptions) == (2, 1)


def test_a_line_that_breaks_costs_no_job(own, manager):
    run = own(counting(40), 2, n_jobs=3)
    victim = until(run, "two jobs", lambda record: len(running(record)) == 2).jobs[0]
    service.call(None, "POST", f"instances/{victim.instance}/drop-lines")
    record = run.wait(2 * PATIENCE)
    assert states(record) == ["succeeded"] * 3
    # The machine is there again: it has done one of the three since.
    assert victim.instance in {job.instance for job in record.jobs}


def test_another_process_of_this_computer_sees_them_and_may_stop_them(own, heard):
    run = own("echo on; sleep 60", 1, n_jobs=2)
    until(run, "a job", running)
    seen = InstanceManager(local=True, reporter=heard).attach(run.name)
    assert (seen.id, states(seen.record())) == (run.id, ["running", "waiting"])
    assert run.id in [record.id for record in InstanceManager(local=True, reporter=heard).runs()]
    with pytest.raises(UsageError, match="kept on this computer"):
        seen.scale(2)
    assert set(states(until(seen, "the end", lambda record: seen.cancel() and record.has_ended))) == {"stopped"}
    assert run.wait(PATIENCE).state == "stopped"


def test_when_the_process_has_ended_the_jobs_are_said_to_be_lost_and_the_machines_end(manager):
    script = textwrap.dedent("""
        import os, signal
        from spot_connect.instance_manager import InstanceManager
        run = InstanceManager(local=True).run_distributed_jobs(
            "alone", 2, ["true", "sleep 100"], "t2.micro", n_instances=2, head="client", lease=10)
        while run.record().jobs[0].state != "succeeded":
            run.logs(0) if run.record().jobs[0].attempts else None
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    run = manager.attach("alone")
    with pytest.raises(RunInterrupted, match="nobody hands out the jobs"):
        run.wait(PATIENCE)
    for name in ("alone_0", "alone_1"):
        manager.launch_instance(name)
    ended_machines(manager, run)


def test_a_client_cannot_come_in(own):
    run = own("sleep 1", 1)
    with pytest.raises(UsageError, match="not each other"):
        run.client()
    run.wait(PATIENCE)
    run.close()


def test_without_dask_it_is_refused_before_anything_is_launched(manager, monkeypatch, heard):
    def version(name):
        raise versions.PackageNotFoundError(name)

    monkeypatch.setattr(versions, "version", version)
    with pytest.raises(UsageError, match=r"spot-connect\[jobs\]"):
        manager.run_distributed_jobs("never", 1, "true", "t2.micro", head="client")
    assert heard.steps == []


def test_another_dask_is_refused_before_any_job_is_begun(manager, monkeypatch):
    monkeypatch.setattr(versions, "version", lambda _: "2020.1.0")
    with pytest.raises(versions.VersionsDiffer, match=r"2020\.1\.0"):
        manager.run_distributed_jobs("never", 1, "true", "t2.micro", head="client")
    assert manager.fleets == {}


def test_from_a_shell(tmp_path, capsys):
    script = tmp_path / "job.sh"
    script.write_text("echo $SPOT_CONNECT_JOB > $SPOT_CONNECT_OUT_DIR/number\n")
    words = ["jobs", "--local", "run", "shell-head", "-p", "t2.micro", "-s", str(script), "-n", "2", "--head", "client"]
    assert main([*words, "--detach", "True"]) == 2
    assert main(words) == 0
    assert main(["jobs", "--local", "status", "shell-head"]) == 0
    assert main(["jobs", "--local", "results", "shell-head", str(tmp_path / "out")]) == 0
    assert [(tmp_path / "out" / str(number) / "number").read_text() for number in range(2)] == ["0\n", "1\n"]
    assert "warning" in capsys.readouterr().err
