"""The installed console script, as a person runs it, against a local cloud."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from spot_connect.local.calls import RECORD
from tests.local_cloud import running_local_cloud

SCRIPT = str(Path(sys.executable).with_name("spot_connect"))
SECONDS = 60


class Person:
    """Somebody at a shell, with a home directory and a working directory of their own."""

    def __init__(self, home: Path, directory: Path, **variables: str) -> None:
        self.home = home
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SPOT_CONNECT"))}
        kept[RECORD] = os.environ[RECORD]
        self.environment = kept | {
            "SPOT_CONNECT_HOME": str(home),
            "AWS_CONFIG_FILE": str(directory / "no-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(directory / "no-credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "TERM": "xterm",
            **variables,
        }

    def types(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run the command to its end, with ``stdin`` piped into it."""
        return subprocess.run(
            [SCRIPT, *words],
            input=stdin,
            capture_output=True,
            text=True,
            cwd=self.directory,
            env=self.environment,
            timeout=SECONDS,
            check=False,
        )

    def sits_at(self, *words: str, size: tuple[int, int] = (30, 100)) -> pexpect.spawn:
        """Start the command under a pseudo-terminal."""
        return self.sits_at_program(SCRIPT, *words, size=size)

    def sits_at_program(self, program: str, *words: str, size: tuple[int, int] = (30, 100)) -> pexpect.spawn:
        """Start any program under a pseudo-terminal."""
        return pexpect.spawn(
            program,
            list(words),
            cwd=str(self.directory),
            env=self.environment,
            timeout=SECONDS,
            dimensions=size,
            encoding="utf-8",
        )

    def writes(self, name: str, text: str) -> Path:
        """Put a file into the working directory."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path


@pytest.fixture(scope="session")
def cloud_home(tmp_path_factory):
    home = tmp_path_factory.mktemp("cloud") / "home"
    with running_local_cloud(home):
        yield home


@pytest.fixture
def person(cloud_home, tmp_path):
    return Person(cloud_home, tmp_path / "work place", SPOT_CONNECT_LOCAL="1")


@pytest.fixture
def stranger(tmp_path):
    """Somebody without an AWS account who has not asked for the local cloud."""
    return Person(tmp_path / "home", tmp_path / "work")


@pytest.fixture
def name(person, request):
    """A name for this test's own instance, which is terminated afterwards."""
    name = request.node.name.replace("[", "-").replace("]", "")[-60:].strip("-_")
    yield name
    person.types("-n", name, "-t", "True")


@pytest.fixture
def machine(person, name):
    launched = person.types("-n", name, "-p", "t2.micro")
    assert launched.returncode == 0, launched.stderr
    return name
