"""A real AWS account, or with ``--live-endpoint`` what stands in for one; nothing here runs without ``--live``.

It uses whatever credentials and Region the environment has, launches t3.nano alone, and ends and deletes all that it
has made, also after a failure or Ctrl-C. Every machine switches itself off after half an hour, whatever becomes of this
computer. The most that one run can cost is :data:`PRICE_CEILING`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from decimal import Decimal
from pathlib import Path

import pytest

from tests.live.leftovers import Leftovers

SCRIPT = str(Path(sys.executable).with_name("spot_connect"))
TYPE = "t3.nano"
SECONDS = 900
MOST_MACHINES = 9
HOURS = Decimal("0.5")
PRICE_CEILING = Decimal("0.10")
"""US dollars: nine machines for half an hour each at twice the on-demand price of us-east-1, their public addresses
and volumes, and a few kilobytes on a file system. https://aws.amazon.com/ec2/pricing/on-demand/"""
HOURLY = Decimal("0.0104") + Decimal("0.005") + 8 * Decimal("0.08") / 730
SWITCH_OFF = "nohup sh -c 'sleep 1800; sudo shutdown -h now' >/dev/null 2>&1 & echo up"


@pytest.fixture(scope="session")
def live(request):
    """Whether it is real: ``""``, or the address of what stands in for AWS."""
    if not request.config.getoption("--live"):
        pytest.skip("runs against AWS, and costs money, with --live alone")
    assert MOST_MACHINES * HOURS * HOURLY < PRICE_CEILING
    endpoint = request.config.getoption("--live-endpoint")
    return endpoint.rstrip("/")


@pytest.fixture(autouse=True)
def _closed_world(live):
    """Instead of what closes the world to all other tests: these are made to leave this computer."""


@pytest.fixture(scope="session")
def prefix():
    """What all names of this run begin with, and nothing else's."""
    return f"spot-connect-live-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session", autouse=True)
def leftovers(live, prefix):
    """What is there of this run; deleted afterwards, whatever happened."""
    left = Leftovers(prefix, live)
    yield left
    left.clear()


@pytest.fixture(scope="session")
def person(live, tmp_path_factory):
    """Somebody who types commands, with the credentials that the environment has."""
    return Person(live, tmp_path_factory.mktemp("live"))


class Person:
    """Runs the installed command, in a directory and with a state directory of its own."""

    def __init__(self, endpoint: str, directory: Path) -> None:
        self.endpoint = endpoint
        self.directory = directory
        self.environment = {**os.environ, "SPOT_CONNECT_HOME": str(directory / "home")}
        self.environment.pop("SPOT_CONNECT_LOCAL", None)
        if endpoint:
            self.environment["AWS_ENDPOINT_URL"] = endpoint

    def types(self, *words: str, launches: bool = False) -> subprocess.CompletedProcess[str]:
        """The command to its end; one that launches says the type."""
        more = ("-p", TYPE) if launches else ()
        return subprocess.run(
            [SCRIPT, *words, *more],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def does(self, *words: str, launches: bool = False) -> str:
        """What the command has written; it must have gone well."""
        done = self.types(*words, launches=launches)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def launches(self, name: str, *words: str) -> None:
        """A machine of that name that switches itself off, whatever happens."""
        assert "up" in self.does("-n", name, *words, "-c", SWITCH_OFF, launches=True)

    def writes(self, name: str, text: str) -> str:
        """A file in the working directory."""
        (self.directory / name).write_text(text, encoding="utf-8")
        return name


def until(what: str, look, seconds: float = SECONDS, every: float = 2.0):
    """What ``look`` tells, once it tells something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(every)
    raise AssertionError(f"{what}: not within {seconds:g} s")
