"""What runs on the instance: old Pythons, the standard library, and what the metadata service may answer."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

from spot_connect.interruption import files, until_notice
from spot_connect.interruption import notice as noticing
from spot_connect.interruption.__main__ import _tell as tell
from spot_connect.interruption.ledger import ENDED, TRANSITIONS, Attempt, Run
from spot_connect.interruption.mirror import Mirror
from spot_connect.interruption.runner import begin
from spot_connect.runs.agent import program

INTERRUPTION = Path(noticing.__code__.co_filename).parent
OLD_ENOUGH = ("__init__", "__main__", "answers", "asking", "batch", "capacity", "enlisting")
"""Of what jobs need on an instance, what has to run before there is a Python with dask."""
SHARED = (INTERRUPTION.parent / "core" / f"{name}.py" for name in ("booting", "packages"))
CREW = (INTERRUPTION.parent / "crew" / f"{name}.py" for name in OLD_ENOUGH)
MODULES = sorted((*INTERRUPTION.glob("*.py"), *CREW, *SHARED))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_module_is_python_of_2018(path):
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 7))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_module_needs_more_than_the_standard_library(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            ours = name.startswith(("spot_connect.interruption", "spot_connect.crew", "spot_connect.core."))
            assert ours or name.partition(".")[0] in sys.stdlib_module_names


def test_the_program_is_the_same_bytes_each_time_and_runs_from_its_one_file(tmp_path):
    file = tmp_path / "agent.zip"
    file.write_bytes(program())
    program.cache_clear()
    assert program() == file.read_bytes()
    asked = json.dumps({"name": "nobody", "instance": "i-1"})
    done = subprocess.run(
        [sys.executable, "-I", str(file), "list"],
        input=asked,
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(tmp_path)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("asked", [0, 1, 2])
def test_a_run_that_ends_while_it_is_told_is_not_told_without_its_exit_status(tmp_path, monkeypatch, capsys, asked):
    run = Run(tmp_path / "run")
    run.claim(1).close("succeeded", exit_code=0)
    ends = iter([None] * asked)
    monkeypatch.setattr(Run, "end", lambda _: next(ends, {"outcome": "succeeded", "exit_code": 0}))
    tell(run, "i-1")
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["exit_code"]) == ("succeeded", 0)


def test_an_attempt_that_ends_between_two_looks_is_not_lost(tmp_path, monkeypatch, capsys):
    run = Run(tmp_path / "run")
    attempt = run.claim(1)

    def end_now(_):
        attempt.close("succeeded", exit_code=0)
        return False

    monkeypatch.setattr("spot_connect.interruption.__main__.runner.is_alive", end_now)
    files.write(attempt.directory / "start.json", {"instance": "i-1"})
    tell(run, "i-1")
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["exit_code"]) == ("succeeded", 0)


@pytest.mark.parametrize("outcome", ["interrupted", "lost", "fenced"])
def test_an_attempt_that_was_cut_off_says_nothing_of_how_the_run_ends(tmp_path, capsys, outcome):
    run = Run(tmp_path / "run")
    run.claim(1).close(outcome, exit_code=75)
    tell(run, "i-1")
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["exit_code"], told["ended"]) == (outcome, None, None)


def test_every_state_that_may_follow_is_a_state():
    assert {state for following in TRANSITIONS.values() for state in following} <= set(TRANSITIONS)
    assert set(ENDED) == {"succeeded", "failed", "stopped"}


@pytest.fixture
def told(tmp_path, monkeypatch):
    path = tmp_path / "notice.json"
    monkeypatch.setenv("SPOT_CONNECT_NOTICE_FILE", str(path))
    return path


def test_without_a_notice_the_answer_is_none(told):
    assert noticing() is None


def test_the_notice_is_the_deadline(told):
    told.write_text(json.dumps({"deadline": 0, "seen": 0}))
    assert noticing() == datetime(1970, 1, 1, tzinfo=timezone.utc)


def test_a_loop_ends_at_the_notice_and_not_in_the_middle_of_a_step(told):
    steps = []
    for step in until_notice(range(10)):
        steps.append(step)
        if step == 3:
            told.write_text(json.dumps({"deadline": 0, "seen": 0}))
    assert steps == [0, 1, 2, 3]


def test_away_from_ec2_the_answer_is_none(monkeypatch):
    monkeypatch.delenv("SPOT_CONNECT_NOTICE_FILE", raising=False)
    script = "from spot_connect.interruption import notice; print(notice())"
    environment = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9/", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout) == (0, "None\n")


def test_of_two_who_claim_an_attempt_one_has_it(tmp_path):
    run = Run(tmp_path)
    assert isinstance(run.claim(1), Attempt)
    assert run.claim(1) is None
    assert [one.number for one in run.attempts()] == [1]


def test_of_two_ends_the_first_stays(tmp_path):
    run = Run(tmp_path)
    assert run.finish("succeeded", 0)
    assert not run.finish("failed", 1)
    assert run.end()["outcome"] == "succeeded"


def test_an_attempt_that_was_taken_for_dead_ends_before_another_begins(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    run = Run(tmp_path / "run")
    for name in ("scripts", "state", "out"):
        (run.directory / name).mkdir(parents=True)
    # It is declared lost by its own script, in the place of somebody who does not hear of it.
    lost = '{"outcome": "lost", "ended": 0}'
    text = f"sleep 1; echo '{lost}' > {run.directory}/attempts/0001/end.json; sleep 20; touch {tmp_path}/late"
    (run.directory / "scripts" / "0-job.sh").write_text(text)
    assert begin(run, 1, "i-1") == 0
    assert not (tmp_path / "late").exists()
    assert run.end() is None
    assert run.outcomes() == ["lost"]


def test_a_mirror_has_every_byte_once_also_after_trouble(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"one\n")
    mirror = Mirror(source, target)
    mirror.finish()
    target.rename(tmp_path / "kept")
    target.mkdir()
    with source.open("ab") as more:
        more.write(b"two\n")
    mirror.finish()
    assert "target" in mirror.failure
    target.rmdir()
    (tmp_path / "kept").rename(target)
    mirror.finish()
    assert mirror.failure == ""
    assert target.read_bytes() == b"one\ntwo\n"


def attempted(run, *outcomes):
    """The run after attempts that ended so."""
    for number, outcome in enumerate(outcomes, 1):
        attempt = run.claim(number)
        attempt.close(outcome)
        run.settle(outcome, 1)
    return run


def specified(directory, **spec):
    directory.joinpath("spec.json").write_text(json.dumps(spec))
    return Run(directory)


def test_without_retries_the_first_failure_is_the_end(tmp_path):
    assert attempted(specified(tmp_path), "interrupted", "failed").end()["outcome"] == "failed"


def test_failures_and_interruptions_are_counted_apart(tmp_path):
    run = attempted(specified(tmp_path, retries=2), "failed", "interrupted", "lost", "fenced", "timed-out")
    assert run.end() is None
    assert run.outcomes() == ["failed", "interrupted", "lost", "fenced", "timed-out"]
    run.claim(6).close("failed")
    run.settle("failed", 1)
    assert run.end()["why"] == "failed"


def test_a_run_that_was_interrupted_too_often_has_failed_and_says_why(tmp_path):
    run = attempted(specified(tmp_path, max_interruptions=1), "interrupted", "lost")
    assert (run.end()["outcome"], run.end()["why"]) == ("failed", "interrupted 2 times")
