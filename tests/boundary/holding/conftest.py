from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from spot_connect.core.models import Address
from spot_connect.core.ssh_config import SshAlias
from spot_connect.holding.place import socket_of
from spot_connect.store.pins import Pins
from spot_connect.store.ssh_aliases import SshAliases
from spot_connect.store.state import State
from tests.boundary.ssh.conftest import proxy
from tests.boundary.ssh.servers import Proxy, Server, local_cloud_box, openssh
from tests.holders import end, end_holder, holder_of

__all__ = ["far_seat", "proxy", "runtime", "seat", "server"]

SCRIPT = str(Path(sys.executable).with_name("spot_connect"))
SECONDS = 60
NAME = "vm 1"
SERVERS = {"openssh": openssh, "local-cloud": local_cloud_box}


@dataclass(frozen=True)
class Seat:
    """Somebody at a computer that has reached a machine before, without an AWS account to ask for it again."""

    root: Path
    alias: SshAlias

    @property
    def where(self) -> Path:
        """Where the holder listens."""
        return Path(socket_of(str(self.root), NAME) or "")

    @property
    def holder(self) -> int | None:
        """The process that holds the line."""
        return holder_of(self.root, NAME)

    def knows(self, **changes: object) -> None:
        """Have the name mean something else."""
        SshAliases(State(self.root)).keep(replace(self.alias, **changes))

    def starts(self, command: str, *flags: str, **options: object) -> subprocess.Popen[bytes]:
        """Begin ``-c command``."""
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([SCRIPT, "-n", NAME, "-c", command, *flags], **{**streams, **options})

    def runs(
        self, command: str, *flags: str, stdin: bytes = b"", **options: object
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ``-c command`` to its end."""
        line = [SCRIPT, "-n", NAME, "-c", command, *flags]
        return subprocess.run(line, input=stdin, capture_output=True, timeout=SECONDS, check=False, **options)


@pytest.fixture(scope="session", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with a short path, for sockets; who still listens there is ended with it."""
    folder = Path(tempfile.mkdtemp(prefix="sc-"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    yield folder
    shutil.rmtree(folder)


def seat_at(server: Server, root: Path, address: Address | None = None) -> Seat:
    """A seat from which the server was reached at the address, its host key verified."""
    where = address or server.address
    alias = SshAlias(
        NAME, "i-0123456789abcdef0", where.host, where.port, server.username, server.key_file, root / "known_hosts"
    )
    Pins(State(root)).pin(alias.instance_id, server.host_key.algorithm, server.host_key.blob, verified=True)
    seat = Seat(root, alias)
    seat.knows()
    return seat


@pytest.fixture
def seat(server: Server, runtime: Path) -> Iterator[Seat]:
    seat = seat_at(server, Path(os.environ["SPOT_CONNECT_HOME"]))
    yield seat
    end_holder(seat.root, NAME)


@pytest.fixture
def far_seat(server: Server, proxy: Proxy, runtime: Path) -> Iterator[Seat]:
    """A seat whose line can be cut."""
    seat = seat_at(server, Path(os.environ["SPOT_CONNECT_HOME"]), proxy.address)
    yield seat
    end_holder(seat.root, NAME)


@pytest.fixture(autouse=True)
def _nobody_is_left() -> Iterator[None]:
    """No holder of this test's state directory outlives it."""
    yield
    root = os.environ["SPOT_CONNECT_HOME"]
    for number, words in _holders():
        if root in words:
            # One that was not yet listening when the test had its answer was not found where it listens.
            end(number)


def _holders() -> Iterator[tuple[int, str]]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_text(errors="replace").replace("\0", " ")
            if "holding/__main__.py" in words:
                yield int(path.parent.name), words
