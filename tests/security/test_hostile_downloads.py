"""Downloads from a server that means harm: nothing outside the target folder is touched, and the rest arrives."""

from __future__ import annotations

import os
import stat
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spot_connect.core.errors import SshLost, TransferFailed
from spot_connect.core.reporting import Silent
from spot_connect.ssh import files
from spot_connect.ssh.connection import Connection
from spot_connect.transfers import folders, listed
from spot_connect.transfers.download import download
from spot_connect.transfers.helper.frames import frame
from tests.security.hostile import TIME, Hostile, Named, hostile_server, listing, record

SILENT = Silent()
BIG = 5 << 20
TREE = b"t"
REFUSED_NAMES = [
    *(b"../../victim/x", b"../victim/x", b"..", b"a/b", b"/abs", b"x/../../victim/x", b"a\0b", b"n" * 4096, b""),
    b".spot-connect-0-1.part",
]
ODD_NAMES = [b"line\nend", b"\x1b]0;title\x07", "\u202etxt.exe".encode(), b"caf\xe9", b"-rf", b" ", b"...", b"~"]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    with hostile_server(tmp_path_factory.mktemp("hostile")) as running:
        yield running


@pytest.fixture(scope="module")
def line(hostile: Hostile) -> Iterator[Connection]:
    with hostile.server.connection() as connection:
        yield connection


@pytest.fixture(autouse=True)
def _forgetting(hostile: Hostile) -> None:
    hostile.forget()


@pytest.fixture(params=["helper", "sftp"])
def offer(request: pytest.FixtureRequest, hostile: Hostile) -> Callable[..., None]:
    """Has the server list directories of the tree ``t``, by its helper or over SFTP."""

    def tell(**by_folder: list[Named]) -> None:
        shown(hostile, {name.replace("__", "/").encode(): names for name, names in by_folder.items()}, request.param)

    return tell


