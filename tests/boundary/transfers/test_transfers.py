"""What transfers promise, whatever server is at the other end."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

import pytest

from spot_connect.core.errors import SshLost, TransferFailed, UsageError
from spot_connect.core.reporting import Silent
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.ssh.command import run
from spot_connect.ssh.connection import Connection
from spot_connect.ssh.files import exists, is_dir
from spot_connect.transfers.download import download
from spot_connect.transfers.upload import sync, upload
from spot_connect.transfers.work import Rate
from tests.boundary.ssh.servers import Proxy, Server, There

SILENT = Silent()

pytestmark = pytest.mark.usefixtures("way")
MEGABYTE = 1024 * 1024


class Bars(Silent):
    """Counts what the progress bars were told, and may act on it."""

    def __init__(self, act: Callable[[], None] | None = None, after: int = 0) -> None:
        self.totals: dict[str, int] = {}
        self.done = 0
        self._act = act
        self._after = after

    def transfer(self, name: str, total: int) -> AbstractContextManager[Bars]:  # type: ignore[override]
        self.totals[name] = total
        return nullcontext(self)

    def advance(self, done: int) -> None:
        self.done += done
        if self._act and self.done > self._after:
            self._act()


class Warned(Bars):
    """Remembers the warnings, too."""

    def __init__(self, act: Callable[[], None] | None = None, after: int = 0) -> None:
        super().__init__(act, after)
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


class First(Silent):
    """Remembers how much was there before anything moved."""

    first = 0

    def transfer(self, name: str, total: int) -> AbstractContextManager[First]:  # type: ignore[override]
        return nullcontext(self)

    def advance(self, done: int) -> None:
        self.first = self.first or done


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "a tree"
    (root / "empty").mkdir(parents=True)
    (root / "deep" / "er").mkdir(parents=True)
    (root / "-dash").write_bytes(b"dash")
    (root / "ünï'\"$x *.txt").write_bytes(b"name")
    (root / "nothing").touch()
    (root / "deep" / "er" / "big").write_bytes(os.urandom(3 * MEGABYTE + 17))
    (root / "run.sh").write_bytes(b"#!/bin/sh\n")
    (root / "run.sh").chmod(0o750)
    (root / "link").symlink_to("-dash")
    (root / "linked").symlink_to("deep", target_is_directory=True)
    return root


def snapshot(root: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in sorted(_walk(root))}


def _walk(root: Path) -> list[Path]:
    found = []
    for path in root.iterdir():
        found.append(path)
        if path.is_dir():
            found += _walk(path)
    return found


def test_a_tree_goes_up_and_comes_back_the_same(
    connection: Connection, tree: Path, there: There, tmp_path: Path
) -> None:
    paths = upload(connection, [tree], there.path("new/er"), reporter=SILENT)
    assert paths == (there.path("new/er/a tree"),)
    assert there.run("find . -type l | sort") == b"./new/er/a tree/link\n./new/er/a tree/linked\n"
    assert there.run("stat -c %a 'new/er/a tree/run.sh'") == b"750\n"
    got = download(connection, paths, tmp_path / "back", reporter=SILENT)
    assert got == (tmp_path / "back" / "a tree",)
    assert snapshot(got[0]) == snapshot(tree)
    assert (got[0] / "run.sh").stat().st_mode & 0o777 == 0o750


def test_many_small_files_arrive_whole_by_several_hands(connection: Connection, tmp_path: Path, there: There) -> None:
    tree = tmp_path / "t"
    for number in range(200):
        folder = tree / f"{number % 10}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}").write_bytes(os.urandom(30_000 + number))
    upload(connection, [tree], there.folder, reporter=SILENT)
    got = download(connection, [there.path("t")], tmp_path / "d", reporter=SILENT)[0]
    assert snapshot(got) == snapshot(tree)
    assert not [name for name in there.names() if b".spot-connect-" in name]


def test_again_replaces_what_is_there(connection: Connection, tree: Path, there: There) -> None:
    upload(connection, [tree], there.folder, reporter=SILENT)
    (tree / "-dash").write_bytes(b"changed")
    before = there.names()
    upload(connection, [tree], there.folder, reporter=SILENT)
    assert there.names() == before
    assert there.read("a tree/-dash") == b"changed"


@pytest.mark.parametrize("form", ["{unique}", "~/{unique}", "./{unique}/", "{home}/{unique}"])
def test_relative_paths_start_in_the_home_directory(connection: Connection, tmp_path: Path, form: str) -> None:
    home = run(connection, "cd; pwd").stdout.decode().strip()
    unique = f"spot-connect-test-{os.getpid()}"
    (tmp_path / "f").write_bytes(b"x")
    try:
        paths = upload(connection, [tmp_path / "f"], form.format(unique=unique, home=home), reporter=SILENT)
        assert paths == (f"{home}/{unique}/f",)
        assert exists(connection, f"~/{unique}/f")
        assert not is_dir(connection, f"{unique}/f")
        assert is_dir(connection, f"~/{unique}")
        assert is_dir(connection, "~")
        assert not exists(connection, f"~/{unique}/g")
    finally:
        run(connection, f"rm -rf ~/{unique}")


def test_progress_is_told_in_bytes(connection: Connection, tmp_path: Path, there: There) -> None:
    (tmp_path / "f").write_bytes(bytes(MEGABYTE))
    bars = Bars()
    upload(connection, [tmp_path / "f"], there.folder, reporter=bars)
    assert (bars.totals, bars.done) == ({"f": MEGABYTE}, MEGABYTE)
    bars = Bars()
    download(connection, [there.path("f")], tmp_path / "d", reporter=bars)
    assert (bars.totals, bars.done) == ({"f": MEGABYTE}, MEGABYTE)


def test_a_broken_upload_leaves_the_old_file(server: Server, proxy: Proxy, tmp_path: Path, there: There) -> None:
    there.write("f", b"old")
    (tmp_path / "f").write_bytes(bytes(32 * MEGABYTE))
    with server.connection(address=proxy.address) as connection, pytest.raises(SshLost):
        upload(connection, [tmp_path / "f"], there.folder, reporter=Bars(proxy.cut))
    assert there.read("f") == b"old"


def test_a_broken_download_goes_on_where_it_was(server: Server, proxy: Proxy, tmp_path: Path, there: There) -> None:
    content = os.urandom(32 * MEGABYTE)
    there.write("f", content)
    with server.connection(address=proxy.address) as connection, pytest.raises(SshLost):
        download(connection, [there.path("f")], tmp_path / "d", reporter=Bars(proxy.cut, after=9 * MEGABYTE))
    assert not (tmp_path / "d" / "f").exists()
    bars = First()
    with server.connection() as connection:
        download(connection, [there.path("f")], tmp_path / "d", reporter=bars)
    assert bars.first > MEGABYTE
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["f"]
    assert (tmp_path / "d" / "f").read_bytes() == content


def test_a_broken_upload_goes_on_where_it_was(server: Server, proxy: Proxy, tmp_path: Path, there: There) -> None:
    content = os.urandom(32 * MEGABYTE)
    (tmp_path / "f").write_bytes(content)
    with server.connection(address=proxy.address) as connection, pytest.raises(SshLost):
        upload(connection, [tmp_path / "f"], there.folder, reporter=Bars(proxy.cut, after=20 * MEGABYTE))
    bars = First()
    upload(there.connection, [tmp_path / "f"], there.folder, reporter=bars)
    assert bars.first > MEGABYTE
    assert there.names() == [b"f"]
    assert there.read("f") == content


def test_what_is_left_of_another_content_is_not_gone_on_with(
    server: Server, proxy: Proxy, tmp_path: Path, there: There
) -> None:
    (tmp_path / "f").write_bytes(bytes(32 * MEGABYTE))
    (tmp_path / "f").write_bytes(os.urandom(32 * MEGABYTE))
    with server.connection(address=proxy.address) as connection, pytest.raises(SshLost):
        upload(connection, [tmp_path / "f"], there.folder, reporter=Bars(proxy.cut, after=20 * MEGABYTE))
    (tmp_path / "f").write_bytes(b"other")
    upload(there.connection, [tmp_path / "f"], there.folder, reporter=SILENT)
    assert there.read("f") == b"other"


class Once:
    """Acts the first time it is called."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._left = [act]

    def __call__(self) -> None:
        if self._left:
            self._left.pop()()


