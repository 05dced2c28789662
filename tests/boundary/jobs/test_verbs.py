"""``spot_connect jobs`` as somebody types it."""

from __future__ import annotations

import json
import uuid

import pytest

from spot_connect.connect import main
from spot_connect.launching import ending, fleets
from spot_connect.launching.realm import Realm


@pytest.fixture
def typed(capsys):
    """``typed(words)`` is the exit status and standard output."""

    def type_in(*words):
        status = main(["jobs", "--local", *words])
        return status, capsys.readouterr().out

    return type_in


@pytest.fixture
def name():
    chosen = f"cli-{uuid.uuid4().hex[:8]}"
    yield chosen
    realm = Realm(local=True)
    fleet = fleets.find_fleet(realm, chosen, "us-east-1")
    ending.terminate(realm, fleet.instances if fleet else ())


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "job.sh"
    path.write_text(
        "echo job $SPOT_CONNECT_JOB; echo $SPOT_CONNECT_JOB > $SPOT_CONNECT_OUT_DIR/number\n"
        "[ $SPOT_CONNECT_JOB != 1 ] || [ $SPOT_CONNECT_ATTEMPT = 2 ]\n"
    )
    return str(path)


def test_from_the_launch_to_the_results(typed, name, script, tmp_path):
    status, out = typed("run", name, "-p", "t2.micro", "-s", script, "-n", "3", "--instances", "2", "-f", "cli-fs")
    assert status == 1
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        ["0", "succeeded"],
        ["1", "failed"],
        ["2", "succeeded"],
    ]
    status, out = typed("logs", name, "2")
    assert (status, out) == (0, "job 2\n")
    status, out = typed("retry", name, "1", "--json")
    assert status == 3
    status, out = typed("watch", name, "--json")
    told = json.loads(out)
    assert (status, told["state"], told["counts"]) == (0, "succeeded", {"succeeded": 3})
    status, out = typed("results", name, str(tmp_path / "out"))
    assert status == 0
    assert [(tmp_path / "out" / str(number) / "number").read_text() for number in range(3)] == ["0\n", "1\n", "2\n"]
    status, out = typed("ls", "--json")
    assert told["id"] in [one["id"] for one in json.loads(out)]
    assert typed("status", name)[0] == 0
    status, out = typed("close", name)
    assert (status, out.split()[0]) == (0, told["id"])


def test_when_all_instances_have_ended_another_one_tells_what_is_kept(typed, name, manager, tmp_path):
    script = tmp_path / "job.sh"
    script.write_text("echo kept > $SPOT_CONNECT_OUT_DIR/it\n")
    assert typed("run", name, "-p", "t2.micro", "-s", str(script), "-f", "cli-fs")[0] == 0
    manager.terminate([one.name for one in fleets.find_fleet(Realm(local=True), name, "us-east-1").instances])
    assert typed("results", name, str(tmp_path / "none"))[0] == 1
    other = manager.launch_instance(f"{name}-look", profile="t2.micro", filesystem="cli-fs")
    try:
        assert typed("results", name, str(tmp_path / "out"), "--on", other.name)[0] == 0
        assert (tmp_path / "out" / "0" / "it").read_text() == "kept\n"
    finally:
        other.terminate()


def test_jobs_can_be_left_come_back_to_and_cancelled(typed, name, tmp_path):
    script = tmp_path / "long.sh"
    script.write_text("sleep 100\n")
    status, out = typed("run", name, "-p", "t2.micro", "-s", str(script), "-f", "cli-fs", "--detach", "True", "--json")
    assert status == 3
    run_id = json.loads(out)["id"]
    assert typed("cancel", name, "--run", run_id)[0] in (1, 3)
    status, out = typed("attach", name, "--run", run_id, "--json")
    assert (status, json.loads(out)["state"]) == (1, "stopped")


@pytest.mark.parametrize(
    "words",
    [
        ["run", "never", "-p", "t2.micro"],
        ["run", "never", "-s", "job.sh"],
        ["run", "never", "-p", "t2.micro", "-s", "/no/such/script"],
        ["run", "never", "-p", "t2.micro", "-s", "/etc/hostname", "--slots", "many"],
        ["run", "never", "-p", "t2.micro", "-s", "/etc/hostname", "--retries", "-1"],
        ["logs", "never"],
        ["dance", "never"],
    ],
)
def test_wrong_words_are_refused(typed, words):
    assert typed(*words)[0] == 2


def test_jobs_that_there_are_none_of_are_not_found(typed):
    assert typed("status", "nobody-has-this-name")[0] == 1
