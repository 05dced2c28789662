"""Runs that go on without their caller, and without their machine, as somebody at a shell meets them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest

from spot_connect.core.waiting import Seen, wait_for
from tests.journeys.conftest import SCRIPT, SECONDS, Person

ROOT = Path(__file__).resolve().parents[2]
RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}\n")
PATIENCE = 60
# Only what bash does itself: SIGTERM goes to the whole group, and would end a program in the middle of saving.
COUNT = """
state=$SPOT_CONNECT_CHECKPOINT_DIR/n
n=$(cat $state 2>/dev/null)
n=${{n:-0}}
trap 'stop=1' TERM
while [ $n -lt {until} ]; do
  n=$((n+1)); echo $n; echo $n > $state
  [ -z "$stop" ] || exit 75
  sleep 0.1
done
exit {status}
"""


def count(until, status=0):
    return COUNT.format(until=until, status=status)


def numbers(text):
    return [int(line) for line in text.split() if line.isdigit()]


def until(what, look):
    """Wait until ``look()`` is true; what it returned."""

    def seen():
        found = look()
        return Seen(found or None, str(found))

    return wait_for(what, seen, seconds=PATIENCE, every=0.2)


def listed(person):
    return json.loads(person.types("list", "--json").stdout)


def ids(person, name):
    return [one["id"] for one in listed(person) if one["name"] == name]


def runs(person, name):
    result = person.types("runs", name, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def begun(person, name, text, *words):
    """The id of a detached run of the script."""
    person.writes("script.sh", text)
    result = person.types("-n", name, "-s", "script.sh", "--detach", "True", *words)
    assert result.returncode == 0, result.stderr
    assert RUN_ID.fullmatch(result.stdout)
    return result.stdout.strip()


def taken_away(person, name):
    """AWS takes the machine away while nobody looks."""
    gone = ids(person, name)
    assert person.types("local", "interrupt", name, "--in", "6").returncode == 0
    until("its end", lambda: not set(gone) & set(ids(person, name)))


@contextmanager
def following(person, *words):
    """The command, running, with its output in a pipe and its notes in the file ``notes``."""
    with (person.directory / "notes").open("w") as notes:
        process = subprocess.Popen(
            [SCRIPT, *words], cwd=person.directory, env=person.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=notes,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def reads(process, wanted):
    """What the process has printed, up to the line that is wanted."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.strip() == wanted:
            break
    return "".join(lines)


@pytest.fixture(scope="module")
def somebody(cloud_home, tmp_path_factory):
    """Somebody with a machine called ``runner``, for the tests that leave it as it was."""
    person = Person(cloud_home, tmp_path_factory.mktemp("runs") / "work", SPOT_CONNECT_LOCAL="1")
    launched = person.types("-n", "runner", "-p", "t2.micro")
    assert launched.returncode == 0, launched.stderr
    yield person
    person.types("terminate", "runner")


@pytest.fixture
def kept(person, name):
    """A machine with a file system that outlives it."""
    launched = person.types("-n", name, "-p", "t2.micro", "-f", "kept")
    assert launched.returncode == 0, launched.stderr
    return name


def test_a_detached_run_prints_its_id_and_says_how_to_come_back(somebody):
    somebody.writes("script.sh", "echo hello; exit 3\n")
    result = somebody.types("-n", "runner", "-s", "script.sh", "--detach", "True")
    assert result.returncode == 0
    assert RUN_ID.fullmatch(result.stdout)
    assert f"spot_connect logs runner {result.stdout.strip()} -f" in result.stderr
    followed = somebody.types("logs", "runner", result.stdout.strip(), "-f")
    assert (followed.returncode, followed.stdout) == (3, "hello\n")