def meanwhile(proxy: Proxy, there: There, command: str) -> Once:
    """Runs a command at the other end, once, while nothing moves on the proxy's lines."""

    def act() -> None:
        with proxy.held():
            there.run(command)

    return Once(act)


def test_two_uploads_of_one_file_at_once_leave_that_file_alone(
    server: Server, connection: Connection, tmp_path: Path, there: There, way: str
) -> None:
    content = os.urandom(32 * MEGABYTE)
    (tmp_path / "f").write_bytes(content)
    with server.connection() as other:
        again = Once(lambda: upload(other, [tmp_path / "f"], there.folder, reporter=SILENT))
        with nullcontext() if way == "helper" else suppress(TransferFailed):
            upload(connection, [tmp_path / "f"], there.folder, reporter=Bars(again, after=MEGABYTE))
    assert there.read("f") == content
    assert there.names() == [b"f"]


def test_two_downloads_of_one_file_at_once_leave_that_file_alone(
    server: Server, connection: Connection, tmp_path: Path, there: There, way: str
) -> None:
    content = os.urandom(32 * MEGABYTE)
    there.write("f", content)
    with server.connection() as other:
        again = Once(lambda: download(other, [there.path("f")], tmp_path / "d", reporter=SILENT))
        with nullcontext() if way == "helper" else suppress(TransferFailed):
            download(connection, [there.path("f")], tmp_path / "d", reporter=Bars(again, after=MEGABYTE))
    assert (tmp_path / "d" / "f").read_bytes() == content
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["f"]


