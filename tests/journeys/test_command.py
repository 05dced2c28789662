"""One command on a machine by its name, from its launch to the next machine of that name."""

from __future__ import annotations

import json
import subprocess

import pexpect
import pytest

from tests.holders import end_holder, holder_of, until_gone, until_held
from tests.journeys.conftest import SCRIPT, SECONDS

PROMPT = r"[$#] $"


@pytest.fixture(autouse=True)
def _no_holder_is_left(person, name):
    yield
    end_holder(root_of(person), name)


def root_of(person):
    return person.home / "local" / "client"


def id_of(person, name):
    [found] = [one for one in json.loads(person.types("list", "--json").stdout) if one["name"] == name]
    return found["id"]


def test_a_machine_is_launched_for_a_command_and_the_next_ones_share_a_line(person, name):
    first = person.types("-n", name, "-p", "t2.micro", "-c", "echo out; echo err >&2; cat; exit 3", stdin="in\n")
    assert (first.stdout, first.returncode) == ("out\nin\n", 3)
    assert "launched" in first.stderr
    holder = until_held(root_of(person), name)
    again = [person.types("-n", name, "-c", "echo $SSH_CONNECTION; echo err >&2; exit 4") for _ in range(2)]
    assert [(one.stderr, one.returncode) for one in again] == [("err\n", 4)] * 2
    assert again[0].stdout == again[1].stdout != ""
    assert holder_of(root_of(person), name) == holder


def test_the_same_name_is_another_machine_after_it_was_launched_again(person, name):
    for _ in range(2):
        assert person.types("-n", name, "-p", "t2.micro").returncode == 0
        assert person.types("-n", name, "-c", "ls -A mark || touch mark && echo new").stdout == "new\n"
        holder = holder_of(root_of(person), name)
        assert holder
        assert person.types("terminate", name).returncode == 0
        until_gone(holder)
    ended = person.types("-n", name, "-c", "echo here")
    assert (ended.stdout, ended.returncode) == ("", 1)


def test_a_machine_that_somebody_else_has_replaced_is_never_taken_for_its_successor(person, machine, tmp_path):
    """Another computer ends it and launches another: this one hears of neither."""
    assert person.types("-n", machine, "-c", "echo held").stdout == "held\n"
    old, held = id_of(person, machine), holder_of(root_of(person), machine)
    alias = root_of(person) / "ssh" / f"{machine}.conf"
    known = alias.read_text()
    subprocess.run(
        ["aws", "ec2", "terminate-instances", "--instance-ids", old],
        check=True,
        capture_output=True,
        env={**person.environment, **aws_environment(person)},
    )
    until_gone(held)
    assert person.types("-n", machine, "-p", "t2.micro").returncode == 0
    alias.write_text(known)
    found = person.types("-n", machine, "-c", "ls -A mark || echo new")
    assert found.stdout == "new\n", found.stderr
    assert id_of(person, machine) != old
    assert alias.read_text() != known


def aws_environment(person):
    told = person.types("local", "env").stdout
    pairs = (line.removeprefix("export ").partition("=") for line in told.splitlines() if "=" in line)
    return {key: value.strip("'\"") for key, _, value in pairs}


def test_it_comes_after_scripts_and_uploads_and_before_downloads(person, machine):
    person.writes("data.txt", "some\n")
    person.writes("more.sh", "echo script; echo more >> data.txt\n")
    words = ["-u", "data.txt", "-s", "more.sh", "-c", "tee copy.txt < data.txt; exit 6", "-d", "copy.txt"]
    result = person.types("-n", machine, *words)
    assert (result.stdout, result.returncode) == ("script\nsome\nmore\n", 6), result.stderr
    assert (person.directory / "copy.txt").read_text() == "some\nmore\n"


def test_it_does_not_run_after_a_script_that_failed(person, machine):
    person.writes("bad.sh", "exit 9\n")
    result = person.types("-n", machine, "-s", "bad.sh", "-c", "echo ran")
    assert (result.stdout, result.returncode) == ("", 9)


def test_a_prompt_can_be_left_after_it(person, machine):
    terminal = person.sits_at("-n", machine, "-c", "echo $((6*7))", "-a", "True")
    terminal.expect("42")
    terminal.expect(PROMPT)
    terminal.sendline("exit 5")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 5


def test_what_is_typed_reaches_it_and_ctrl_c_ends_it(person, machine):
    terminal = person.sits_at(machine, "-c", "read it; echo got $it; exec sleep 100")
    terminal.sendline("that")
    terminal.expect("got that")
    terminal.sendintr()
    terminal.expect("interrupted")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130


def test_without_held_lines_the_results_are_the_same(person, machine):
    person.environment["SPOT_CONNECT_HOLD"] = "0"
    result = person.types("-n", machine, "-c", "echo out; echo err >&2; cat; kill -9 $$", stdin="in\n")
    assert (result.stdout, result.stderr, result.returncode) == ("out\nin\n", "err\n", 137)
    assert holder_of(root_of(person), machine) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-s", "job.sh", "--detach", "True", "-c", "true"], "have not ended"),
        (["-c", "true", "-c", "false"], "twice"),
        (["-c", " "], "empty"),
        (["-iid", "i-0123456789abcdef0", "-c", "true"], "which machine"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_launched(person, name, words, said):
    person.writes("job.sh", "true\n")
    result = person.types("-n", name, "-p", "t2.micro", *words)
    assert result.returncode == 2
    assert said in result.stderr
    assert name not in [one["name"] for one in json.loads(person.types("list", "--json").stdout)]


def test_output_can_be_cut_short(person, machine):
    line = f"'{SCRIPT}' -n '{machine}' -c 'yes; true' | head -n 1; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, env=person.environment, timeout=SECONDS, check=False
    )
    assert result.stdout == "y\n141\n"
    assert "bug" not in result.stderr


def test_in_the_background_of_a_shell_it_leaves_the_terminal_alone(person, machine):
    terminal = person.sits_at_program("bash", "--norc", "-i")
    terminal.sendline(f"'{SCRIPT}' -n '{machine}' -c 'cat; echo do''ne' & wait; echo status''=$?")
    terminal.expect("done")
    terminal.expect("status=0")
    terminal.sendline("exit")
    terminal.expect(pexpect.EOF)
    terminal.close()