@pytest.fixture(params=["by descriptor", "by path"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on most systems, and as on Windows."""
    monkeypatch.setattr(folders, "_BY_DESCRIPTOR", request.param == "by descriptor")


def shown(hostile: Hostile, tree: dict[bytes, list[Named]], way: str) -> None:
    """Have the server list such a tree: the names in each directory, whose top is called ``top`` or ``b""``."""
    tree = {b"" if folder == b"top" else folder: names for folder, names in tree.items()}
    hostile.forget()
    if way == "helper":
        hostile.listing = listing(TREE, tree)
    else:
        hostile.folders = {TREE + (b"/" + folder if folder else b""): names for folder, names in tree.items()}


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A place with a victim, beside the folder that is downloaded to."""
    return made_world(tmp_path / "world")


def made_world(world: Path) -> Path:
    (world / "victim" / "deep").mkdir(parents=True)
    (world / "out").mkdir()
    for name in ("x", "f", "deep/f"):
        (world / "victim" / name).write_bytes(b"precious")
        (world / "victim" / name).chmod(0o600)
    (world / "victim" / ".gitignore").write_bytes(b"")
    for path in (world, *world.rglob("*")):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    return world


def outside(world: Path) -> dict[str, object]:
    """All there is about whatever lies outside the target folder."""
    found: dict[str, object] = {}
    for path in (world, world / "victim", *sorted((world / "victim").rglob("*")), world.parent):
        told = path.lstat()
        times = () if path == world.parent else (told.st_mtime_ns,)
        found[str(path)] = (
            told.st_mode,
            told.st_ino,
            *times,
            path.read_bytes() if path.is_file() else sorted_names(path),
        )
    return found


def sorted_names(path: Path) -> list[str]:
    return sorted(each.name for each in path.iterdir())


def modes(world: Path) -> set[int]:
    """The mode bits beyond reading, writing and executing of all that was written."""
    every = [*(world / "out").rglob("*")]
    return {stat.S_IMODE(path.lstat().st_mode) & ~0o777 for path in every}


def get(line: Connection, world: Path, **options: object) -> None:
    download(line, ["t"], world / "out", reporter=SILENT, **options)  # type: ignore[arg-type]


def what_is_said(line: Connection, world: Path, **options: object) -> str:
    """The error of a download, if there is one."""
    try:
        get(line, world, **options)
    except (TransferFailed, SshLost) as error:
        return str(error)
    return ""


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("name", REFUSED_NAMES)
@pytest.mark.parametrize("kind", ["f", "d", "l"])
def test_a_name_that_leads_elsewhere_is_refused_and_the_rest_arrives(
    line: Connection, world: Path, offer: Callable[..., None], name: bytes, kind: str, request: pytest.FixtureRequest
) -> None:
    way = request.node.callspec.params["offer"]
    if way == "helper" and (b"\0" in name or kind == "d"):
        pytest.skip("a zero byte ends a name there, and directories have records of their own")
    before = outside(world)
    offer(top=[Named(b"good"), Named(name, kind, link=b"/etc"), Named(b"sub", "d"), Named(b"z")], sub=[Named(b"f")])
    # Over SFTP an honest directory lists the one above it, and what a transfer has begun is left out.
    is_silent = way == "sftp" and (name == b".." or name.startswith(b".spot-connect-"))
    assert (what_is_said(line, world) == "") == is_silent
    assert outside(world) == before
    arrived = sorted(str(path.relative_to(world / "out" / "t")) for path in (world / "out" / "t").rglob("*"))
    assert arrived == ["good", "sub", "sub/f", "z"]


@pytest.mark.parametrize(
    "path", [b"t/../../victim/x", b"/etc", b"tt/x", b"t/a/b", b"t/../x", b"t/", b"t//x", b"", b"t"]
)
def test_a_directory_record_that_leads_elsewhere_is_refused_with_what_is_in_it(
    line: Connection, world: Path, hostile: Hostile, path: bytes
) -> None:
    before = outside(world)
    text = b"/home\0" + record(Named(b"t", "d")) + record(Named(b"good"))
    hostile.listing = text + record(Named(path, "d")) + record(Named(b"in it")) + b".\0\0\0"
    with pytest.raises(TransferFailed, match=r"cannot download all of t: .* all else has arrived"):
        get(line, world)
    assert outside(world) == before
    assert sorted_names(world / "out" / "t") == ["good"]


def test_what_was_refused_is_listed_in_one_line_that_is_fit_to_show(
    line: Connection, world: Path, offer: Callable[..., None]
) -> None:
    offer(top=[Named(b"../\x1b]0;x\x07" + bytes([letter])) for letter in b"abcdefgh"])
    with pytest.raises(TransferFailed) as caught:
        get(line, world)
    assert str(caught.value).isprintable()
    assert r"'../\x1b]0;x\x07a' has a '/' in it" in caught.value.said
    assert "and 3 more" in caught.value.said


def test_names_that_are_only_odd_arrive_as_they_are(line: Connection, world: Path, offer: Callable[..., None]) -> None:
    offer(top=[Named(name) for name in ODD_NAMES])
    get(line, world)
    assert sorted(map(os.fsencode, sorted_names(world / "out" / "t"))) == sorted(ODD_NAMES)


def test_nothing_is_deleted_where_something_was_refused(
    line: Connection, world: Path, offer: Callable[..., None]
) -> None:
    (world / "out" / "t").mkdir()
    (world / "out" / "t" / "mine").touch()
    offer(top=[Named(b"a/b"), Named(b"good")])
    with pytest.raises(TransferFailed, match="Nothing was deleted"):
        get(line, world, delete=True)
    assert sorted_names(world / "out" / "t") == ["good", "mine"]
    offer(top=[Named(b"good")])
    get(line, world, delete=True)
    assert sorted_names(world / "out" / "t") == ["good"]


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("size", [5, BIG])
@pytest.mark.parametrize("delete", [False, True])
def test_a_link_that_a_first_download_left_is_never_gone_through(
    line: Connection, world: Path, offer: Callable[..., None], size: int, delete: bool, hostile: Hostile
) -> None:
    before = outside(world)
    offer(top=[Named(b"a", "l", link=os.fsencode(world / "victim")), Named(b"b", "l", link=b"../../victim/x")])
    get(line, world)
    assert (world / "out" / "t" / "a").is_symlink()
    offer(
        top=[Named(b"a", "d", 0o4777), Named(b"b", "f", 0o4777, size), Named(b"z")],
        a=[Named(b"x", "f", 0o4777, size), Named(b"deep", "d", 0o7777), Named(b"new")],
        a__deep=[Named(b"f", "f", 0o777, 8)],
    )
    hostile.content = lambda path: b"y" * (8 if path.endswith(b"/f") else 5 if path[-1:] in b"zw" else size)
    with pytest.raises(TransferFailed, match="a is a link here and a directory there"):
        get(line, world, delete=delete)
    assert outside(world) == before
    assert (world / "out" / "t" / "a").is_symlink()
    # A link in the place of a file is replaced, and the rest arrives.
    assert (world / "out" / "t" / "b").stat().st_size == size
    assert (world / "out" / "t" / "z").exists()
    assert modes(world) == {0}


@pytest.mark.usefixtures("system")
def test_the_top_of_a_download_may_not_be_a_link_and_the_folder_that_the_user_names_may(
    line: Connection, world: Path, offer: Callable[..., None]
) -> None:
    before = outside(world)
    (world / "out" / "t").symlink_to(world / "victim")
    offer(top=[Named(b"x")])
    with pytest.raises(TransferFailed, match="t is a link here and a directory there"):
        get(line, world)
    assert outside(world) == before
    (world / "out" / "own").mkdir()
    (world / "out" / "link").symlink_to("own")
    download(line, ["t"], world / "out" / "link", reporter=SILENT)
    assert (world / "out" / "own" / "t" / "x").read_bytes() == b"x" * 5


@pytest.mark.usefixtures("system")
def test_a_folder_for_one_of_several_instances_may_not_be_a_link(
    line: Connection, world: Path, offer: Callable[..., None]
) -> None:
    before = outside(world)
    (world / "out" / "vm1").symlink_to(world / "victim")
    offer(top=[Named(b"x")])
    with pytest.raises(TransferFailed, match="vm1: there is a link of that name"):
        get(line, world, subfolders=["vm1"])
    assert outside(world) == before
    get(line, world, subfolders=["vm2"])
    assert (world / "out" / "vm2" / "t" / "x").exists()


@pytest.mark.parametrize("source", ["..", "../..", "/", "x/../..", "/x/.."])
def test_a_source_without_a_name_comes_into_the_target_folder_itself(
    line: Connection, world: Path, hostile: Hostile, source: str
) -> None:
    before = outside(world)
    top = os.path.normpath(source).encode()
    hostile.listing = b"/home\0" + record(Named(top, "d", 0o755)) + record(Named(b"f")) + b".\0\0\0"
    download(line, [source], world / "out", reporter=SILENT)
    assert sorted_names(world / "out") == ["f"]
    assert outside(world) == before


@pytest.mark.usefixtures("system")
def test_a_link_that_comes_between_the_look_and_the_work_is_not_gone_through(
    line: Connection, world: Path, offer: Callable[..., None], hostile: Hostile
) -> None:
    before = outside(world)
    (world / "out" / "t" / "a").mkdir(parents=True)
    offer(top=[Named(b"a", "d"), Named(b"big", "f", 0o644, BIG)], a=[Named(b"x"), Named(b"y", "f", 0o777, BIG)])

    class Swapping(Silent):
        def transfer(self, name: str, total: int):  # type: ignore[no-untyped-def]
            (world / "out" / "t" / "a").rmdir()
            (world / "out" / "t" / "a").symlink_to(world / "victim")
            return super().transfer(name, total)

    hostile.content = lambda path: b"x" * (5 if path.endswith(b"/x") else BIG)
    with pytest.raises(TransferFailed, match="there is a link of that name"):
        download(line, ["t"], world / "out", reporter=Swapping())
    assert outside(world) == before


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("planted", ["link", "pipe", "second name", "directory"])
@pytest.mark.parametrize("end", ["", ".done"])
@pytest.mark.timeout(30)
def test_what_is_planted_where_a_file_is_put_together_is_not_written_to(
    line: Connection, world: Path, offer: Callable[..., None], hostile: Hostile, planted: str, end: str
) -> None:
    offer(top=[Named(b"f", "f", 0o644, BIG)])
    hostile.content = lambda _: b"x" * BIG
    item = folders.Item("", b"t/f", folders_entry())
    (world / "out" / "t").mkdir()
    path = world / "out" / "t" / f".spot-connect-{item.token.decode()}.part{end}"
    if planted == "link":
        path.symlink_to(world / "victim" / "x")
    elif planted == "pipe":
        os.mkfifo(path)
    elif planted == "second name":
        os.link(world / "victim" / "x", path)
    else:
        path.mkdir()
    try:
        get(line, world)
    except TransferFailed:
        assert planted == "directory"
    else:
        assert (world / "out" / "t" / "f").stat().st_size == BIG
    assert (world / "victim" / "x").read_bytes() == b"precious"
    assert stat.S_IMODE((world / "victim" / "x").stat().st_mode) == 0o600


def folders_entry() -> object:
    return listed.Entry(b"f", "f", 0o644, BIG, TIME * 10**9, b"")


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("size", [8, BIG])
def test_a_file_with_a_second_name_elsewhere_keeps_its_mode_time_and_content_there(
    line: Connection, world: Path, offer: Callable[..., None], hostile: Hostile, size: int
) -> None:
    (world / "victim" / "x").write_bytes(b"y" * size)
    (world / "out" / "t").mkdir()
    os.link(world / "victim" / "x", world / "out" / "t" / "f")
    for time in (1_000_000_000, 1_100_000_000):
        os.utime(world / "victim" / "x", (time, time))
        before = (world / "victim" / "x").stat()
        offer(top=[Named(b"f", "f", 0o777, size, time=1_000_000_000)])
        hostile.content = lambda _: b"y" * size
        get(line, world)
        after = (world / "victim" / "x").stat()
        assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
        (world / "out" / "t" / "f").unlink()
        os.link(world / "victim" / "x", world / "out" / "t" / "f")


@pytest.mark.timeout(30)
def test_a_pipe_in_the_place_of_a_file_hangs_nothing_and_is_replaced(
    line: Connection, world: Path, offer: Callable[..., None]
) -> None:
    (world / "out" / "t").mkdir()
    os.mkfifo(world / "out" / "t" / "f")
    os.mkfifo(world / "out" / "t" / ".gitignore")
    offer(top=[Named(b"f")])
    get(line, world, delete=True)
    assert (world / "out" / "t" / "f").read_bytes() == b"x" * 5


@pytest.mark.parametrize("mode", [0o4777, 0o2755, 0o1777, 0o7777, 0o104777])
def test_no_mode_has_more_than_what_lets_read_write_and_execute(
    line: Connection, world: Path, offer: Callable[..., None], hostile: Hostile, mode: int
) -> None:
    named = [Named(b"f", "f", mode), Named(b"d", "d", mode & 0o7777), Named(b"big", "f", mode, BIG)]
    offer(top=named, d=[Named(b"f", "f", mode)])
    hostile.content = lambda path: b"x" * (BIG if path.endswith(b"big") else 5)
    get(line, world)
    get(line, world)
    assert modes(world) == {0}
    assert stat.S_IMODE((world / "out" / "t" / "f").stat().st_mode) == mode & 0o777


HEAD = b"/home\0" + record(Named(b"t", "d"))
MALFORMED = {
    "no number": HEAD + b"f420 many 5\0f\0\0.\0\0\0",
    "a negative size": HEAD + b"f420 -1 5\0f\0\0.\0\0\0",
    "a huge size": HEAD + b"f420 %d 5\0f\0\0.\0\0\0" % 2**63,
    "a size of many digits": HEAD + b"f420 " + b"9" * 5000 + b" 5\0f\0\0.\0\0\0",
    "a huge time": HEAD + b"f420 5 %d\0f\0\0.\0\0\0" % 2**80,
    "a negative mode": HEAD + b"f-1 5 5\0f\0\0.\0\0\0",
    "a missing field": HEAD + b"f420 5\0f\0\0.\0\0\0",
    "another kind": HEAD + b"x420 5 5\0f\0\0.\0\0\0",
    "no kind": HEAD + b"\0f\0\0.\0\0\0",
    "an early end": HEAD + record(Named(b"f")),
    "an end within a record": HEAD + b"f420 5 5\0f\0",
    "an end within a name": HEAD + b"f420 5 5\0f",
    "nothing": b"\0",
    "nothing at all": b"x",
    "a second tree": HEAD + b".\0\0\0" + HEAD,
    "a missing tree late": HEAD + b"-\0\0\0",
    "a name without end": HEAD + b"f420 5 5\0" + b"n" * (1 << 20),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_listing_that_is_none_is_one_clear_error(line: Connection, world: Path, hostile: Hostile, what: str) -> None:
    before = outside(world)
    hostile.listing = MALFORMED[what]
    with pytest.raises(TransferFailed, match="cannot make sense of what the instance says") as caught:
        get(line, world)
    assert str(caught.value).isprintable()
    assert outside(world) == before
    assert sorted_names(world / "out") == []


RAW = {
    "no length": b"many\n",
    "a huge length": b"%d\n" % 10**18,
    "a negative length": b"-1\n",
    "a line without end": b"1" * 100_000,
    "another word": frame(b"what"),
    "a word too many": frame(b"ok", 1, 2) + b"x",
    "no packing": frame(b"ok", 3) + b"xyz",
    "a huge listing": frame(b"ok", 2**62),
    "an error of no kind": frame(b"error", b"x", b"", b""),
    "a short error": frame(b"error"),
    "pieces of nothing": frame(b"more", 0) * 10,
}


@pytest.mark.parametrize("what", RAW)
def test_an_answer_that_is_none_is_one_clear_error(line: Connection, world: Path, hostile: Hostile, what: str) -> None:
    hostile.raw = RAW[what]
    with pytest.raises(TransferFailed, match="cannot make sense of what the instance says"):
        get(line, world)
    assert sorted_names(world / "out") == []


def test_what_an_instance_says_went_wrong_is_fit_to_show(line: Connection, world: Path, hostile: Hostile) -> None:
    hostile.raw = frame(b"error", 13, b"/x\x1b[2J", b"no\nspot_connect: all is well\x9b")
    with pytest.raises(TransferFailed) as caught:
        get(line, world)
    assert str(caught.value).isprintable()


def endless_names() -> Iterator[bytes]:
    packer = zlib.compressobj(1)
    number = 0
    while True:
        text = HEAD if not number else b""
        text += b"".join(record(Named(b"%d" % each)) for each in range(number, number + 1000))
        number += 1000
        piece = packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH)
        yield frame(b"more", len(piece)) + piece


def endless_zeros() -> Iterator[bytes]:
    # A few bytes unpack to very many.
    packer = zlib.compressobj(1)
    text = HEAD + b"f420 5 5\0"
    while True:
        piece = packer.compress(text + b"n" * (16 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH)
        text = b""
        yield frame(b"more", len(piece)) + piece


@pytest.mark.parametrize("endless", [endless_names, endless_zeros])
def test_a_listing_that_never_ends_is_ended(
    hostile: Hostile, world: Path, endless: Callable[[], Iterator[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listed, "MOST_NAMES", 20_000)
    hostile.endless = endless
    with hostile.server.connection() as line, pytest.raises(TransferFailed, match="cannot make sense"):
        get(line, world)
    assert sorted_names(world / "out") == []


def test_a_listing_over_sftp_that_never_ends_is_ended(
    hostile: Hostile, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_NAMES", 1000)
    shown(hostile, {b"top": [Named(b"%d" % number) for number in range(3000)]}, "sftp")
    with hostile.server.connection() as line, pytest.raises(TransferFailed, match="does not end"):
        get(line, world)


@pytest.mark.parametrize("way", ["helper", "sftp"])
def test_directories_in_directories_without_end_are_refused_at_some_depth(
    line: Connection, world: Path, hostile: Hostile, way: str
) -> None:
    paths = [b"/".join([b"d"] * depth) for depth in range(300)]
    shown(hostile, {path: [Named(b"d", "d")] for path in paths}, way)
    with pytest.raises(TransferFailed, match="lies too deep"):
        get(line, world)
    assert (world / "out" / "t" / "d" / "d").is_dir()


PACKS = {
    "a size that is none": (-3).to_bytes(8, "big", signed=True),
    "a refusal without a reason": (-2).to_bytes(8, "big", signed=True) + frame(b"ok"),
    "another answer at the end": (5).to_bytes(8, "big") + b"x" * 5 + b"zzz\n",
}


@pytest.mark.parametrize("what", PACKS)
def test_small_files_that_come_in_no_known_way_are_one_clear_error(
    line: Connection, world: Path, hostile: Hostile, what: str
) -> None:
    hostile.listing, hostile.pack = listing(TREE, {b"": [Named(b"f")]}), PACKS[what]
    with pytest.raises(TransferFailed, match="cannot make sense"):
        get(line, world)
    assert not [path for path in world.glob("out/**/*") if path.is_file()]


PARTS = {
    "before the file": frame(b"data", -5, 5) + b"x" * 5,
    "behind the part": frame(b"data", BIG, 5) + b"x" * 5,
    "too much": frame(b"data", 0, 10 * BIG),
    "nothing, for ever": frame(b"data", 0, 0) * 10,
    "the same again": (frame(b"data", 0, 5) + b"x" * 5) * 2,
    "no number": frame(b"data", b"x", b"y"),
    "one word": frame(b"data"),
    "no end": frame(b"ok"),
    "another end": frame(b"ok", b"x", b"y", b"z"),
}


@pytest.mark.parametrize("what", PARTS)
def test_a_part_of_a_file_that_comes_in_no_known_way_is_one_clear_error(
    hostile: Hostile, world: Path, what: str
) -> None:
    hostile.listing, hostile.fetch = listing(TREE, {b"": [Named(b"f", size=BIG)]}), PARTS[what]
    with hostile.server.connection() as line, pytest.raises(TransferFailed, match="cannot make sense"):
        get(line, world)
    assert sorted_names(world / "out" / "t") == []


NAMES = (
    st.sampled_from([b"a", b"b", b"c", b"f", b"x", b"deep"]) | st.sampled_from(REFUSED_NAMES) | st.binary(max_size=6)
)
LINKS = st.sampled_from(
    [b"../../victim", b"../../victim/x", b"a", b".", b"..", b"/", b"", b"a\0b", b"\xff", b"b" * 5000]
)
NAMED = st.builds(
    Named,
    NAMES,
    st.sampled_from("ffddll?"),
    st.integers(0, 0o177777),
    st.sampled_from([0, 5, 8]),
    LINKS,
    st.sampled_from([TIME, 1_000_000_000]),
)
FOLDERS = st.sampled_from([b"", b"a", b"b", b"a/b", b"a/deep", b"deep", b"..", b"../../victim", b"a/../..", b"x"])
TREES = st.dictionaries(FOLDERS, st.lists(NAMED, max_size=6), min_size=1, max_size=5)
RECORDS = st.lists(st.tuples(FOLDERS, NAMED), max_size=12)
PLANTED = st.dictionaries(
    st.sampled_from(["a", "b", "c", "f", "a/b", "deep"]), st.sampled_from(["dir", "link", "pipe", "second", "file"])
)


def planted(world: Path, what: dict[str, str]) -> None:
    """Put into the target folder what may lie there before."""
    for name in sorted(what):
        path = world / "out" / "t" / name
        if path.parent.is_symlink() or (path.parent.exists() and not path.parent.is_dir()):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if what[name] == "dir":
            path.mkdir(exist_ok=True)
        elif path.is_dir():
            continue
        elif what[name] == "link":
            path.symlink_to(world / "victim")
        elif what[name] == "pipe":
            os.mkfifo(path)
        elif what[name] == "second":
            os.link(world / "victim" / "x", path)
        else:
            path.write_bytes(b"mine")
    for path in (world, world / "victim"):
        os.utime(path, (1_000_000_000, 1_000_000_000))


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("way", ["helper", "sftp", "records"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(trees=st.lists(TREES, min_size=1, max_size=3), records=RECORDS, before=PLANTED, delete=st.booleans())
def test_no_listing_touches_anything_outside_the_target_folder(
    line: Connection,
    hostile: Hostile,
    way: str,
    trees: list[dict[bytes, list[Named]]],
    records: list[tuple[bytes, Named]],
    before: dict[str, str],
    delete: bool,
) -> None:
    with tempfile.TemporaryDirectory() as place:
        world = made_world(Path(place) / "world")
        planted(world, before)
        was = outside(world)
        for tree in trees:
            if way == "records":
                hostile.forget()
                lines = (
                    record(one) if not n % 3 else record(Named(b"t/" + where, "d")) + record(one)
                    for n, (where, one) in enumerate(records)
                )
                hostile.listing = HEAD + b"".join(lines) + b".\0\0\0"
            else:
                shown(hostile, {b"": [], **tree}, way)
            said = what_is_said(line, world, delete=delete)
            assert said == "" or said.isprintable()
            assert outside(world) == was
            assert modes(world) <= {0}