def interrupt() -> None:
    raise KeyboardInterrupt


def test_who_gives_up_leaves_what_another_upload_has_begun(
    server: Server, proxy: Proxy, tmp_path: Path, there: There
) -> None:
    (tmp_path / "f").write_bytes(os.urandom(32 * MEGABYTE))
    with server.connection(address=proxy.address) as connection, pytest.raises(SshLost):
        upload(connection, [tmp_path / "f"], there.folder, reporter=Bars(proxy.cut, after=20 * MEGABYTE))
    with pytest.raises(KeyboardInterrupt):
        upload(there.connection, [tmp_path / "f"], there.folder, reporter=Bars(interrupt))
    bars = First()
    upload(there.connection, [tmp_path / "f"], there.folder, reporter=bars)
    assert bars.first > MEGABYTE
    assert there.names() == [b"f"]


def test_who_gives_up_leaves_what_another_download_has_begun(
    server: Server, proxy: Proxy, tmp_path: Path, there: There
) -> None:
    there.write("f", os.urandom(32 * MEGABYTE))
    with server.connection(address=proxy.address) as connection, pytest.raises(SshLost):
        download(connection, [there.path("f")], tmp_path / "d", reporter=Bars(proxy.cut, after=9 * MEGABYTE))
    with pytest.raises(KeyboardInterrupt):
        download(there.connection, [there.path("f")], tmp_path / "d", reporter=Bars(interrupt))
    bars = First()
    download(there.connection, [there.path("f")], tmp_path / "d", reporter=bars)
    assert bars.first > MEGABYTE
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["f"]


