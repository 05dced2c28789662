"""Scripts whose caller listens: they outlive the line, and the same words come back to them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from spot_connect import spotted
from spot_connect.core.errors import RunInterrupted, ScriptFailed
from spot_connect.spotted import SpotInstance
from tests.boundary.runs.conftest import told, until

COUNT = "for i in $(seq 1 {until}); do echo $i; sleep 0.1; done\n"


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / name

    return write


@pytest.fixture
def listen(monkeypatch):
    """``listen(word, act)`` acts once the word was written to standard output; the list of all that was written."""

    def listen(word, act):
        seen = []

        def hear(piece):
            before = b"".join(seen)
            seen.append(piece)
            if word in before + piece and word not in before:
                # From another thread, so that it meets the wait for output rather than this call.
                threading.Thread(target=act).start()

        monkeypatch.setattr(spotted, "to_stdout", lambda: hear)
        return seen

    return listen


def test_output_and_standard_error_come_apart(shared, write, capfd):
    text = b"\xef\xbb\xbf#!/bin/bash\r\nif true; then\r\n  echo out; echo err >&2\r\nfi\r\n"
    assert shared.run(write("it's a script.sh", text)) is None
    assert capfd.readouterr() == ("out\n", "err\n")


def test_the_output_can_be_returned(shared, write, capfd):
    scripts = [write("a.sh", "a=(1 2); echo ${a[1]}; echo err >&2"), write("b.py", "print('py')")]
    assert shared.run(scripts, return_output=True) == "2\npy\n"
    assert capfd.readouterr() == ("", "err\n")


def test_the_script_that_failed_is_named(shared, write):
    scripts = [write("good.sh", "echo good"), write("bad.sh", "echo bad; exit 3"), write("never.sh", "touch ~/never")]
    with pytest.raises(ScriptFailed, match=r"bad\.sh failed on") as caught:
        shared.run(scripts, return_output=True)
    assert (caught.value.exit_status, caught.value.output) == (3, "good\nbad\n")
    assert told(shared, "ls ~/never 2>/dev/null || echo absent") == "absent\n"


def test_a_missing_interpreter_is_told(shared, write, capfd):
    with pytest.raises(ScriptFailed) as caught:
        shared.run(write("s", "#!/no/such/thing -x y\n"))
    assert caught.value.exit_status == 127
    assert "s: cannot be run" in capfd.readouterr().err


def test_nothing_is_left_of_a_script_that_was_heard_to_its_end(shared, write):
    shared.run(write("s.sh", "echo x"))
    assert shared.runs() == []
    assert told(shared, "ls -A ~/.spot-connect/runs/*") == ""


def test_when_the_line_breaks_it_is_heard_again(launched, write, listen, heard):
    machine = launched()
    seen = listen(b"20\n", machine.connection._transport.close)
    machine.run(write("count.sh", COUNT.format(until=40)))
    assert b"".join(seen).decode().split() == [str(number) for number in range(1, 41)]
    assert any("trying again" in note for note in heard.notes)


CALLER = """
import sys
from spot_connect.spotted import SpotInstance
SpotInstance(sys.argv[1], local=True).run(sys.argv[2])
"""


def cut_off(name, script, word):
    """Another process runs the script and is killed once it has heard the word."""
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER, name, str(script)], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    for line in caller.stdout:
        if line == f"{word}\n":
            break
    caller.kill()
    caller.wait()


def test_the_same_words_come_back_to_what_a_dead_caller_began(launched, write, heard):
    machine = launched()
    script = write("count.sh", "echo $$ >> ~/begun\n" + COUNT.format(until=60))
    cut_off(machine.name, script, 10)
    assert machine.run(script, return_output=True).split() == [str(number) for number in range(1, 61)]
    assert any("was begun" in note and "goes on" in note for note in heard.notes)
    assert len(told(machine, "cat ~/begun").split()) == 1
    machine.run(script, return_output=True)
    assert len(told(machine, "cat ~/begun").split()) == 2


def test_what_has_ended_meanwhile_is_told_once_with_its_status(launched, write, heard):
    machine = launched()
    script = write("end.sh", "echo begun; sleep 1; echo ended; exit 7\n")
    cut_off(machine.name, script, "begun")
    until("its end", lambda: machine.runs()[0].record().has_ended)
    with pytest.raises(ScriptFailed) as caught:
        machine.run(script, return_output=True)
    assert (caught.value.exit_status, caught.value.output) == (7, "begun\nended\n")
    assert any("has ended" in note for note in heard.notes)
    assert machine.runs() == []


def test_other_words_begin_something_else(launched, write):
    machine = launched()
    script = write("wait.sh", "echo begun; sleep 300\n")
    cut_off(machine.name, script, "begun")
    assert machine.run(write("other.sh", "echo other"), return_output=True) == "other\n"


def test_the_same_words_in_another_directory_begin_something_else(launched, write):
    machine = launched()
    script = write("wait.sh", "echo begun; [ -e stays ] && sleep 300; pwd\n")
    told(machine, "mkdir elsewhere; touch stays")
    cut_off(machine.name, script, "begun")
    assert machine.run(script, return_output=True, directory="elsewhere") == "begun\n/home/ec2-user/elsewhere\n"


def test_a_caller_who_lives_keeps_its_run_to_itself(launched, write, heard):
    machine = launched()
    script = write("both.sh", "echo $$ >> ~/begun; while [ $(wc -l < ~/begun) -lt 2 ]; do sleep 0.1; done; echo done\n")
    first = threading.Thread(target=machine.run, args=(script,), kwargs={"return_output": True})
    first.start()
    until("begun", lambda: told(machine, "cat ~/begun 2>/dev/null || true"))
    assert SpotInstance(machine.name, local=True, reporter=heard).run(script, return_output=True) == "done\n"
    first.join()


@pytest.mark.parametrize("trap", ["", "trap 'echo bye; exit 1' INT", "trap '' INT", "trap '' INT TERM"])
def test_ctrl_c_ends_the_script_and_its_children(launched, write, listen, trap):
    machine = launched()
    script = write("s.sh", f"{trap}\necho $$\n(sleep 1000; sleep 1000) & echo $!\necho ready\nwait; wait; sleep 1000\n")
    seen = listen(b"ready", lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        machine.run(script)
    words = b"".join(seen).decode().split()
    assert ("bye" in words) == ("bye" in trap)
    assert machine.runs() == []
    gone = "; ".join(f"kill -0 {number} 2>/dev/null && echo {number}" for number in words[:2])
    until("their end", lambda: told(machine, f"{gone}; true") == "")


def test_a_script_whose_runner_is_gone_is_said_to_be_cut_off_and_begun_again_by_the_same_words(launched, write):
    machine = launched()
    script = write("s.sh", 'echo attempt $SPOT_CONNECT_ATTEMPT; [ "$SPOT_CONNECT_ATTEMPT" = 2 ] || kill -9 $PPID\n')
    with pytest.raises(RunInterrupted, match="cut off"):
        machine.run(script, return_output=True)
    assert machine.run(script, return_output=True) == "attempt 1\nattempt 2\n"
