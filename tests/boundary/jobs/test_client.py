"""A dask client of one's own on the instances of a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid

import pytest

from spot_connect.core.certificates import shared_secret
from spot_connect.core.errors import InstanceNotFound, RunInterrupted, RunNotFound, UsageError, VersionsDiffer
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.crew import visiting
from spot_connect.jobs import versions
from spot_connect.launching import finding
from tests.boundary.jobs.conftest import PATIENCE, interrupt, states
from tests.boundary.jobs.test_trouble import counting, running, until


def called():
    """``call(seconds, marks)`` leaves a mark whenever it begins. It is made here, so that it is sent whole."""

    def call(seconds, marks):
        import time
        from pathlib import Path

        with (Path.home() / "efs" / marks).open("a") as begun:
            begun.write("x")
        time.sleep(seconds)
        return seconds

    return call


def ended_machines(manager, run):
    """Wait until all machines of the run have ended."""
    seen = [line.seen for name, line in manager.instances.items() if name.startswith(run.name)]

    def look():
        found = [one.state for one in finding.again(manager._realm, seen).values()]
        return Seen(set(found) <= {"terminated", "shutting-down"} or None, str(found))

    wait_for("end of the machines", look, seconds=PATIENCE, every=0.5)


def worker_on(client, instance):
    """The address of a dask worker on that machine."""

    def look():
        found = client.scheduler_info(n_workers=-1)["workers"]
        return Seen(next((place for place, one in found.items() if one["name"].startswith(instance)), None))

    return wait_for("worker", look, seconds=PATIENCE, every=0.2)


@pytest.mark.parametrize("filesystem", ["jobs-fs", None])
def test_calls_run_on_the_instances_beside_the_jobs(start, filesystem):
    run = start("sleep 4", 2, n_jobs=2, filesystem=filesystem)
    offset = 2
    with run.client() as client:
        assert client.gather(client.map(lambda number: number + offset, range(30))) == list(range(2, 32))
        client.wait_for_workers(2, PATIENCE)
        places = client.run(lambda: os.environ["SPOT_CONNECT_BOX"])
    assert set(places.values()) >= {job.instance for job in run.wait(PATIENCE).jobs}


def test_jobs_that_end_while_a_client_is_on_its_way_do_not_end_the_run(start, monkeypatch):
    run = start("sleep 3", 1)

    def connect_late(*address):
        until(run, "end of the job", lambda record: states(record) == ["succeeded"])
        return connect(*address)

    connect = visiting.connect
    monkeypatch.setattr(visiting, "connect", connect_late)
    with run.client() as client:
        assert client.submit(sum, [1, 2]).result() == 3
    assert run.wait(PATIENCE).state == "succeeded"


def test_who_comes_when_the_run_has_just_ended_is_told_so(start, manager, monkeypatch):
    run = start("sleep 3", 1)

    def connect_too_late(address, key):
        run.cancel()
        run.wait(PATIENCE)
        return connect(address, key)

    connect = visiting.connect
    monkeypatch.setattr(visiting, "connect", connect_too_late)
    with pytest.raises(RunNotFound, match="has stopped"), run.client():
        pass


def test_the_run_goes_on_while_a_client_is_connected_and_says_so(start):
    run = start("sleep 3", 1)
    with run.client() as client:
        record = until(run, "end of the job", lambda record: states(record) == ["succeeded"])
        client.submit(time.sleep, 3).result()
        record = until(run, "status", lambda record: record.clients)
        assert (record.has_ended, record.clients) == (False, 1)
        assert record.summary.endswith("1 client connected")
        run.retry(0)
        assert client.submit(sum, [1, 2]).result() == 3
    assert (run.wait(PATIENCE).state, run.record().clients) == ("succeeded", 0)


def test_a_client_that_was_killed_holds_nothing_open(start, manager):
    run = start("sleep 5", 1)
    script = textwrap.dedent(f"""
        import os, signal
        from spot_connect.instance_manager import InstanceManager
        with InstanceManager(local=True).attach("{run.name}").client() as client:
            client.submit(sum, [1, 2]).result()
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert run.wait(PATIENCE).state == "succeeded"


def test_when_the_head_is_lost_so_are_the_clients_calls_and_only_they(start, manager):
    run = start(counting(60), 3, n_jobs=3, lease=20)
    until(run, "a job", running)

    def call_and_lose_the_head():
        with run.client() as client:
            call = client.submit(called(), 60, run.name)
            interrupt(manager, run.record().head, 0)
            call.result()

    with pytest.raises(RunInterrupted, match="head"):
        call_and_lose_the_head()
    assert states(run.wait(2 * PATIENCE)) == ["succeeded"] * 3