def test_a_download_holds_one_file_whatever_takes_its_place(
    connection: Connection, tmp_path: Path, there: There
) -> None:
    old, new = os.urandom(64 * MEGABYTE), os.urandom(64 * MEGABYTE)
    there.write("f", old)
    there.write("g", new)
    there.run("touch -d @1000000000 f")
    replace = Once(lambda: there.run("mv g f"))
    [got] = download(connection, [there.path("f")], tmp_path / "d", reporter=Bars(replace, after=MEGABYTE))
    assert got.read_bytes() in (old, new)
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["f"]
    download(connection, [there.path("f")], tmp_path / "d", reporter=SILENT)
    assert got.read_bytes() == new


def test_a_file_that_becomes_shorter_is_named_and_nothing_of_it_stays(
    server: Server, proxy: Proxy, tmp_path: Path, there: There
) -> None:
    there.run("head -c 128M /dev/urandom > f")
    bars = Bars(meanwhile(proxy, there, "truncate -s 1M f"), after=MEGABYTE)
    with (
        server.connection(address=proxy.address) as connection,
        pytest.raises(TransferFailed, match="f: it became shorter"),
    ):
        download(connection, [there.path("f")], tmp_path / "d", reporter=bars)
    assert not list((tmp_path / "d").iterdir())


def test_a_download_of_a_file_that_is_written_in_place_says_so(
    server: Server, proxy: Proxy, tmp_path: Path, there: There
) -> None:
    there.run("head -c 128M /dev/urandom > f; touch -d @1000000000 f")
    there.write("g", b"g")
    bars = Warned(meanwhile(proxy, there, "dd if=g of=f conv=notrunc 2>/dev/null"), after=MEGABYTE)
    with server.connection(address=proxy.address) as connection:
        download(connection, [there.path(name) for name in "fg"], tmp_path, reporter=bars)
    [warning] = bars.warnings
    assert "written" in warning
    assert warning.endswith(f": {tmp_path / 'f'}")
    bars = Warned()
    download(there.connection, [there.path("f")], tmp_path, reporter=bars)
    assert not bars.warnings
    assert (tmp_path / "f").read_bytes()[:1] == b"g"


def test_an_upload_of_a_file_that_is_written_in_place_says_so(
    connection: Connection, tmp_path: Path, there: There
) -> None:
    path = tmp_path / "f"
    path.write_bytes(os.urandom(MEGABYTE) * 64)
    os.utime(path, (1_000_000_000, 1_000_000_000))

    def write() -> None:
        with path.open("r+b") as file:
            file.write(b"g")

    bars = Warned(Once(write), after=MEGABYTE)
    upload(connection, [path], there.folder, reporter=bars)
    [warning] = bars.warnings
    assert "written" in warning
    assert warning.endswith(f": {path}")
    bars = Warned()
    upload(connection, [path], there.folder, reporter=bars)
    assert not bars.warnings
    assert there.read("f")[:1] == b"g"


def test_an_upload_holds_one_file_whatever_takes_its_place(
    connection: Connection, tmp_path: Path, there: There
) -> None:
    old, new = os.urandom(64 * MEGABYTE), os.urandom(64 * MEGABYTE)
    (tmp_path / "f").write_bytes(old)
    (tmp_path / "g").write_bytes(new)
    os.utime(tmp_path / "f", (1_000_000_000, 1_000_000_000))
    replace = Once(lambda: (tmp_path / "g").replace(tmp_path / "f"))
    with suppress(TransferFailed):
        upload(connection, [tmp_path / "f"], there.folder, reporter=Bars(replace, after=MEGABYTE))
    assert there.names() == [] or there.read("f") == old
    upload(connection, [tmp_path / "f"], there.folder, reporter=SILENT)
    assert there.read("f") == new


def test_a_file_that_grows_comes_as_it_was(connection: Connection, tmp_path: Path, there: There) -> None:
    content = os.urandom(32 * MEGABYTE)
    there.write("f", content)
    grow = Once(lambda: there.run("echo more >> f"))
    [got] = download(connection, [there.path("f")], tmp_path / "d", reporter=Bars(grow, after=MEGABYTE))
    assert got.read_bytes() == content


