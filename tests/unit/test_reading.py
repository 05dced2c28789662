"""Files that are read once for several instances."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from spot_connect.core.errors import TransferFailed
from spot_connect.transfers import reading
from spot_connect.transfers.entries import local_entries
from spot_connect.transfers.reading import Reading, SharedReading
from spot_connect.transfers.work import Item, Range


@pytest.fixture
def item(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(random.Random(1).randbytes(5_000_000))
    [entry] = local_entries(path)
    return Item(str(path), b"file", entry)


def stretch(files, item, offset=0, length=None):
    return b"".join(files.stretch(Range(item, offset, item.entry.size - offset if length is None else length)))


def test_the_next_finds_in_memory_what_the_first_has_read(item, tmp_path):
    whole = (tmp_path / "file").read_bytes()
    shared = SharedReading(2)
    assert (stretch(shared, item), b"".join(shared.pack([item]))) == (whole, whole)
    (tmp_path / "file").unlink()
    assert (stretch(shared, item), b"".join(shared.pack([item]))) == (whole, whole)
    # Everybody has had it.
    with pytest.raises(TransferFailed, match="cannot read"):
        stretch(shared, item)


@pytest.mark.parametrize(("offset", "length"), [(0, 1), (1_048_575, 2), (1_048_576, 1_048_576), (4_999_999, 1)])
def test_stretches_are_the_same_for_one_and_for_many(item, offset, length):
    assert stretch(SharedReading(3), item, offset, length) == stretch(Reading(), item, offset, length)


def test_what_is_kept_is_bounded(item, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_ROOM", 2_500_000)
    shared = SharedReading(2)
    whole = stretch(shared, item)
    (tmp_path / "file").unlink()
    assert stretch(shared, item, 3 * 1_048_576) == whole[3 * 1_048_576 :]
    with pytest.raises(TransferFailed, match="cannot read"):
        stretch(shared, item)


def test_many_at_once_have_the_same(item, tmp_path):
    shared = SharedReading(20)
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda _: stretch(shared, item), range(20)))
    assert set(found) == {(tmp_path / "file").read_bytes()}
    assert not shared._kept
    assert shared._size == 0


@pytest.mark.parametrize("files", [Reading(), SharedReading(2)], ids=["one", "many"])
def test_a_file_that_became_shorter_is_told_of(item, tmp_path, files):
    (tmp_path / "file").write_bytes(b"short")
    with pytest.raises(TransferFailed, match="shorter"):
        stretch(files, item)
    with pytest.raises(TransferFailed, match="shorter"):
        list(files.pack([item]))
