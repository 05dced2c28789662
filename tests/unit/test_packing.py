"""Packs: what is read on one side, and put together on the other."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from spot_connect.core.errors import TransferFailed
from spot_connect.transfers import packing
from spot_connect.transfers.entries import Entry, local_entries
from spot_connect.transfers.helper import packs, program
from spot_connect.transfers.helper.files import PIECE
from spot_connect.transfers.work import Item


def items(root: Path) -> list[Item]:
    entries = [entry for entry in local_entries(root) if entry.kind != "d"]
    return [Item(str(root / os.fsdecode(entry.name)), entry.name, entry) for entry in entries]


@pytest.mark.parametrize("size", [0, 1, packs._SHORT - 1, packs._SHORT, packs._SHORT + 1, PIECE, 3 * PIECE + 7])
def test_a_file_of_any_size_comes_out_as_it_went_in(tmp_path: Path, size: int) -> None:
    (tmp_path / "f").write_bytes(os.urandom(size))
    stream = io.BytesIO(b"".join(packs.joined(packs.with_sizes([os.fsencode(tmp_path / "f")]))) + b"what comes next")
    told = int.from_bytes(stream.read(packs.SIZE), "big", signed=True)
    stage = packs.Stage(os.fsencode(tmp_path / "there"))
    stage.file(b"deep/er/f", 0o640, 1_700_000_000_123_456_789, packs.taken(stream.read, told))
    stage.merge()
    stage.remove()
    arrived = tmp_path / "there" / "deep" / "er" / "f"
    assert arrived.read_bytes() == (tmp_path / "f").read_bytes()
    assert arrived.stat().st_mode & 0o777 == 0o640
    assert arrived.stat().st_mtime_ns == 1_700_000_000_123_456_789
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["deep"]
    assert stream.read() == b"what comes next"


@pytest.mark.parametrize("umask", [0, 0o022, 0o027, 0o077, 0o777])
def test_each_file_has_its_own_mode_whatever_new_files_are_given(tmp_path: Path, umask: int) -> None:
    modes = [0o644, 0o600, 0o777, 0o400, 0o644, 0o600, 0o777, 0o400, 0o000]
    stage = packs.Stage(os.fsencode(tmp_path))
    before = os.umask(umask)
    try:
        for number, mode in enumerate(modes):
            stage.file(b"%d" % number, mode, 0, [b"x"])
    finally:
        os.umask(before)
    stage.merge()
    stage.remove()
    assert [(tmp_path / str(number)).stat().st_mode & 0o777 for number in range(len(modes))] == modes


def test_a_file_that_went_meanwhile_is_told_and_the_next_one_follows(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"xyz")
    paths = [os.fsencode(tmp_path / name) for name in ("gone", "f")]
    stream = io.BytesIO(b"".join(packs.joined(packs.with_sizes(paths))))
    assert int.from_bytes(stream.read(packs.SIZE), "big", signed=True) == packs.GONE
    assert int.from_bytes(stream.read(packs.SIZE), "big", signed=True) == 3
    assert stream.read() == b"xyz"


def test_a_file_that_cannot_be_read_is_told_before_the_error(tmp_path: Path) -> None:
    sent: list[bytes] = []
    with pytest.raises(IsADirectoryError):
        sent += packs.joined(packs.with_sizes([os.fsencode(tmp_path)]))
    assert b"".join(sent) == packs.REFUSED.to_bytes(packs.SIZE, "big", signed=True)


def test_pieces_are_joined_to_what_is_worth_sending() -> None:
    pieces = list(packs.joined(bytes([number % 256]) * 5000 for number in range(200)))
    assert b"".join(pieces) == b"".join(bytes([number % 256]) * 5000 for number in range(200))
    assert all(len(piece) >= PIECE for piece in pieces[:-1])


@pytest.mark.parametrize("sizes", [[], [0], [PIECE], [7, PIECE], [PIECE - 8], [1, 0, 3 * PIECE, 0, 9]])
@pytest.mark.parametrize("content", [bytes, os.urandom], ids=["zeros", "noise"])
def test_what_was_squeezed_comes_out_as_it_went_in_and_no_byte_is_left(content, sizes: list[int]) -> None:
    files = [content(size) for size in sizes]
    sent = [packs.squeezed(piece) for piece in packs.joined(files)]
    stream = io.BytesIO(b"".join(sent) + b"what comes next")
    read = packs.Unsqueezing(stream.read).read
    assert [b"".join(packs.taken(read, size)) for size in sizes] == files
    assert stream.read() == b"what comes next"


def test_what_is_told_of_a_pack_is_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"four")
    (tmp_path / "link").symlink_to("x" * 300)
    os.utime(tmp_path / "f", ns=(-5_000_000_001, -5_000_000_001))
    os.utime(tmp_path / "link", ns=(7, 7), follow_symlinks=False)
    (tmp_path / "f").chmod(0o600)
    words = list(packing.table(items(tmp_path)))
    assert words == [
        *(b"f", b"%d" % 0o600, b"4", b"-5000000001", b""),
        *(b"link", b"%d" % 0o777, b"0", b"7", b"x" * 300),
    ]
    assert b"".join(packing.read(items(tmp_path))) == b"four"


def test_a_file_that_grew_is_cut_and_one_that_shrank_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 100_000)
    found = items(tmp_path)
    with (tmp_path / "f").open("ab") as file:
        file.write(b"more")
    assert b"".join(packing.read(found)) == b"x" * 100_000
    os.truncate(tmp_path / "f", 99_999)
    with pytest.raises(TransferFailed, match="became shorter"):
        list(packing.read(found))


def test_an_entry_is_what_the_file_is(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"xyz")
    os.utime(tmp_path / "f", ns=(5, 5))
    (tmp_path / "f").chmod(0o640)
    assert list(local_entries(tmp_path / "f")) == [Entry(b"", "f", 0o640, 3, 5, b"")]


def test_the_helper_stands_alone() -> None:
    text = program().decode()
    assert "spot_connect.transfers" not in text.replace("`spot_connect.transfers", "").replace(":func:", "")
    names: dict[str, object] = {"__name__": "helper"}
    exec(text, names)
    assert callable(names["main"])
