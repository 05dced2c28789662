"""Python functions on several machines."""

from __future__ import annotations

import uuid

import pytest

from spot_connect.core.errors import ScriptFailed, UsageError
from tests.boundary.jobs.conftest import interrupt
from tests.boundary.jobs.test_trouble import victim_of


@pytest.fixture
def call(manager):
    """``call(function, items)`` is a run whose machines are ended afterwards."""

    def begin(function, items, **settings):
        given = {"n_instances": 2, "filesystem": "jobs-fs", **settings}
        return manager.map(function, items, "t2.micro", name=f"map-{uuid.uuid4().hex[:8]}", **given)

    yield begin
    for fleet in list(manager.fleets):
        manager.cancel_fleet(fleet)


def test_answers_come_in_the_order_of_the_items(call):
    factor = 3
    run = call(lambda number: number * factor, range(20))
    assert run.gather(60) == [number * 3 for number in range(20)]
    assert len(run.record().jobs) == 8


def test_answers_can_be_gathered_later_and_where_the_run_began_elsewhere(call, manager):
    run = call(lambda number: (number,), range(4))
    run.wait(60)
    assert manager.attach(run.name).gather(60) == [(number,) for number in range(4)]
    # As on a computer that has never had the key.
    manager._realm.state.path("jobs", run.id, "answers.key").unlink()
    assert manager.attach(run.name).gather(60) == [(number,) for number in range(4)]


def test_what_a_function_raises_is_raised_here(call):
    def odd_only(number):
        if number % 2 == 0:
            raise KeyError(number)
        return number

    run = call(odd_only, range(1, 5), chunks=2, filesystem=None)
    with pytest.raises(KeyError, match="2"):
        run.gather(60)
    assert b"Traceback" in run.logs(0)


def test_an_interrupted_job_calls_nothing_twice(call, manager, tmp_path):
    def slow(number):
        import os
        import time
        from pathlib import Path

        with (Path(os.environ["SPOT_CONNECT_OUT_DIR"]) / "called").open("a") as called:
            called.write(f"{number}\n")
        time.sleep(1)
        return number

    run = call(slow, range(40), chunks=20)
    victim = victim_of(run)
    interrupt(manager, victim.instance, 12)
    assert run.gather(110) == list(range(40))
    assert run.record().interruptions == 1
    called = [int(line) for path in run.results(tmp_path) for line in (path / "called").read_text().split()]
    # A call that was under way at SIGTERM is made again; none that had an answer is.
    assert len(called) <= 41


def test_a_job_that_brings_no_answer_says_why(call):
    def leaves(_):
        import os

        os._exit(9)

    with pytest.raises(ScriptFailed, match="brought no answers"):
        call(leaves, [1], n_instances=1).gather(60)


@pytest.mark.parametrize(
    ("function", "items", "settings"),
    [(abs, [], {}), (abs, [(number for number in ())], {}), (abs, [1], {"chunks": 0})],
)
def test_what_cannot_be_sent_is_refused_before_anything_is_launched(manager, heard, function, items, settings):
    with pytest.raises(UsageError):
        manager.map(function, items, "t2.micro", **settings)
    assert heard.steps == []
