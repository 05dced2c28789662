"""User data of machines for distributed jobs, run by a real bash."""

from __future__ import annotations

import subprocess

import pytest

from spot_connect.core.joining import join_at_boot, last_resort


@pytest.fixture
def machine(tmp_path):
    """A home directory, and commands that note how they were called and return at once."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sleep", "shutdown"):
        program = programs / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/called\n')
        program.chmod(0o755)

    def boot(text):
        environment = {"HOME": str(tmp_path), "PATH": f"{programs}:/usr/bin:/bin"}
        subprocess.run(["bash", "-c", f"{text}\nwait"], env=environment, check=True, timeout=30)
        return (tmp_path / "called").read_text().splitlines()

    return boot


def test_a_machine_that_joined_no_run_ends_itself(machine):
    assert machine(last_resort(24)) == ["shutdown -h +1440", "sleep 1800", "shutdown -h now"]


def test_a_machine_that_joined_a_run_stays_until_its_last_hour(machine, tmp_path):
    (tmp_path / ".spot-connect").mkdir()
    (tmp_path / ".spot-connect" / "member-20261125-074501-9f3a").touch()
    assert machine(last_resort(0.5)) == ["shutdown -h +30", "sleep 1800"]


def test_what_joins_at_boot_is_bash_however_odd_the_names(tmp_path):
    text = join_at_boot("o'brien", {"us-east-1a": "10.0.0.5"}, "fs-1", "a b.zip", 64 * "0", "r'1", 24)
    done = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_joins_at_boot_mounts_as_secretly_as_the_others_did():
    at = {"us-east-1a": "10.0.0.5"}
    for must_encrypt in (True, False):
        text = join_at_boot("ec2-user", at, "fs-1", "agent.zip", 64 * "0", "r1", 24, must_encrypt=must_encrypt)
        assert ("mount -t nfs4" in text) is not must_encrypt
        assert "mount -t efs -o tls" in text
        done = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