def test_runs_are_listed_for_people_and_for_programs(somebody):
    well = begun(somebody, "runner", "true\n")
    ill = begun(somebody, "runner", "exit 37\n")
    assert somebody.types("logs", "runner", ill, "-f").returncode == 37
    assert somebody.types("logs", "runner", well, "-f").returncode == 0
    shown = somebody.types("runs", "runner")
    header, *rows = shown.stdout.splitlines()
    assert header.split() == ["run", "state", "exit", "attempts", "interruptions", "began", "took", "what"]
    assert next(row for row in rows if row.startswith(well)).split()[1:3] == ["succeeded", "0"]
    assert next(row for row in rows if row.startswith(ill)).split()[1:3] == ["failed", "37"]
    told = {one["run"]: one for one in runs(somebody, "runner")}
    assert (told[ill]["state"], told[ill]["exit_code"], told[ill]["what"]) == ("failed", 37, "script.sh")
    assert told[ill]["on_file_system"] is False
    assert [one["number"] for one in told[ill]["attempts"]] == [1]
    assert list(told) == sorted(told)


def test_a_log_is_shown_as_far_as_it_has_come(somebody):
    first = begun(somebody, "runner", "echo one; exit 5\n")
    begun(somebody, "runner", "echo two; sleep 300\n")
    assert somebody.types("logs", "runner", first, "-f").returncode == 5
    until("a line", lambda: somebody.types("logs", "runner").stdout == "two\n")
    again = somebody.types("logs", "runner", first)
    assert (again.returncode, again.stdout) == (0, "one\n")
    assert somebody.types("stop", "runner").returncode == 0


def test_every_line_of_a_run_under_way_comes_once_and_then_its_status(somebody):
    run = begun(somebody, "runner", count(40, status=9))
    followed = somebody.types("logs", "runner", run, "-f")
    assert followed.returncode == 9
    assert numbers(followed.stdout) == list(range(1, 41))


def test_a_run_is_stopped(somebody):
    run = begun(somebody, "runner", "echo begun; sleep 300\n")
    stopped = somebody.types("stop", "runner", run)
    assert stopped.returncode == 0
    assert f"{run}: stopped" in stopped.stderr
    assert next(one for one in runs(somebody, "runner") if one["run"] == run)["state"] == "stopped"
    assert somebody.types("logs", "runner", run, "-f").returncode == 143
    again = somebody.types("stop", "runner", run)
    assert again.returncode == 0
    assert "has ended already: stopped" in again.stderr


def test_ctrl_c_leaves_the_log_and_not_the_run(somebody):
    run = begun(somebody, "runner", count(600))
    terminal = somebody.sits_at("logs", "runner", run, "-f")
    terminal.expect("\r\n5\r\n")
    terminal.sendintr()
    terminal.expect(f"{run} goes on without you; `spot_connect logs runner {run} -f` comes back to it")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130
    before = len(numbers(somebody.types("logs", "runner", run).stdout))
    until("more", lambda: len(numbers(somebody.types("logs", "runner", run).stdout)) > before)
    assert somebody.types("stop", "runner", run).returncode == 0


@pytest.mark.parametrize("verb", [("logs",), ("logs", "-f"), ("stop",), ("resume",)], ids=" ".join)
def test_an_unknown_run_is_an_error(somebody, verb):
    result = somebody.types(verb[0], "runner", "20201125-074501-9f3a", *verb[1:])
    assert result.returncode == 1
    assert result.stdout == ""
    assert "`spot_connect runs runner`" in result.stderr
    wrong = somebody.types(verb[0], "runner", "yesterday", *verb[1:])
    assert wrong.returncode == 2
    assert "'yesterday' is not the id of a run" in wrong.stderr


