"""What the head of distributed jobs makes of files that somebody is still writing, or has not lived to write."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from spot_connect.crew.batch import Batch
from spot_connect.crew.head import Head
from spot_connect.interruption import files

MACHINE = {"instance": "i-1"}


@pytest.fixture
def batch(tmp_path, monkeypatch):
    """A run with one job, which is tried once and may be interrupted once."""
    monkeypatch.setenv("HOME", str(tmp_path))
    run = Batch(tmp_path / "jobs" / "run")
    (run.job(0).directory / "attempts").mkdir(parents=True)
    files.write(run.job(0).directory / "spec.json", {"retries": 0, "max_interruptions": 1, "title": "job.sh"})
    files.write(run.directory / "spec.json", {"shared": True, "lease": 20, "slots": 1})
    return run


class SchedulerOfNobody:
    """What the head looks at, where nobody is connected."""

    def __init__(self):
        self.workers, self.tasks, self.clients, self.client_comms, self.plugins = {}, {}, {}, {}, []

    def add_plugin(self, plugin):
        self.plugins.append(plugin)

    def let_in(self, client):
        for plugin in self.plugins:
            plugin.add_client(scheduler=self, client=client)


def begun(batch):
    """A head that has read the files, and talks to nobody."""
    head = Head(batch, "i-head", SchedulerOfNobody(), SimpleNamespace(id="of the head"))
    head._read()
    return head


def waits(head):
    return [number for _, number in head._backlog.heap]


def test_an_attempt_that_has_not_said_a_word_yet_is_not_lost(batch):
    attempt = batch.job(0).claim(1)
    head = begun(batch)
    head._look()
    assert attempt.end() is None
    assert head._under_way == {0}


@pytest.mark.parametrize(("outcome", "exit_code", "end"), [("failed", 3, "failed"), ("succeeded", 0, "succeeded")])
def test_a_job_whose_runner_has_died_before_the_last_word_has_ended(batch, outcome, exit_code, end):
    attempt = batch.job(0).claim(1)
    files.write(attempt.directory / "start.json", {**MACHINE, "time": time.time()})
    attempt.close(outcome, exit_code=exit_code)
    assert waits(begun(batch)) == []
    assert batch.job(0).end()["outcome"] == end
    assert batch.job(0).end()["exit_code"] == exit_code


@pytest.mark.parametrize(("interruptions", "waiting"), [(0, [0]), (1, [0]), (2, [])])
def test_a_job_waits_as_long_as_it_may_be_interrupted(batch, interruptions, waiting):
    for number in range(1, interruptions + 1):
        batch.job(0).claim(number).close("interrupted")
    assert waits(begun(batch)) == waiting


def test_a_job_that_was_stopped_and_is_to_be_tried_again_waits(batch):
    batch.job(0).claim(1).close("stopped")
    assert waits(begun(batch)) == [0]


def test_a_client_that_has_asked_for_the_way_is_waited_for_until_it_has_come(batch):
    head = begun(batch)
    assert not head._is_visited()
    batch.announce_visit()
    head._scheduler.let_in("Client-worker-1")
    assert head._is_visited()
    head._scheduler.let_in("Client-visitor")
    assert not head._is_visited()


def test_a_client_that_does_not_come_is_not_waited_for_for_long(batch):
    files.write(batch.directory / "visit", {"time": time.time() - 60})
    assert not begun(batch)._is_visited()


@pytest.mark.parametrize("end", [Batch.ask_to_close, Batch.ask_to_stop])
def test_who_ends_a_run_waits_for_no_client_on_its_way(batch, end):
    batch.announce_visit()
    end(batch)
    assert not begun(batch)._is_visited()
