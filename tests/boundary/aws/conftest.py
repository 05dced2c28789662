"""Somebody with an AWS account, whose credentials come from one place or another."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import closing, suppress
from hashlib import sha1
from pathlib import Path
from threading import Thread

import pexpect
import pytest

from tests.boundary.aws.endpoints import Endpoints, serving

SCRIPT = str(Path(sys.executable).with_name("spot_connect"))
SECONDS = 60


class Customer:
    """A home directory with AWS files, and a shell that leads to ``endpoints`` instead of AWS."""

    def __init__(self, home: Path, endpoints: Endpoints) -> None:
        self.home = home
        self.endpoints = endpoints
        home.mkdir(parents=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SPOT_CONNECT"))}
        self.environment = kept | {
            "HOME": str(home),
            "SPOT_CONNECT_HOME": str(home / "state"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_REGION": "us-east-1",
            "TERM": "xterm",
            **endpoints.environment(),
        }

    def writes(self, name: str, text: str) -> Path:
        """Put a file into the home directory."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
        return path

    def configures(self, text: str) -> Path:
        """Write ``~/.aws/config``."""
        return self.writes(".aws/config", text)

    def has_token(self, name: str, **said: object) -> Path:
        """What `aws sso login` has left for the sso-session, or the start URL, of that name."""
        return self.writes(f".aws/sso/cache/{sha1(name.encode()).hexdigest()}.json", json.dumps(said))

    def lists(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`spot_connect list`, without a terminal."""
        return self.types("list", *words)

    def types(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command to its end, without a terminal anywhere."""
        return subprocess.run(
            [SCRIPT, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self.home,
            env=self.environment,
            timeout=SECONDS,
            check=False,
            start_new_session=True,
        )

    def sits_at(self, *words: str) -> pexpect.spawn:
        """Start the command under a pseudo-terminal."""
        return pexpect.spawn(
            SCRIPT, list(words), cwd=str(self.home), env=self.environment, timeout=SECONDS, encoding="utf-8"
        )


@pytest.fixture
def endpoints():
    with serving() as found:
        yield found


@pytest.fixture
def customer(tmp_path, endpoints):
    return Customer(tmp_path / "somebody", endpoints)


@pytest.fixture
def is_in(endpoints):
    """Says that a command has worked, with keys of the kind."""

    def check(result: subprocess.CompletedProcess[str], kind: str) -> None:
        assert (result.returncode, result.stdout) == (0, ""), result.stderr
        assert endpoints.keys
        assert all(key.startswith(kind) for key in endpoints.keys), endpoints.keys

    return check


@pytest.fixture
def is_told(endpoints):
    """Says that a command has ended with the status of AWS and two lines, that hold the words; EC2 was not asked."""

    def check(result: subprocess.CompletedProcess[str], *words: str) -> None:
        assert result.returncode == 4, result.stderr
        lines = result.stderr.strip().splitlines()
        assert len(lines) == 2, result.stderr
        assert lines[0].startswith("spot_connect: cannot ")
        for word in words:
            assert word in result.stderr
        assert endpoints.keys == []

    return check


class Silent:
    """Takes connections on the loopback, and says nothing."""

    def __init__(self) -> None:
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._taken: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        with suppress(OSError):
            while True:
                self._taken.append(self._socket.accept()[0])
                self.connections += 1

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        for one in (self._socket, *self._taken):
            one.close()


@pytest.fixture
def silent():
    with closing(Silent()) as found:
        yield found