@pytest.mark.parametrize("verb", ["runs", "logs", "stop", "resume"])
def test_an_unknown_name_is_an_error_and_launches_nothing(person, verb):
    result = person.types(verb, "nobody-of-that-name")
    assert result.returncode == 1
    assert "cannot connect to nobody-of-that-name" in result.stderr
    assert not ids(person, "nobody-of-that-name")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--detach", "True"), "Name a script with -s"),
        (("--resume", "True", "-f", "kept"), "Name a script with -s"),
        (("-s", "script.sh", "--resume", "True"), "Mount one with -f"),
        (("-s", "script.sh", "--resume", "True", "-p", "no-such-type"), "no-such-type"),
        (("-s", "script.sh", "--detach", "perhaps"), "True False yes no 1 0"),
        (("-s", "missing.sh", "--detach", "True"), "missing.sh"),
        (("-s", "script.sh", "--max-replacements", "3"), "Add --resume True"),
        (("-s", "script.sh", "--detach", "True", "--max-cost", "2"), "Add --resume True"),
        (("-s", "script.sh", "--fallback", "on-demand"), "Add --resume True"),
        (("-s", "script.sh", "-f", "kept", "--resume", "True", "--fallback", "cheap"), "'cheap' is not a fallback"),
        (("-s", "script.sh", "-f", "kept", "--resume", "True", "--max-replacements", "0"), "a number from 1"),
        (("-s", "script.sh", "-f", "kept", "--resume", "True", "--max-replacements", "many"), "a number from 1"),
        (("-s", "script.sh", "-f", "kept", "--resume", "True", "--max-cost", "-1"), "2.50"),
        (("-s", "script.sh", "-f", "kept", "--resume", "True", "--max-cost", "cheap"), "2.50"),
    ],
)
def test_bad_input_is_refused_before_anything_is_launched(person, words, said):
    person.writes("script.sh", "true\n")
    result = person.types("-n", "never-launched", "-p", "t2.micro", *words)
    assert result.returncode == 2, result.stderr
    assert said in result.stderr
    assert not ids(person, "never-launched")


def test_the_whole_story_of_an_interruption(person, kept):
    first = ids(person, kept)
    person.writes("count.sh", count(120))
    hook = "echo $SPOT_CONNECT_ATTEMPT $SPOT_CONNECT_SECONDS_LEFT >> ~/efs/hook"
    words = ("-n", kept, "-s", "count.sh", "--resume", "True", "--max-cost", "1", "--on-interrupt", hook)
    with following(person, *words) as process:
        heard = reads(process, "20")
        assert person.types("local", "interrupt", kept, "--in", "14").returncode == 0
        heard += process.stdout.read()
        assert process.wait(SECONDS) == 0
    assert numbers(heard) == list(range(1, 121))
    notes = (person.directory / "notes").read_text()
    assert "is told that it ends in" in notes
    assert "goes on as attempt 2" in notes
    until("the end of the first", lambda: not set(first) & set(ids(person, kept)))
    (run,) = runs(person, kept)
    assert (run["state"], run["interruptions"], run["on_file_system"]) == ("succeeded", 1, True)
    assert [one["outcome"] for one in run["attempts"]] == ["interrupted", "succeeded"]
    assert [[run["attempts"][0]["instance"]], ids(person, kept)] == [first, [run["attempts"][1]["instance"]]]
    assert numbers(person.types("logs", kept, run["run"]).stdout) == list(range(1, 121))
    hooked = person.types("-n", kept, "-s", str(person.writes("look.sh", "cat ~/efs/hook\n"))).stdout
    assert [line.split()[0] for line in hooked.splitlines()] == ["1"]


def test_what_was_brought_up_to_date_is_there_for_the_next_machine(person, kept):
    person.writes("project/limit", "90\n")
    person.writes("count.sh", count("$(cat limit)"))
    with following(person, "-n", kept, "--sync", "project", "-s", "count.sh", "--resume", "True") as process:
        heard = reads(process, "20")
        assert person.types("local", "interrupt", kept, "--in", "14").returncode == 0
        heard += process.stdout.read()
        assert process.wait(SECONDS) == 0, (person.directory / "notes").read_text()
    assert numbers(heard) == list(range(1, 91))
    assert len(runs(person, kept)[0]["attempts"]) == 2


def test_it_is_there_for_who_goes_on_later_too(person, kept):
    person.writes("project/limit", "90\n")
    begun(person, kept, count("$(cat limit)"), "--sync", "project")
    taken_away(person, kept)
    resumed = person.types("resume", kept)
    assert resumed.returncode == 0, resumed.stderr
    assert numbers(resumed.stdout) == list(range(1, 91))


