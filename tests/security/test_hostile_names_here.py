"""Names of files that a shell would take for commands, on their way through everything that takes a name."""

from __future__ import annotations

from pathlib import Path

import pytest

from spot_connect.core.reporting import Silent
from spot_connect.ssh.command import run
from spot_connect.ssh.files import exists
from spot_connect.transfers.download import download
from spot_connect.transfers.upload import upload
from tests.boundary.ssh.servers import openssh

HURT = ("$(touch hurt)", "`touch hurt`", ";touch hurt;", "|touch hurt|", "&touch hurt&", "\ntouch hurt\n", "${IFS}")
AROUND = ("{}", "a{}", "'{}'", '"{}"', "\\{}", "-{}", "~{}", "*{}?", "{} b")
NAMES = [pattern.format(hurt) for hurt in HURT for pattern in AROUND]


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    with openssh(tmp_path_factory.mktemp("server")) as server, server.connection() as line:
        yield line


def test_there_are_more_than_sixty_of_them():
    assert len(set(NAMES)) > 60


def test_no_name_is_run_by_a_shell_on_its_way_up_and_down(connection, tmp_path):
    there = run(connection, "mktemp -d").stdout.decode().strip()
    source = tmp_path / "source"
    source.mkdir()
    for number, name in enumerate(NAMES):
        (source / name).mkdir()
        (source / name / name).write_text(str(number))
    upload(connection, [source], there, reporter=Silent())
    for name in NAMES:
        assert exists(connection, f"{there}/source/{name}/{name}")
    folders = [f"{there}/source/{name}" for name in NAMES]
    brought = download(connection, folders, tmp_path / "down", reporter=Silent())
    for number, (name, path) in enumerate(zip(NAMES, brought, strict=True)):
        assert (path / name).read_text() == str(number)
    found = run(connection, f"find ~ {there} -name hurt").stdout
    assert found == b""
    assert not list(Path.cwd().glob("hurt"))
    run(connection, f"rm -rf {there}")