def test_an_upload_that_another_has_swept_away_is_no_success(
    connection: Connection, tmp_path: Path, there: There
) -> None:
    (tmp_path / "f").write_bytes(os.urandom(32 * MEGABYTE))
    sweep = Once(lambda: there.run("rm -f .spot-connect-*"))
    with pytest.raises(TransferFailed) as caught:
        upload(connection, [tmp_path / "f"], there.folder, reporter=Bars(sweep, after=MEGABYTE))
    assert there.path("f") in str(caught.value) or "/f" in str(caught.value)
    assert b"f" not in there.names()
    upload(connection, [tmp_path / "f"], there.folder, reporter=SILENT)
    assert there.names() == [b"f"]


def test_a_download_that_another_has_swept_away_is_no_success(
    connection: Connection, tmp_path: Path, there: There
) -> None:
    content = os.urandom(32 * MEGABYTE)
    there.write("f", content)

    def sweep() -> None:
        for path in (tmp_path / "d").iterdir():
            path.unlink()

    with pytest.raises(TransferFailed):
        download(connection, [there.path("f")], tmp_path / "d", reporter=Bars(Once(sweep), after=MEGABYTE))
    assert not (tmp_path / "d" / "f").exists()
    download(connection, [there.path("f")], tmp_path / "d", reporter=SILENT)
    assert (tmp_path / "d" / "f").read_bytes() == content
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["f"]


def test_the_bars_hear_of_every_byte(connection: Connection, tmp_path: Path, there: There) -> None:
    sizes = (9 * MEGABYTE + 5, 4 * MEGABYTE, 1000, 1, 0)
    (tmp_path / "t").mkdir()
    for number, size in enumerate(sizes):
        (tmp_path / "t" / f"{number}").write_bytes(os.urandom(size))
    up, down = Bars(), Bars()
    upload(connection, [tmp_path / "t"], there.folder, reporter=up)
    download(connection, [there.path("t")], tmp_path / "d", reporter=down)
    assert up.done == down.done == sum(up.totals.values()) == sum(sizes)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_transfer_leaves_nothing(
    connection: Connection, tmp_path: Path, there: There, error: type[BaseException]
) -> None:
    def interrupt() -> None:
        raise error

    (tmp_path / "f").write_bytes(bytes(32 * MEGABYTE))
    with pytest.raises(error):
        upload(connection, [tmp_path / "f"], there.folder, reporter=Bars(interrupt))
    assert there.names() == []
    upload(connection, [tmp_path / "f"], there.folder, reporter=SILENT)
    with pytest.raises(error):
        download(connection, [there.path("f")], tmp_path / "d", reporter=Bars(interrupt))
    assert list((tmp_path / "d").iterdir()) == []


def test_a_missing_remote_file_is_named_before_anything_is_written(
    connection: Connection, tmp_path: Path, there: There
) -> None:
    sources = [there.write("f", b"x"), there.path("no-such-file")]
    with pytest.raises(TransferFailed, match="no-such-file"):
        download(connection, sources, tmp_path / "d", reporter=SILENT)
    assert not (tmp_path / "d").exists()


