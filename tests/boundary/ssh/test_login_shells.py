"""Machines whose user has chosen another login shell than bash."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator

import pytest

from spot_connect.core.waiting import Seen, wait_for
from spot_connect.ssh.command import run
from spot_connect.ssh.connection import Connection
from spot_connect.transfers.far import Far, entering
from tests.boundary.ssh.servers import Server, There, openssh

# Not to be met in anything that runs here otherwise.
_NAPS = {"zsh": "1234.5", "fish": "1234.6", "tcsh": "1234.7"}


@pytest.fixture(scope="module", params=_NAPS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    shell = shutil.which(request.param)
    if not shell or os.geteuid() != 0:
        pytest.skip(f"{request.param} is not installed, or only root can choose it")
    with openssh(tmp_path_factory.mktemp(request.param), shell=shell) as running:
        yield running


@pytest.fixture
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["server"])


def test_a_command_is_run_by_bash(connection: Connection, shell: str) -> None:
    said = 'echo "$SHELL" "${BASH_VERSION:+bash}" "$X"\nfor i in 1 2; do echo "$i!"; done; exit 3'
    done = run(connection, said, environment={"X": "it's\nC:\\new"})
    assert done.exit_status == 3
    assert done.stdout.decode() == f"{shutil.which(shell)} bash it's\nC:\\new\n1!\n2!\n"
    assert done.stderr == b""


def test_ctrl_c_ends_a_command(connection: Connection, shell: str) -> None:
    def interrupt(_: bytes) -> None:
        raise KeyboardInterrupt

    nap = _NAPS[shell]
    with pytest.raises(KeyboardInterrupt):
        run(connection, f"echo ready; sleep {nap}", on_stdout=interrupt)

    def look() -> Seen[bool]:
        return Seen(run(connection, f"pgrep -fx 'sleep {nap}'").stdout == b"" or None)

    assert wait_for("end of the command", look, seconds=20, every=0.1)


def test_files_move_by_the_helper(connection: Connection, there: There) -> None:
    there.write("f", b"content")
    helper = Far(connection, entering(os.fsencode(there.folder)))
    assert helper.digests([b"f"]) == [hashlib.sha256(b"content").hexdigest().encode()]
    helper.close()
