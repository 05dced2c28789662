"""Bringing a directory up to date: what moves, what goes, and what is left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spot_connect.core.errors import UsageError
from spot_connect.core.reporting import Silent
from spot_connect.ssh.connection import Connection
from spot_connect.transfers.download import download
from spot_connect.transfers.upload import sync, upload
from tests.boundary.ssh.servers import There
from tests.boundary.transfers.test_transfers import Bars

SILENT = Silent()

pytestmark = pytest.mark.usefixtures("way")


class Notes(Silent):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def note(self, text: str) -> None:
        self.heard.append(text)


def written(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_only_what_has_changed_goes_up_again(connection: Connection, tmp_path: Path, there: There) -> None:
    tree = written(tmp_path / "t", a="one", b="two", deep__c="three")
    upload(connection, [tree], there.folder, reporter=SILENT)
    (tree / "deep" / "c").write_text("longer")
    bars = Bars()
    upload(connection, [tree], there.folder, reporter=bars)
    assert bars.totals == {"c": 6}
    bars = Bars()
    upload(connection, [tree], there.folder, reporter=bars)
    assert bars.totals == {}


def test_what_no_bar_shows_is_told(connection: Connection, tmp_path: Path, there: There) -> None:
    tree = written(tmp_path / "t", a="1", b="2", gone="3")
    up, down = Notes(), Notes()
    upload(connection, [tree], there.folder, reporter=up)
    [got] = download(connection, [there.path("t")], tmp_path / "d", reporter=down)
    assert not up.heard + down.heard
    upload(connection, [tree], there.folder, reporter=up)
    download(connection, [there.path("t")], tmp_path / "d", reporter=down)
    (tree / "gone").unlink()
    upload(connection, [tree], there.folder, reporter=up, delete=True)
    download(connection, [there.path("t")], tmp_path / "d", reporter=down, delete=True)
    assert up.heard == ["t: up to date", "removed t/gone"]
    assert down.heard == [f"{got}: up to date", f"removed {got / 'gone'}"]


def test_a_change_within_the_second_that_keeps_the_size_is_seen(
    connection: Connection, tmp_path: Path, there: There, way: str
) -> None:
    if way == "sftp":
        pytest.skip("SFTP keeps seconds alone")
    tree = written(tmp_path / "t", f="one")
    upload(connection, [tree], there.folder, reporter=SILENT)
    (tree / "f").write_text("two")
    upload(connection, [tree], there.folder, reporter=SILENT)
    assert there.read("t/f") == b"two"


def test_a_big_file_with_another_time_alone_is_not_sent_again(
    connection: Connection, tmp_path: Path, there: There, way: str
) -> None:
    if way == "sftp":
        pytest.skip("SFTP knows nothing of contents")
    (tmp_path / "f").write_bytes(os.urandom(5 << 20))
    upload(connection, [tmp_path / "f"], there.folder, reporter=SILENT)
    os.utime(tmp_path / "f", (1_000_000_000, 1_000_000_000))
    bars = Bars()
    upload(connection, [tmp_path / "f"], there.folder, reporter=bars)
    assert bars.totals == {}
    assert there.run("stat -c %Y f") == b"1000000000\n"
    got = download(connection, [there.path("f")], tmp_path / "d", reporter=SILENT)[0]
    there.run("touch -d @1100000000 f")
    download(connection, [there.path("f")], tmp_path / "d", reporter=bars)
    assert bars.totals == {}
    assert got.stat().st_mtime == 1_100_000_000


def test_a_mode_that_changed_is_set(connection: Connection, tmp_path: Path, there: There) -> None:
    tree = written(tmp_path / "t", f="x")
    upload(connection, [tree], there.folder, reporter=SILENT)
    (tree / "f").chmod(0o751)
    upload(connection, [tree], there.folder, reporter=SILENT)
    assert there.run("stat -c %a t/f") == b"751\n"


def test_what_is_gone_goes_only_when_asked(connection: Connection, tmp_path: Path, there: There) -> None:
    tree = written(tmp_path / "t", a="1", deep__b="2", deep__er__c="3")
    upload(connection, [tree], there.folder, reporter=SILENT)
    for path in (tree / "a", tree / "deep" / "er" / "c"):
        path.unlink()
    (tree / "deep" / "er").rmdir()
    upload(connection, [tree], there.folder, reporter=SILENT)
    assert b"t/a" in there.names()
    upload(connection, [tree], there.folder, reporter=SILENT, delete=True)
    assert there.names() == [b"t", b"t/deep", b"t/deep/b"]


def test_a_download_deletes_only_when_asked_and_nothing_that_git_ignores(
    connection: Connection, tmp_path: Path, there: There
) -> None:
    there.run("mkdir -p t/deep; echo a > t/a; echo b > t/deep/b")
    here = tmp_path / "t"
    download(connection, [there.path("t")], tmp_path, reporter=SILENT)
    written(here, old="x", gone__f="x", kept__log="x", kept__f="x", _DOT_git__config="x", _DOT_gitignore="log\n")
    download(connection, [there.path("t")], tmp_path, reporter=SILENT)
    assert (here / "old").exists()
    download(connection, [there.path("t")], tmp_path, reporter=SILENT, delete=True)
    names = sorted(str(path.relative_to(here)) for path in here.rglob("*"))
    assert names == [".git", ".git/config", "a", "deep", "deep/b", "kept", "kept/log"]


def test_what_git_ignores_is_left_out_and_left_alone(connection: Connection, tmp_path: Path, there: There) -> None:
    tree = written(
        tmp_path / "t",
        _DOT_git__config="x",
        _DOT_gitignore="*.log\n/data/*\n",
        _DOT_spotignore="!data/small\nnotes\n",
        a_DOT_log="x",
        data__big="x",
        data__small="x",
        notes="x",
        code__x="x",
    )
    there.run("mkdir -p w/data; touch w/data/results w/old w/b.log")
    path = sync(connection, tree, there.path("w"), reporter=SILENT, delete=True)
    assert path == there.path("w")
    found = [name.removeprefix(b"w/") for name in there.names()[1:]]
    assert found == [
        b".gitignore",
        b".spotignore",
        b"b.log",
        b"code",
        b"code/x",
        b"data",
        b"data/results",
        b"data/small",
    ]


def test_the_whole_home_directory_is_never_deleted(connection: Connection, tmp_path: Path) -> None:
    for place in (".", "~", "x/..", "/"):
        with pytest.raises(UsageError, match="delete the rest"):
            sync(connection, tmp_path, place, reporter=SILENT, delete=True)


@pytest.mark.parametrize("place", [".", "x/..", "..", "~", "~/", "/"])
def test_what_lies_here_already_is_never_deleted(connection: Connection, tmp_path: Path, place: str) -> None:
    written(tmp_path, mine="x")
    with pytest.raises(UsageError, match="delete the rest"):
        download(connection, [place], tmp_path, reporter=SILENT, delete=True)
    assert (tmp_path / "mine").exists()