def test_a_download_to_the_working_directory_arrives_there(
    connection: Connection, tmp_path: Path, there: There, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    there.run("mkdir folder")
    there.write("folder/b", b"b")
    monkeypatch.chdir(tmp_path)
    got = download(connection, [there.write("a", b"a"), there.path("folder")], Path(), reporter=SILENT)
    assert got == (Path("a"), Path("folder"))
    assert [(tmp_path / name).read_bytes() for name in ("a", "folder/b")] == [b"a", b"b"]


def test_downloads_go_one_to_one(connection: Connection, tmp_path: Path, there: There) -> None:
    (tmp_path / "folder").mkdir()
    sources = [there.write("a", b"a"), there.write("b", b"b")]
    got = download(connection, sources, [tmp_path / "x" / "one", tmp_path / "folder"], reporter=SILENT)
    assert got == (tmp_path / "x" / "one", tmp_path / "folder" / "b")
    assert [path.read_bytes() for path in got] == [b"a", b"b"]
    with pytest.raises(UsageError, match="2 files"):
        download(connection, sources, [tmp_path / "one"], reporter=SILENT)


def test_bad_sources_are_refused_before_the_first_byte(connection: Connection, tmp_path: Path, there: There) -> None:
    tree = tmp_path / "t"
    tree.mkdir()
    (tree / "good").write_bytes(b"x")

    def refuse(why: str, *sources: Path) -> None:
        with pytest.raises(UsageError, match=why):
            upload(connection, sources, there.folder, reporter=SILENT)

    os.mkfifo(tree / "odd")
    refuse("neither a file", tree / "odd")
    refuse("missing", tmp_path / "missing")
    (tmp_path / "odd").symlink_to("nowhere")
    refuse("leads nowhere", tmp_path / "odd")
    (tmp_path / "good").write_bytes(b"y")
    refuse("two of the files", tree / "good", tmp_path / "good")
    assert there.names() == []


@pytest.mark.parametrize("delete", [False, True])
@pytest.mark.usefixtures("way")
def test_pipes_and_sockets_are_left_out_and_named(
    connection: Connection, tmp_path: Path, there: There, *, delete: bool
) -> None:
    tree = tmp_path / "t"
    (tree / "sub").mkdir(parents=True)
    (tree / "good").write_bytes(b"x")
    os.mkfifo(tree / "sub" / "pipe")
    heard = Warned()
    upload(connection, [tree], there.folder, reporter=heard, delete=delete)
    sync(connection, tree, there.path("s"), reporter=heard, delete=delete)
    assert [text.partition(": ")[2] for text in heard.warnings] == [str(tree / "sub" / "pipe")] * 2
    there.run("mkfifo t/odd")
    heard = Warned()
    (tmp_path / "d" / "t").mkdir(parents=True)
    os.mkfifo(tmp_path / "d" / "t" / "mine")
    [got] = download(connection, [there.path("t")], tmp_path / "d", reporter=heard, delete=delete)
    assert sorted(path.name for path in got.rglob("*")) == ["good", "mine", "sub"]
    assert [text.partition(": ")[2] for text in heard.warnings] == [there.path("t/odd")]


def test_links_stay_links_wherever_they_lead(connection: Connection, tmp_path: Path, there: There) -> None:
    tree = tmp_path / "t"
    tree.mkdir()
    for name, target in {"loop": ".", "nowhere": "no/such", "out": "/etc", "long": "x" * 200}.items():
        (tree / name).symlink_to(target)
    upload(connection, [tree], there.folder, reporter=SILENT)
    got = download(connection, [there.path("t")], tmp_path / "d", reporter=SILENT)[0]
    assert {path.name: str(path.readlink()) for path in got.iterdir()} == {
        "loop": ".",
        "nowhere": "no/such",
        "out": "/etc",
        "long": "x" * 200,
    }


def test_a_source_that_is_a_link_is_what_it_leads_to(connection: Connection, tmp_path: Path, there: There) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "f").write_bytes(b"x")
    (tmp_path / "link").symlink_to("t")
    upload(connection, [tmp_path / "link"], there.folder, reporter=SILENT)
    assert there.names() == [b"link", b"link/f"]
    there.run("ln -s link again")
    got = download(connection, [there.path("again")], tmp_path / "d", reporter=SILENT)[0]
    assert not got.is_symlink()
    assert (got / "f").read_bytes() == b"x"


def test_a_file_in_the_way_is_told(connection: Connection, tmp_path: Path, there: There) -> None:
    (tmp_path / "f").write_bytes(b"x")
    with pytest.raises(TransferFailed, match="file of that name"):
        upload(connection, [tmp_path / "f"], there.write("file", b"y"), reporter=SILENT)
    there.run("mkdir f")
    with pytest.raises(TransferFailed, match="directory of that name"):
        upload(connection, [tmp_path / "f"], there.folder, reporter=SILENT)
    assert there.names() == [b"f", b"file"]


