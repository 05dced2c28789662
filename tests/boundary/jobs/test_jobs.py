"""Scripts side by side on several machines, each of which ends exactly once."""

from __future__ import annotations

from pathlib import Path

import pytest

from spot_connect.core.errors import RunNotFound, UsageError
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.launching import finding
from tests.boundary.jobs.conftest import PATIENCE, states

MARK = "echo begin $(date +%s.%N); sleep {seconds}; echo end $(date +%s.%N)"


def span(log):
    """When a job began and ended."""
    begin, end = log.decode().split("\n")[:2]
    return float(begin.split()[1]), float(end.split()[1])


@pytest.mark.parametrize("filesystem", ["jobs-fs", None])
@pytest.mark.late
def test_more_jobs_than_machines_each_run_once_side_by_side(start, filesystem, tmp_path):
    script = MARK.format(seconds=3) + "; echo $SPOT_CONNECT_JOB > $SPOT_CONNECT_OUT_DIR/number"
    run = start(script, 3, n_jobs=9, filesystem=filesystem)
    record = run.wait(PATIENCE)
    assert states(record) == ["succeeded"] * 9
    assert {job.attempts for job in record.jobs} == {1}
    assert len({job.instance for job in record.jobs}) == 3
    spans = [span(run.logs(number)) for number in range(9)]
    at_once = [sum(begin <= moment < end for begin, end in spans) for moment, _ in spans]
    assert max(at_once) == 3
    found = run.results(tmp_path)
    assert [path.name for path in found] == [str(number) for number in range(9)]
    assert run.results(tmp_path) == found
    assert [(path / "number").read_text() for path in found] == [f"{number}\n" for number in range(9)]


def test_more_jobs_than_an_argument_or_a_packet_holds(start):
    run = start("test ${#LONG} = 1000", 2, n_jobs=400, env={"LONG": "'" * 1000})
    assert states(run.wait(2 * PATIENCE)) == ["succeeded"] * 400


def test_each_job_finds_its_own_files_in_the_directory_asked_for(start, tmp_path):
    for number in range(3):
        (tmp_path / f"part_{number}.txt").write_text(f"part {number}\n")
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "all.txt").write_text("for all\n")
    uploads = [[tmp_path / f"part_{number}.txt", tmp_path / "common"] for number in range(3)]
    run = start(
        "cat work/part_$SPOT_CONNECT_JOB.txt work/common/all.txt", n_jobs=3, uploads=uploads, upload_path="work"
    )
    assert states(run.wait(PATIENCE)) == ["succeeded"] * 3
    assert [run.logs(number) for number in range(3)] == [f"part {number}\nfor all\n".encode() for number in range(3)]


@pytest.mark.parametrize("filesystem", ["jobs-fs", None])
def test_a_job_that_fails_is_tried_as_often_as_was_asked_for(start, filesystem):
    third_time = 'echo x >> $SPOT_CONNECT_CHECKPOINT_DIR/n; [ "$(wc -l < $SPOT_CONNECT_CHECKPOINT_DIR/n)" = 3 ]'
    run = start([third_time, "exit 7", "echo fine"], retries=2, filesystem=filesystem)
    record = run.wait(PATIENCE)
    assert states(record) == ["succeeded", "failed", "succeeded"]
    assert [job.failures for job in record.jobs] == [2, 3, 0]
    assert [job.exit_code for job in record.jobs] == [0, 7, 0]
    assert record.state == "failed"


def test_a_job_that_takes_too_long_has_failed(start):
    run = start(["sleep 60", "echo fine"], timeout=2)
    record = run.wait(PATIENCE)
    assert states(record) == ["failed", "succeeded"]
    assert record.jobs[0].why == "timed-out"


def test_an_instance_may_have_several_slots(start):
    run = start(MARK.format(seconds=2), 1, n_jobs=3, slots=3)
    run.wait(PATIENCE)
    begun = [span(run.logs(number))[0] for number in range(3)]
    assert max(begun) - min(begun) < 2


