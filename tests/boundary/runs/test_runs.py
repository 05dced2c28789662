"""Detached runs, on a machine of the local cloud."""

from __future__ import annotations

import threading

import pytest

from spot_connect.core.errors import DeadlinePassed, HostKeyChanged, RunNotFound, ScriptFailed, SshLost, UsageError
from spot_connect.runs import agent
from tests.boundary.runs.conftest import told, until

LINES = "for i in $(seq 1 2000); do echo line $i; done"


def test_a_run_ends_well_and_keeps_its_output(shared):
    run = shared.run("echo hello; echo to stderr >&2", cmd=True, detach=True)
    assert run.wait(60) == 0
    assert (run.status, run.exit_code) == ("succeeded", 0)
    assert run.log() == b"hello\nto stderr\n"


def test_its_exit_status_is_the_script_s_own(shared):
    run = shared.run("exit 37", cmd=True, detach=True)
    assert run.wait(60) == 37
    assert run.status == "failed"


def test_a_script_ended_by_a_signal_counts_as_a_shell_counts(shared):
    run = shared.run("kill -9 $$", cmd=True, detach=True)
    assert run.wait(60) == 137


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("environment", {"A": "1"}),
        ("on_interrupt", "true"),
        ("on_rebalance", "true"),
        ("resume", True),
        ("max_replacements", 2),
        ("max_cost", "1.50"),
        ("fallback", "on-demand"),
    ],
)
def test_what_only_a_detached_run_can_have_is_refused_without_it(shared, name, value):
    with pytest.raises(UsageError, match=f"{name} can be given with detach=True alone"):
        shared.run("touch ran", cmd=True, **{name: value})
    assert shared.run("test ! -e ran && echo none", cmd=True, return_output=True) == "none\n"


def test_scripts_run_in_order_and_the_first_failure_ends_the_run(shared, tmp_path):
    scripts = []
    for name, text in (("a b.sh", "echo one"), ("two.py", "print('two')"), ("c.sh", "exit 3")):
        scripts.append(tmp_path / name)
        scripts[-1].write_bytes(text.replace("\n", "\r\n").encode() + b"\r\n")
    never = tmp_path / "never.sh"
    never.write_text("echo never")
    run = shared.run([*scripts, never], detach=True)
    assert run.wait(60) == 3
    assert run.log() == b"one\ntwo\n"
    assert run.record().title == "a_b.sh, two.py, c.sh, never.sh"


def test_following_brings_every_byte_once_and_the_status(shared):
    pieces = []
    run = shared.run(f"{LINES}; exit 5", cmd=True, detach=True)
    assert run.follow(pieces.append) == 5
    assert b"".join(pieces).decode().splitlines() == [f"line {number}" for number in range(1, 2001)]


def test_following_goes_on_where_it_was_when_the_line_breaks(launched, heard):
    machine = launched()
    run = machine.run("for i in $(seq 1 60); do echo line $i; sleep 0.1; done", cmd=True, detach=True)
    pieces = []

    def show(data):
        pieces.append(data)
        if b"line 20\n" in data:
            threading.Thread(target=machine.connection._transport.close).start()

    assert run.follow(show) == 0
    assert b"".join(pieces).decode().splitlines() == [f"line {number}" for number in range(1, 61)]
    assert any("trying again" in note for note in heard.notes)


def test_it_survives_the_end_of_the_line_it_was_started_on(launched):
    machine = launched()
    run = machine.run("sleep 2; echo survived", cmd=True, detach=True)
    machine.close()
    assert run.wait(60) == 0
    assert run.log() == b"survived\n"


def test_stopping_ends_the_script_and_what_it_started(shared):
    run = shared.run("sleep 300 & echo $! > ~/child; sleep 300", cmd=True, detach=True)
    until("child", lambda: told(shared, "cat ~/child 2>/dev/null || true"))
    assert run.stop() == "stopped"
    assert run.wait(60) == 143
    assert told(shared, "kill -0 $(cat ~/child) 2>/dev/null && echo lives || echo gone") == "gone\n"
    assert run.stop() == "stopped"


def test_a_script_that_ignores_sigterm_is_killed(launched):
    machine = launched()
    run = machine.run("trap '' TERM; while :; do sleep 0.2; done", cmd=True, detach=True)
    assert run.stop() == "stopped"


def test_waiting_has_a_limit_and_the_run_goes_on(shared):
    run = shared.run("sleep 30", cmd=True, detach=True)
    with pytest.raises(DeadlinePassed, match="running"):
        run.wait(0.2)
    assert run.status == "running"
    run.stop()


def test_a_process_that_was_killed_from_under_it_is_lost_and_not_running(launched):
    machine = launched()
    run = machine.run("sleep 300", cmd=True, detach=True)
    told(machine, "pkill -9 -f 'zip [a]ttempt'")
    until("lost", lambda: run.status == "lost")


def test_scripts_know_where_they_are(shared):
    variables = "RUN ATTEMPT CHECKPOINT_DIR NOTICE_FILE DONE_FILE"
    run = shared.run(
        f'for v in {variables}; do n=SPOT_CONNECT_$v; echo "$v=${{!n}}"; done; pwd; echo $MINE; env | grep -c MARK',
        cmd=True,
        detach=True,
        environment={"MINE": "it's mine"},
    )
    run.wait(60)
    lines = run.log().decode().splitlines()
    values = dict(line.split("=", 1) for line in lines[:5])
    assert (values["RUN"], values["ATTEMPT"]) == (run.id, "1")
    assert values["CHECKPOINT_DIR"].endswith(f"/{run.id}/state")
    assert lines[5:] == [told(shared, "pwd").strip(), "it's mine", "0"]