def test_a_download_that_this_machine_cannot_take_is_told(connection: Connection, tmp_path: Path, there: There) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TransferFailed, match="cannot download") as caught:
        download(connection, [there.write("f", b"x")], tmp_path / "file", reporter=SILENT)
    assert str(tmp_path / "file") in caught.value.what


def test_a_directory_that_takes_no_files_is_named(connection: Connection, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    with pytest.raises(TransferFailed, match=r"cannot upload .*f to /proc: ") as caught:
        upload(connection, [tmp_path / "f"], "/proc", reporter=SILENT)
    assert ".spot-connect" not in str(caught.value)


def test_a_full_disk_on_the_instance_is_told(connection: Connection, tmp_path: Path) -> None:
    if not is_dir(connection, "/run/full"):
        pytest.skip("the server has no small disk")
    (tmp_path / "f").write_bytes(bytes(4 * MEGABYTE))
    with pytest.raises(TransferFailed, match="no space left on the instance"):
        upload(connection, [tmp_path / "f"], "/run/full", reporter=SILENT)
    assert run(connection, "ls -A /run/full").stdout == b""


def test_what_another_transfer_has_begun_neither_moves_nor_goes(
    connection: Connection, tmp_path: Path, there: There
) -> None:
    begun = ".spot-connect-0123456789ab.part"
    for place in ("t", "t/deep"):
        there.run(f"mkdir -p {place}/{begun}/x; echo 1 > {place}/{begun}/x/f; echo 2 > {place}/{begun}.done")
    there.run("echo 3 > t/deep/f")
    [got] = download(connection, [there.path("t")], tmp_path, reporter=SILENT)
    assert sorted(snapshot(got)) == ["deep", "deep/f"]
    (got / begun).mkdir()
    (got / begun / "f").write_bytes(b"4")
    upload(connection, [got], there.folder, reporter=SILENT, delete=True)
    download(connection, [there.path("t")], tmp_path, reporter=SILENT, delete=True)
    for place in ("t", "t/deep"):
        assert there.run(f"cat {place}/{begun}/x/f {place}/{begun}.done") == b"1\n2\n"
    assert (got / begun / "f").read_bytes() == b"4"


def test_names_that_are_not_utf_8_go_up(connection: Connection, tmp_path: Path, there: There) -> None:
    source = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    source.write_bytes(b"x")
    upload(connection, [source], there.folder, reporter=SILENT)
    assert there.names() == [b"caf\xe9"]


def test_empty_files_and_links_alone_arrive(connection: Connection, tmp_path: Path, there: There) -> None:
    tree = tmp_path / "t"
    tree.mkdir()
    for number in range(50):
        (tree / f"{number}").touch()
        (tree / f"link{number}").symlink_to(f"{number}")
    upload(connection, [tree], there.folder, reporter=SILENT)
    got = download(connection, [there.path("t")], tmp_path / "d", reporter=SILENT)[0]
    assert sorted(path.name for path in got.iterdir()) == sorted(path.name for path in tree.iterdir())


@pytest.mark.parametrize("content", ["link", "link and file"])
def test_links_are_counted_in_both_directions(
    connection: Connection, tmp_path: Path, there: There, content: str
) -> None:
    tree = tmp_path / "t"
    tree.mkdir()
    for name in content.split(" and "):
        (tree / name).write_bytes(b"data") if name == "file" else (tree / name).symlink_to("file")
    up, down = Bars(), Bars()
    upload(connection, [tree], there.folder, reporter=up)
    download(connection, [there.path("t")], tmp_path / "d", reporter=down)
    assert up.totals == down.totals == ({"link": 0} if content == "link" else {"2 files": 4})


def test_holes_stay_holes(connection: Connection, tmp_path: Path, there: There, way: str) -> None:
    if way == "sftp":
        pytest.skip("SFTP knows no holes")
    with (tmp_path / "f").open("wb") as file:
        file.truncate(200 * MEGABYTE)
        file.seek(100 * MEGABYTE)
        file.write(b"here")
    upload(connection, [tmp_path / "f"], there.folder, reporter=SILENT)
    got = download(connection, [there.path("f")], tmp_path / "d", reporter=SILENT)[0]
    assert int(there.run("du -k f | cut -f1")) < 1024
    assert got.stat().st_blocks * 512 < MEGABYTE
    assert got.stat().st_size == 200 * MEGABYTE
    with got.open("rb") as file:
        file.seek(100 * MEGABYTE)
        assert file.read(5) == b"here\0"


def test_no_helper_is_left_when_all_has_moved(connection: Connection, tmp_path: Path, there: There) -> None:
    (tmp_path / "f").write_bytes(os.urandom(40 * MEGABYTE))
    upload(connection, [tmp_path / "f"], there.folder, reporter=SILENT)
    count = f"ls -l /proc/[0-9]*/cwd 2>&1 | grep -c -- '-> {there.folder}$'"
    wait_for("helpers", lambda: Seen(run(connection, count).stdout == b"0\n" or None, "running"), seconds=10, every=0.1)


def test_times_are_kept(connection: Connection, tmp_path: Path, there: There) -> None:
    tree = tmp_path / "t"
    (tree / "deep").mkdir(parents=True)
    (tree / "deep" / "f").write_bytes(b"x")
    (tree / "big").write_bytes(bytes(5 * MEGABYTE))
    for number, path in enumerate((tree / "deep" / "f", tree / "big", tree / "deep", tree)):
        os.utime(path, (1_000_000_000 + number, 1_000_000_000 + number))
    upload(connection, [tree], there.folder, reporter=SILENT)
    got = download(connection, [there.path("t")], tmp_path / "d", reporter=SILENT)[0]
    times = [int(path.stat().st_mtime) for path in (got / "deep" / "f", got / "big", got / "deep", got)]
    assert times == [1_000_000_000, 1_000_000_001, 1_000_000_002, 1_000_000_003]


def test_what_can_be_squeezed_is_squeezed_over_a_slow_link(
    connection: Connection, tmp_path: Path, there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rate, "is_slow", True)
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "text").write_bytes(b"the same again and again\n" * 20_000)
    (tmp_path / "t" / "noise").write_bytes(os.urandom(300_000))
    upload(connection, [tmp_path / "t" / "text"], there.folder, reporter=SILENT)
    upload(connection, [tmp_path / "t"], there.folder, reporter=SILENT)
    assert there.read("text") == there.read("t/text") == (tmp_path / "t" / "text").read_bytes()
    assert there.read("t/noise") == (tmp_path / "t" / "noise").read_bytes()