def test_scripts_come_from_files_too_and_get_the_variables_asked_for(start, tmp_path):
    script = tmp_path / "job.py"
    script.write_bytes(b"import os\r\nprint(os.environ['COLOUR'])\r\n")
    run = start([script], 1, env={"COLOUR": "blue"})
    record = run.wait(PATIENCE)
    assert (run.logs(0), record.jobs[0].title) == (b"blue\n", "job.py")


@pytest.mark.parametrize("filesystem", ["jobs-fs", None])
def test_one_job_or_all_can_be_cancelled(start, filesystem):
    run = start("echo on; sleep 60", 2, n_jobs=4, filesystem=filesystem)

    def two_run():
        found = states(run.record())
        return Seen(found.count("running") == 2 or None, str(found))

    wait_for("two jobs", two_run, seconds=PATIENCE, every=0.2)
    first = states(run.record()).index("running")
    run.cancel(first)
    wait_for(
        "end of one", lambda: Seen(run.record().jobs[first].state == "stopped" or None), seconds=PATIENCE, every=0.2
    )
    assert run.cancel().id == run.id
    assert set(states(run.wait(PATIENCE))) == {"stopped"}
    assert run.record().state == "stopped"


def test_the_log_of_a_job_can_be_followed_while_it_runs(start):
    run = start("for i in 1 2 3; do echo $i; sleep 0.5; done", 1)
    wait_for("attempt", lambda: Seen(run.record().jobs[0].attempts or None), seconds=PATIENCE, every=0.2)
    pieces = []
    run.logs(0, pieces.append, follow=True)
    assert b"".join(pieces) == b"1\n2\n3\n"


def test_everything_ends_itself_when_the_jobs_have_ended(start, manager):
    # Long enough to be asked on a busy computer.
    run = start("echo done", 2, n_jobs=2, linger=8)
    run.wait(PATIENCE)
    seen = [line.seen for line in manager.instances.values()]

    def look():
        found = [one.state for one in finding.again(manager._realm, seen).values()]
        return Seen(set(found) <= {"terminated", "shutting-down"} or None, str(found))

    wait_for("end of the machines", look, seconds=PATIENCE, every=0.5)
    assert run.record().state == "succeeded"


def test_what_is_closed_already_can_be_closed_again(start, manager):
    run = start("echo done", 1)
    run.wait(PATIENCE)
    run.close()
    [line] = manager.instances.values()
    wait_for(
        "end of the machine",
        lambda: Seen(finding.again(manager._realm, [line.seen])[line.id].state == "terminated" or None),
        seconds=PATIENCE,
        every=0.5,
    )
    run.close()


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ((3, ["a", "b"]), {}),
        ((0, ["a"]), {}),
        ((True, ["a"]), {}),
        ((1, []), {}),
        ((2, ["a", "b"]), {"uploads": ["one"]}),
        ((1, ["a"]), {"uploads": ["/no/such/file"]}),
        ((1, [Path("/no/such/script")]), {}),
        ((1, ["a"]), {"slots": "many"}),
        ((1, ["a"]), {"retries": -1}),
        ((1, ["a"]), {"timeout": 0}),
        ((1, ["a"]), {"max_hours": 0}),
        ((1, ["a"]), {"n_instances": 0}),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_launched(manager, heard, arguments, settings):
    with pytest.raises(UsageError):
        manager.run_distributed_jobs("never", *arguments, "t2.micro", "never-fs", **settings)
    assert manager.instances == {}
    assert heard.steps == []


def test_a_job_that_there_is_none_of_is_refused(start):
    run = start("echo fine", 1)
    run.wait(PATIENCE)
    with pytest.raises(RunNotFound):
        run.logs(1)
    with pytest.raises(UsageError):
        run.logs(0, attempt=2)
