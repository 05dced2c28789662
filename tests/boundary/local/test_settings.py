"""The local cloud is there however the user's own AWS settings look, and does not read them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = str(Path(sys.executable).with_name("spot_connect"))


@pytest.fixture
def types(tmp_path):
    files = tmp_path / "somebody" / ".aws"
    files.mkdir(parents=True)
    files.joinpath("config").write_bytes(b"\xef\xbb\xbf[default\nregion\n")
    files.joinpath("credentials").write_bytes(b"\xff\xfe[")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SPOT_CONNECT"))}
    environment = kept | {
        "HOME": str(files.parent),
        "SPOT_CONNECT_HOME": str(tmp_path / "state"),
        "AWS_PROFILE": "nobody",
        "AWS_ACCESS_KEY_ID": "REALKEY",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_REGION": "mars",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL_EC2": "http://127.0.0.1:1",
        "AWS_CA_BUNDLE": "/no/such/file",
        "AWS_MAX_ATTEMPTS": "many",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
        "NO_PROXY": "",
        "no_proxy": "",
    }

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SCRIPT, *words], capture_output=True, text=True, env=environment, timeout=100, check=False
        )

    yield run
    run("local", "down")


def test_the_local_cloud_starts_launches_and_lists_with_everything_broken(types):
    launched = types("--local", "-n", "vm1", "-p", "t2.micro", "-c", "echo here")
    assert launched.returncode == 0, launched.stderr
    assert launched.stdout == "here\n"
    listed = types("list", "--local")
    assert (listed.returncode, "us-east-1" in listed.stdout) == (0, True), listed.stderr
    assert types("terminate", "--local", "vm1").returncode == 0
