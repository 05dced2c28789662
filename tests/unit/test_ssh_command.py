from __future__ import annotations

import io
import shlex
import subprocess

import pytest

from spot_connect.ssh._transport import signal_status
from spot_connect.ssh.command import Joined, interpreter, unix_text


@pytest.mark.parametrize(
    ("name", "status"), [("KILL", 137), ("SIGTERM", 143), ("INT", 130), ("XCPU@openssh.com", 152), ("ODD", 255)]
)
def test_signals_become_the_shells_statuses(name: str, status: int) -> None:
    assert signal_status(name) == status


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (b"", ["bash"]),
        (b"echo", ["bash"]),
        (b"#!/bin/sh", ["/bin/sh"]),
        (b"#! /bin/sh \nx", ["/bin/sh"]),
        (b"#!/usr/bin/env -S python3 -u\nx", ["/usr/bin/env", "-S python3 -u"]),
        (b"#!\n", ["bash"]),
    ],
)
def test_the_first_line_is_read_as_linux_reads_it(script: bytes, words: list[str]) -> None:
    assert interpreter(script) == words


@pytest.mark.parametrize(
    ("name", "script", "words"),
    [
        ("job.py", b"print(1)", ["python3"]),
        ("JOB.PY", b"print(1)", ["python3"]),
        ("job.py", b"#!/usr/bin/pypy3\n", ["/usr/bin/pypy3"]),
        ("job.sh", b"echo", ["bash"]),
        ("py", b"echo", ["bash"]),
    ],
)
def test_a_python_file_without_a_first_line_is_run_by_python(name: str, script: bytes, words: list[str]) -> None:
    assert interpreter(script, name) == words


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
