from __future__ import annotations

import io
import shlex
import subprocess

import pytest

from spot_connect.ssh._transport import signal_status
from spot_connect.ssh.command import Joined, unix_text


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


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_the_wrapped_command_survives_any_shell(shell: str) -> None:
    from spot_connect.ssh.command import _wrapped

    line = _wrapped("echo 'a b' \"$X\"; exit 3", "MARK=1", {"X": "it's $HOME"})
    done = subprocess.run([shell, "-c", line], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (3, b"a b it's $HOME\n")
    assert shlex.split(line)[0] == "exec"