def test_what_was_interrupted_while_nobody_looked_goes_on_by_name(person, kept):
    run = begun(person, kept, count(90, status=4))
    taken_away(person, kept)
    for words in (("logs", kept, "-f"), ("runs", kept), ("-n", kept)):
        result = person.types(*words)
        assert result.returncode == 6, result.stderr
        assert "AWS took the spot instance away" in result.stderr
        assert f"resume {kept}" in result.stderr
    assert not ids(person, kept)
    resumed = person.types("resume", kept)
    assert resumed.returncode == 4, resumed.stderr
    assert numbers(resumed.stdout) == list(range(1, 91))
    assert runs(person, kept)[0]["run"] == run


def test_it_goes_on_detached_too(person, kept):
    run = begun(person, kept, count(200))
    taken_away(person, kept)
    resumed = person.types("resume", kept, run, "--detach", "True")
    assert (resumed.returncode, resumed.stdout) == (0, f"{run}\n")
    followed = person.types("logs", kept, "-f")
    assert followed.returncode == 0
    assert numbers(followed.stdout) == list(range(1, 201))
    again = person.types("resume", kept, run)
    assert again.returncode == 0
    assert [one["number"] for one in runs(person, kept)[0]["attempts"]] == [1, 2]


def test_with_nothing_to_resume_no_machine_is_left_behind(person, kept):
    run = begun(person, kept, "true\n")
    assert person.types("logs", kept, run, "-f").returncode == 0
    taken_away(person, kept)
    result = person.types("resume", kept)
    assert result.returncode == 1
    assert f"{kept} has no run to go on with" in result.stderr
    assert "was terminated again" in result.stderr
    assert not ids(person, kept)


def test_coming_back_by_name_offers_to_go_on(person, kept):
    begun(person, kept, count(90))
    taken_away(person, kept)
    question = r"AWS took the spot instance away\. Go on with its last run on another machine\? \[y/N\] "
    terminal = person.sits_at(kept, size=(30, 300))
    terminal.expect(question)
    terminal.sendline("n")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 6
    assert not ids(person, kept)
    terminal = person.sits_at(kept, size=(30, 300))
    terminal.expect(question)
    terminal.sendline("y")
    terminal.expect("\r\n90\r\n")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    assert runs(person, kept)[0]["state"] == "succeeded"


def test_a_new_machine_of_the_name_tells_of_the_run_that_waits(person, kept):
    run = begun(person, kept, count(600))
    taken_away(person, kept)
    launched = person.types("-n", kept, "-p", "t2.micro", "-f", "kept")
    assert launched.returncode == 0
    assert f"run {run} (script.sh) has not ended; `spot_connect resume {kept}` goes on with it" in launched.stderr


def test_a_limit_that_is_reached_ends_with_status_6(person, kept):
    run = begun(person, kept, count(600), "--resume", "True", "--max-cost", "0.00001")
    with following(person, "logs", kept, run, "-f") as process:
        heard = reads(process, "10")
        assert person.types("local", "interrupt", kept, "--in", "6").returncode == 0
        heard += process.stdout.read()
        assert process.wait(SECONDS) == 6
    assert numbers(heard) == list(range(1, len(numbers(heard)) + 1))
    assert "which is the limit" in (person.directory / "notes").read_text()


# It takes a minute where nothing else runs.
@pytest.mark.timeout(400)
def test_the_rehearsal_of_the_examples_counts_every_number_once(person):
    script = ROOT / "examples" / "interruption" / "rehearse.sh"
    path = os.pathsep.join([str(Path(SCRIPT).parent), os.environ["PATH"]])
    environment = {**person.environment, "PATH": path}
    played = subprocess.run(
        ["bash", script], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert played.returncode == 0, played.stderr
    assert played.stdout.count("every number from 1 to 150 once") == 2
    assert played.stdout.count("attempt 2 begins after") == 2
    assert re.search(r"^the hook ran, with \d+ seconds left$", played.stdout, re.MULTILINE)
    assert "\nstatus 6\n" in played.stdout
    assert not ids(person, "rehearsal")
