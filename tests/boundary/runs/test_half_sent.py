"""What a caller that dies on the way has sent to an instance: it takes no place, and the next caller mends it."""

from __future__ import annotations

import json

import pytest

from spot_connect.runs import agent
from spot_connect.ssh.command import _from_input, run

PLACE = f"~/.spot-connect/{agent.program_name()}"


def said(machine, command, stdin=b""):
    return run(machine.connection, command, stdin=stdin)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_program_that_did_not_arrive_whole_does_not_take_its_place(shared, share):
    said(shared, f"rm -f {PLACE}")
    whole = agent.program()
    order = agent._SEND.format(name=agent.program_name(), **agent._told())
    assert said(shared, order, whole[: int(len(whole) * share)]).exit_status == 1
    assert said(shared, f"ls {PLACE}*").stdout == b""
    assert shared.run("echo well", cmd=True, detach=True).wait(60) == 0


def test_a_program_of_the_right_length_with_another_content_does_not_take_its_place(shared):
    said(shared, f"rm -f {PLACE}")
    order = agent._SEND.format(name=agent.program_name(), **agent._told())
    assert said(shared, order, bytes(len(agent.program()))).exit_status == 1
    assert said(shared, f"ls {PLACE}*").stdout == b""


@pytest.mark.parametrize("damage", ["truncate -s 1000", "truncate -s 0", "truncate -s -1", "shred -n 1"])
def test_a_damaged_program_is_sent_again(shared, damage):
    assert shared.run("true", cmd=True, detach=True).wait(60) == 0
    assert said(shared, f"{damage} {PLACE}").exit_status == 0
    ran = shared.run("echo well", cmd=True, detach=True)
    assert ran.wait(60) == 0
    assert ran.log() == b"well\n"


def test_scripts_that_did_not_arrive_whole_begin_nothing(shared):
    assert shared.run("true", cmd=True, detach=True).wait(60) == 0
    known = [one.id for one in shared.runs()]
    asked = {"name": shared.name, "run": "20260101-000000-abcd", "scripts": [["a.sh", 100], ["b.sh", 100]]}
    done = said(shared, f"python3 {PLACE} start", json.dumps(asked | {"instance": "i-1"}).encode() + b"\n" + b"x" * 150)
    assert done.exit_status == 1
    assert b"only 50 of 100 bytes" in done.stderr
    assert [one.id for one in shared.runs()] == known


def test_a_long_command_that_did_not_arrive_whole_is_not_run(shared):
    command, text = _from_input(b"touch half-run\n" + b"#" * 1000, None)
    assert said(shared, command, text[:500]).exit_status == 125
    assert said(shared, "test ! -e half-run").exit_status == 0