def test_they_may_import_the_helper_without_installing_anything(shared, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(
        "#!/usr/bin/env python3\n"
        "from spot_connect.interruption import notice, until_notice\n"
        "print(notice(), sum(until_notice(range(5))))\n"
    )
    run = shared.run(script, detach=True)
    assert run.wait(60) == 0
    assert run.log() == b"None 10\n"


def test_all_runs_are_found_again(launched):
    machine = launched()
    first = machine.run("true", cmd=True, detach=True)
    second = machine.run("exit 2", cmd=True, detach=True)
    second.wait(60)
    first.wait(60)
    assert [run.id for run in machine.runs()] == sorted([first.id, second.id])
    assert machine.find_run(first.id).exit_code == 0
    assert machine.find_run().id == max(first.id, second.id)


def test_an_unknown_run_is_refused(launched):
    machine = launched()
    with pytest.raises(RunNotFound, match="nothing was run"):
        machine.find_run()
    with pytest.raises(RunNotFound, match="knows no run"):
        machine.find_run("20200101-000000-0000")


def test_scripts_run_in_the_directory_that_is_given(shared, tmp_path):
    told(shared, "mkdir -p some/deep; echo 'answer = 42' > some/deep/model.py")
    script = tmp_path / "train.py"
    script.write_text("import os, model; print(os.getcwd(), model.answer)")
    for directory in ("some/deep", "~/some/deep", "/home/ec2-user/some/deep"):
        run = shared.run(script, detach=True, directory=directory)
        assert run.wait(60) == 0, run.log()
        assert run.log() == b"/home/ec2-user/some/deep 42\n"
        assert shared.run("pwd", cmd=True, return_output=True, directory=directory) == "/home/ec2-user/some/deep\n"


def test_a_directory_that_is_not_there_is_said(shared):
    run = shared.run("echo ran", cmd=True, detach=True, directory="nowhere")
    assert run.wait(60) == 127
    assert b"/home/ec2-user/nowhere" in run.log()


def test_a_missing_script_starts_nothing(shared, tmp_path):
    with pytest.raises(UsageError):
        shared.run(tmp_path / "missing.sh", detach=True)


def test_the_start_asked_for_twice_is_one_run(launched):
    machine = launched()
    run = machine.run("echo once >> ~/times; sleep 1", cmd=True, detach=True)
    asked = {"name": machine.name, "run": run.id, "scripts": [["x", 4]]}
    machine._host.agent.ask("start", asked, stdin=b"true")
    run.wait(60)
    assert told(machine, "cat ~/times") == "once\n"
    assert len(run.record().attempts) == 1


def test_runs_lie_on_the_file_system_where_one_is_mounted(launched):
    machine = launched(filesystem="runs")
    run = machine.run("echo kept", cmd=True, detach=True)
    run.wait(60)
    assert run.record().on_file_system
    kept = told(machine, f"cat ~/efs/.spot-connect/runs/*/{run.id}/attempts/0001/log")
    assert kept == "kept\n"


def test_only_the_user_can_read_them(shared):
    run = shared.run("true", cmd=True, detach=True)
    run.wait(60)
    assert told(shared, "stat -c %a ~/.spot-connect") == "700\n"


def test_a_machine_without_python_says_what_is_missing(launched):
    machine = launched()
    with pytest.MonkeyPatch.context() as patch:
        original = agent._call
        patch.setattr(agent, "_call", lambda verb: original(verb).replace("python3", "python3-absent"))
        with pytest.raises(ScriptFailed, match=r"Python 3\.7"):
            machine.run("true", cmd=True, detach=True)


def test_what_a_script_leaves_in_the_background_goes_on(shared):
    run = shared.run("sleep 300 & echo $!", cmd=True, detach=True)
    run.wait(60)
    left = run.log().decode().strip()
    assert told(shared, f"kill {left} && echo lived") == "lived\n"


def test_a_line_that_breaks_before_the_answer_starts_no_second_run(launched, monkeypatch):
    machine = launched()
    asked = agent.Agent.ask
    broken = []

    def ask(self, verb, *arguments, **options):
        told = asked(self, verb, *arguments, **options)
        if verb == "start" and not broken:
            broken.append(verb)
            raise SshLost("the line broke", "for the test")
        return told

    monkeypatch.setattr(agent.Agent, "ask", ask)
    run = machine.run("echo once >> ~/times; sleep 1", cmd=True, detach=True)
    assert run.wait(60) == 0
    assert told(machine, "cat ~/times") == "once\n"
    assert [one.id for one in machine.runs()] == [run.id]


def test_another_host_key_is_not_tried_again(launched, monkeypatch):
    machine = launched()
    run = machine.run("sleep 300", cmd=True, detach=True)

    def changed(*_, **__):
        raise HostKeyChanged("refused to connect", "another key")

    monkeypatch.setattr(agent.Agent, "ask", changed)
    with pytest.raises(HostKeyChanged):
        run.wait(60)
