from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import string
import subprocess
from pathlib import Path

import pytest

from spot_connect.ssh._transport import signal_status
from spot_connect.ssh.command import Joined, _wrapped, as_one, unix_text

_SHELLS = ["bash", "dash", "zsh", "fish", "tcsh"]
# Without the carriage return: text from a program is read without.
_ALL = string.printable.replace("\r", "")


@pytest.mark.parametrize(
    ("name", "status"), [("KILL", 137), ("SIGTERM", 143), ("INT", 130), ("XCPU@openssh.com", 152), ("ODD", 255)]
)
def test_signals_become_the_shells_statuses(name: str, status: int) -> None:
    assert signal_status(name) == status


def test_binary_scripts_stay_as_they_are() -> None:
    assert unix_text(b"\x7fELF\0\r\n") == b"\x7fELF\0\r\n"


def test_joined_gives_both_parts() -> None:
    joined = Joined(b"first", io.BytesIO(b"rest"))
    assert iter(lambda: joined.read1(100), b"").__next__() == b"first"
    assert joined.read1(2) == b"re"
    assert joined.read1(100) == b"st"
    assert joined.read1(100) == b""


@pytest.mark.parametrize("letter", ["x", "'", "!", "\\", "\n", "é"])
@pytest.mark.parametrize("length", [1_000, 10_000, 20_000, 40_000, 80_000])
def test_what_linux_would_refuse_as_an_argument_travels_as_input(letter: str, length: int) -> None:
    text = f": {letter * length}"
    command, given = as_one(text, None)
    assert len(_wrapped(command, "MARK=1", {}).encode()) < 128 * 1024
    assert text.encode() == (command.encode() if given is None else given)
    assert (given is None) or length > 1_000


@pytest.mark.parametrize("shell", _SHELLS)
def test_any_login_shell_becomes_bash_with_the_environment(shell: str, tmp_path: Path) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    command = 'echo \'a b\' "$X" "$MARK" $$ "$BASH_VERSION"; exit 3'
    done = _as_sshd_would(shell, _wrapped(command, "MARK=1", {"X": "it's\\ $HOME!"}), tmp_path)
    assert done.returncode == 3
    assert re.fullmatch(r"a b it's\\ \$HOME! 1\.(\d+) \1 \d.*\n", done.stdout)


@pytest.mark.parametrize("shell", _SHELLS)
@pytest.mark.parametrize(
    ("command", "said", "status"),
    [
        ("echo $# $0 $LINENO\necho $LINENO", "0 bash 1\n2\n", 0),
        ("# nothing", "", 0),
        (f"printf %s {shlex.quote(_ALL)}", _ALL, 0),
        ("printf %s $'\\x41\\'é' \"\\$1\"", "A'é$1", 0),
        ("", "", 0),
        ("cat <<E && missing_program\n'\nE", "'\n", 127),
        ("echo a\nif", "a\n", 2),
        ("set -e; false; echo on", "", 1),
        ("bash -c 'kill -KILL $$'", "", 137),
    ],
)
def test_a_command_is_run_as_bash_runs_it(shell: str, command: str, said: str, status: int, tmp_path: Path) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    done = _as_sshd_would(shell, _wrapped(command, "MARK=1", {}), tmp_path)
    # A bash of its own makes way for its last program, and dies of the signal that it dies of.
    died = 128 - done.returncode if done.returncode < 0 else done.returncode
    assert (done.stdout, died) == (said, status)


def test_bashrc_is_read_once_and_its_functions_can_be_called(tmp_path: Path) -> None:
    (tmp_path / ".bashrc").write_text("echo read; conda() { echo $1; }\n")
    assert _as_sshd_would("bash", _wrapped("conda run", "MARK=1", {}), tmp_path).stdout == "read\nrun\n"


def _as_sshd_would(shell: str, line: str, home: Path) -> subprocess.CompletedProcess[str]:
    # SSH_CLIENT is what makes bash read .bashrc for a command.
    environment = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "SHELL": f"/bin/{shell}",
        "SSH_CLIENT": "192.0.2.1 2 22",
    }
    return subprocess.run([shell, "-c", line], env=environment, capture_output=True, text=True, check=False)
