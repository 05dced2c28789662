"""A machine that joins a run at its boot takes our program from the file system, where others may write."""

from __future__ import annotations

import hashlib
import subprocess

import pytest

from spot_connect.core.joining import join_at_boot

PROGRAM = b"the program"
STUBS = {
    "shutdown": "true",
    "sleep": "true",
    "curl": "echo us-east-1a",
    "mountpoint": "true",
    "getent": "echo x:x:1:1::$HOME",
    # sudo -u USER HOME=... COMMAND
    "sudo": 'shift 3; exec "$@"',
    "python3": 'echo "$@" >> "$HOME/ran"; cat >> "$HOME/ran"; umask >> "$HOME/ran"',
}


@pytest.fixture
def boot(tmp_path):
    """Boot a machine on whose file system the program has that content."""
    (tmp_path / "bin").mkdir()
    for name, line in STUBS.items():
        stub = tmp_path / "bin" / name
        stub.write_text(f"#!/bin/bash\n{line}\n")
        stub.chmod(0o755)
    programs = tmp_path / "efs" / ".spot-connect" / "programs"
    programs.mkdir(parents=True)

    def booted(content):
        (programs / "agent.zip").write_bytes(content)
        sha256 = hashlib.sha256(PROGRAM).hexdigest()
        text = join_at_boot("me", {"us-east-1a": "10.0.0.5"}, "fs-1", "agent.zip", sha256, "r1", 24)
        environment = {"HOME": str(tmp_path), "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
        return subprocess.run(
            ["bash", "-c", f"umask 027\n{text}"], env=environment, capture_output=True, text=True, check=False
        )

    return booted


def test_the_program_that_the_run_began_with_is_run(boot, tmp_path):
    done = boot(PROGRAM)
    assert done.returncode == 0, done.stderr
    told = (tmp_path / "ran").read_text().splitlines()
    # What it is asked is no argument, and the umask is the one that scripts are to have.
    assert told == [f"{tmp_path}/.spot-connect/agent.zip jobs-join", '{"run": "r1"}', "0027"]
    assert (tmp_path / ".spot-connect").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / ".spot-connect" / "agent.zip").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"another program", b"", PROGRAM + b"\n"])
def test_another_one_in_its_place_is_not_run_and_one_line_says_so(boot, tmp_path, content):
    done = boot(content)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "agent.zip is not run: its SHA-256" in line
    assert not (tmp_path / "ran").exists()
    assert list((tmp_path / ".spot-connect").iterdir()) == []