def test_what_comes_down_over_a_slow_link_is_squeezed_where_that_helps(
    connection: Connection, tmp_path: Path, there: There, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rate, "is_slow", True)
    monkeypatch.setattr(Rate, "note", lambda _, size: moved.append(size))
    moved: list[int] = []
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "empty").touch()
    (tmp_path / "t" / "text").write_bytes(b"the same again and again\n" * 40_000)
    (tmp_path / "t" / "noise").write_bytes(os.urandom(300_000))
    upload(connection, [tmp_path / "t"], there.folder, reporter=SILENT)
    moved.clear()
    got = download(connection, [there.path("t")], tmp_path / "d", reporter=SILENT)[0]
    assert snapshot(got) == snapshot(tmp_path / "t")
    assert way == "sftp" or 300_000 < sum(moved) < 350_000


def test_a_download_writes_nothing_through_a_link(connection: Connection, tmp_path: Path, there: There) -> None:
    there.run("mkdir -p t/x; echo new > t/x/f")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "d" / "t").mkdir(parents=True)
    (tmp_path / "d" / "t" / "x").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TransferFailed, match="is a link here"):
        download(connection, [there.path("t")], tmp_path / "d", reporter=SILENT)
    assert list((tmp_path / "elsewhere").iterdir()) == []
