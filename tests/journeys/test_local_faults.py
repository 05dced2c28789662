"""Trouble that a person orders on the local cloud, and what they see of it."""

from __future__ import annotations

import json
import re
import subprocess

import pexpect
import pytest

from spot_connect.core.waiting import Seen, wait_for
from tests.journeys.conftest import SCRIPT

LAUNCHED = re.compile(r"launched .* spot in (\S+)")


@pytest.fixture
def fault(person):
    """``fault(words)`` orders trouble; none is left afterwards."""

    def fault(*words):
        result = person.types("local", "fault", *words)
        assert result.returncode == 0, result.stderr
        return result

    yield fault
    fault("clear")


def test_without_capacity_in_the_cheapest_zone_the_next_one_is_taken(person, name, fault):
    first = LAUNCHED.search(person.types("-n", name, "-p", "t3.micro").stderr).group(1)
    person.types("terminate", name)
    said = fault("capacity", "--type", "t3.micro", "--zone", first).stderr
    assert f"planned: no capacity for t3.micro in {first}, until cleared" in said
    result = person.types("-n", name, "-p", "t3.micro")
    assert result.returncode == 0, result.stderr
    assert f"no t3.micro in {first}: There is no Spot capacity available" in result.stderr
    assert LAUNCHED.search(result.stderr).group(1) != first


def test_without_any_capacity_the_launch_says_what_to_do(person, name, fault):
    fault("capacity")
    result = person.types("-n", name, "-p", "t3.micro")
    assert result.returncode == 4
    assert f"cannot launch {name}: no spot capacity for t3.micro in us-east-1" in result.stderr
    assert "Try another type with -p" in result.stderr
    assert name not in person.types("list", "--json").stdout
    fault("clear")
    assert person.types("-n", name, "-p", "t3.micro").returncode == 0


def test_a_price_above_the_maximum_ends_the_launch(person, name, fault):
    fault("price")
    result = person.types("-n", name, "-p", "t3.micro", "-prc", "0.02")
    assert result.returncode == 4
    assert "Your Spot request price of 0.02 is lower than the minimum" in result.stderr
    assert "-prc" in result.stderr


def test_a_launch_outlasts_a_moment_of_throttling(person, name, fault):
    fault("throttling", "--times", "3")
    fault("throttling", "--action", "RunInstances", "--times", "1")
    result = person.types("-n", name, "-p", "t3.micro")
    assert result.returncode == 0, result.stderr
    assert json.loads(fault("list", "--json").stdout) == []


def test_throttling_without_end_is_said_in_words(person, fault):
    fault("throttling", "--action", "DescribeInstances")
    result = person.types("list", "-reg", "us-east-1")
    assert result.returncode == 4
    assert "Request limit exceeded. (RequestLimitExceeded)" in result.stderr
    assert "wait a minute" in result.stderr


def test_an_ordered_error_and_its_end(person, name, fault):
    fault("error", "RunInstances", "MaxSpotInstanceCountExceeded", "--times", "1")
    fault("boot", "0.5")
    listed = fault("list").stderr
    assert "MaxSpotInstanceCountExceeded (HTTP 400) from RunInstances, 1 more" in listed
    assert "a boot of 0.5 s for every instance, until cleared" in listed
    result = person.types("-n", name, "-p", "t3.micro")
    assert result.returncode == 4
    assert "Service Quotas" in result.stderr
    assert "cleared 1 fault" in fault("clear").stderr
    assert "no faults are planned" in fault("list").stderr


@pytest.mark.parametrize(
    ("more", "moment"),
    [([], "launched {name}"), (["-f", "{name}"], "making the file system")],
    ids=["boots", "mounts"],
)
def test_sigterm_during_a_launch_ends_what_was_launched(person, name, fault, more, moment):
    fault("boot", "0.5" if more else "60")
    words = [word.format(name=name[:64]) for word in more]
    with subprocess.Popen(
        [SCRIPT, "-n", name, "-p", "t3.micro", *words], env=person.environment, text=True, stderr=subprocess.PIPE
    ) as process:
        for line in process.stderr:
            if moment.format(name=name) in line:
                break
        process.terminate()
        rest = process.stderr.read()
    assert process.returncode == 143
    assert f"{name} (i-" in rest
    assert "was terminated again" in rest
    assert name not in person.types("list", "--json").stdout


def test_a_broken_line_is_said_and_the_script_is_heard_again(person, machine, fault):
    script = person.writes("long.sh", "echo begun; while ! test -e go; do sleep 0.1; done; echo done; exit 3\n")
    terminal = person.sits_at("-n", machine, "-s", str(script))
    terminal.expect("begun")
    assert re.search(rf"{machine} .*: 1 SSH connection dropped", fault("line", machine).stderr)
    terminal.expect("trying again")
    assert person.types("-n", machine, "-s", str(person.writes("go.sh", "touch go\n"))).returncode == 0
    terminal.expect("done")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 3


@pytest.mark.parametrize(
    ("words", "said", "status"),
    [
        (["capacity", "--type", "t3.mircro"], "is it t3.micro", 1),
        (["capacity", "--times", "0"], "whole number", 2),
        (["flood"], "invalid choice", 2),
        ([], "required", 2),
    ],
)
def test_what_cannot_be_ordered_is_said(person, words, said, status):
    result = person.types("local", "fault", *words)
    assert (result.returncode, said in result.stderr) == (status, True), result.stderr


def test_nothing_goes_wrong_while_the_cloud_is_down(stranger):
    result = stranger.types("local", "fault", "capacity")
    assert result.returncode == 1
    assert "spot_connect local up" in result.stderr


def test_a_console_that_shows_host_keys_late_is_said_and_waited_for_where_that_is_wanted(person, name, fault):
    assert (
        "planned: host keys on the console 300 s after the launch of every instance" in fault("host-keys", "5m").stderr
    )
    result = person.types("-n", name, "-p", "t3.micro", "-c", "true")
    assert result.returncode == 0, result.stderr
    assert "accepted on first sight: its console shows no host key yet" in result.stderr
    fault("clear")
    result = person.types("-n", name, "--strict-host-key", "True", "-c", "true")
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert "first sight" not in result.stderr


def test_closing_the_terminal_during_a_launch_ends_what_was_launched(person, name, fault):
    fault("boot", "600")
    terminal = person.sits_at("-n", name, "-p", "t2.micro")
    terminal.expect(rf"launched {name} \((i-\w+)\)")
    instance = terminal.match.group(1)
    # As a window that is closed: the kernel sends SIGHUP, and nothing can be written any more.
    terminal.ptyproc.fileobj.close()

    def look() -> Seen[bool]:
        return Seen(True if instance not in person.types("list").stdout else None, "it is listed")

    assert wait_for("end of the instance", look, seconds=60, every=0.5)


def test_a_cloud_that_is_late_is_worked_with_as_if_it_were_not(person, name, fault):
    said = fault("lag", "2", "--seed", "7").stderr
    assert "planned: what was just made unknown to other calls for up to 2 s (seed 7)" in said
    result = person.types("-n", name, "-p", "t3.micro", "-c", "echo here")
    assert (result.returncode, result.stdout) == (0, "here\n"), result.stderr
    listed = json.loads(person.types("list", "--json").stdout)
    assert [one["name"] for one in listed].count(name) == 1
    result = person.types("terminate", name)
    assert result.returncode == 0, result.stderr
    fault("clear")
    listed = json.loads(person.types("list", "--json").stdout)
    assert name not in [one["name"] for one in listed]