@pytest.mark.parametrize(("notice", "begun"), [(40, {"xx"}), (0, {"xxx", "xxxx"})])
def test_a_machine_that_is_lost_costs_a_call_no_more_than_its_time(start, manager, notice, begun):
    run = start("sleep 6", 2, n_jobs=2)
    record = until(run, "both machines", lambda record: len(running(record)) == 2)
    [other] = [line.id for line in manager.instances.values() if line.id != record.head]
    [head] = [line for line in manager.instances.values() if line.id == record.head]

    def marks():
        return head.run(f"cat ~/efs/{run.name}", cmd=True, return_output=True)

    with run.client() as client:
        place = worker_on(client, other)
        ended = client.submit(called(), 0, run.name, key="ended", workers=[place], allow_other_workers=True)
        assert ended.result() == 0
        call = client.submit(called(), 12, run.name, key="call", workers=[place], allow_other_workers=True)
        client.submit(called(), 0, f"{run.name}-beside", key="beside").result()
        wait_for("begin of the call", lambda: Seen(marks() == "xx" or None), seconds=PATIENCE, every=0.2)
        interrupt(manager, other, notice)
        assert call.result(PATIENCE) == 12
        wait_for(
            "end of its worker",
            lambda: Seen(place not in client.scheduler_info(n_workers=-1)["workers"] or None),
            seconds=PATIENCE,
            every=0.2,
        )
        assert (ended.result(), call.result()) == (0, 12)
        # With notice it ends where it began, and what was brought is moved; without, it is made again, and what was
        # brought, too, unless that was moved in time.
        assert marks() in begun


def test_another_python_or_dask_is_refused(start, manager):
    run = start("sleep 20", 1)
    record = until(run, "a job", running)
    [machine] = manager.instances.values()
    file = f"{record.directory}/members/{machine.id}.json"
    told = json.loads(machine.run(f"cat {file}", cmd=True, return_output=True))
    for other, words in ((told | {"python": [3, 9]}, "Python 3.9"), (told | {"dask": "2020.1.0"}, "2020.1.0")):
        machine.run(f"echo '{json.dumps(other)}' > {file}", cmd=True)
        with pytest.raises(VersionsDiffer, match=words), run.client():
            pass
    run.cancel()


def test_functions_of_another_python_are_refused_before_any_job_is_begun(manager, monkeypatch, heard):
    monkeypatch.setattr(versions, "PYTHON", (3, 9))
    name = f"other-{uuid.uuid4().hex[:8]}"
    with pytest.raises(VersionsDiffer, match=r"Python 3\.9"):
        manager.map(abs, [1, 2], "t2.micro", n_instances=2, name=name)
    assert not any("run as" in step for step in heard.steps)
    with pytest.raises(InstanceNotFound):
        manager.attach(name)


def test_without_dask_a_cluster_is_refused_before_anything_is_launched(manager, monkeypatch, heard):
    def version(name):
        raise versions.PackageNotFoundError(name)

    monkeypatch.setattr(versions, "version", version)
    with pytest.raises(UsageError, match=r"spot-connect\[jobs\]"):
        manager.cluster(1, "t2.micro")
    assert heard.steps == []


def test_another_key_is_refused(start, manager):
    run = start("sleep 15", 1)
    record = until(run, "a job", running)
    [machine] = manager.instances.values()
    told = machine.run(f"cat {record.directory}/head/attempts/0001/start.json", cmd=True, return_output=True)
    with pytest.raises(OSError, match="TLS"):
        visiting.connect(json.loads(told)["address"], shared_secret("somebody else"))
    with run.client() as client:
        assert client.submit(sum, [1, 2]).result() == 3
    run.cancel()


def test_a_run_that_has_ended_has_no_head(start, manager):
    run = start("true", 1, linger=3)
    run.wait(PATIENCE)
    with pytest.raises(RunNotFound, match="succeeded"), run.client():
        pass
    ended_machines(manager, run)
    with pytest.raises((RunInterrupted, InstanceNotFound), match="lives"), run.client():
        pass


def test_a_cluster_has_no_jobs_and_ends_itself_when_no_client_is_left(manager):
    run = manager.cluster(2, "t2.micro", name=f"cluster-{uuid.uuid4().hex[:8]}", filesystem="jobs-fs", idle=10)
    try:
        with run.client() as client:
            client.submit(time.sleep, 12).result()
            record = run.record()
            assert (record.jobs, record.state, record.clients) == ((), "running", 1)
        with run.client() as client:
            assert client.submit(sum, [1, 2]).result() == 3
        assert run.wait(PATIENCE).state == "succeeded"
        run.close()
        ended_machines(manager, run)
    finally:
        manager.cancel_fleet()
