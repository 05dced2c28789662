"""Files that are read once for several instances."""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from spot_connect.core.errors import TransferFailed
from spot_connect.transfers import reading
from spot_connect.transfers.entries import local_entries
from spot_connect.transfers.reading import Reading, SameFiles, SharedReading, Shelf
from spot_connect.transfers.work import Item, Range


@pytest.fixture
def item(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(random.Random(1).randbytes(5_000_000))
    [entry] = local_entries(path)
    return Item(str(path), b"file", entry)


def stretch(files, item, offset=0, length=None):
    return b"".join(files.stretch(Range(item, offset, item.entry.size - offset if length is None else length)))


def shared(count):
    """How so many instances read, and the shelf between them."""
    names = [f"vm{number}" for number in range(count)]
    shelf = Shelf(names)
    return [SharedReading(shelf, name) for name in names], shelf


def test_the_next_finds_in_memory_what_the_first_has_read(item, tmp_path):
    whole = (tmp_path / "file").read_bytes()
    (one, other), _ = shared(2)
    assert (stretch(one, item), b"".join(one.pack([item]))) == (whole, whole)
    (tmp_path / "file").unlink()
    assert (stretch(other, item), b"".join(other.pack([item]))) == (whole, whole)
    # Everybody has had it.
    with pytest.raises(TransferFailed, match="cannot read"):
        stretch(other, item)


@pytest.mark.parametrize(("offset", "length"), [(0, 1), (1_048_575, 2), (1_048_576, 1_048_576), (4_999_999, 1)])
def test_stretches_are_the_same_for_one_and_for_many(item, offset, length):
    (one, *_), _ = shared(3)
    assert stretch(one, item, offset, length) == stretch(Reading(), item, offset, length)


@pytest.fixture
def narrow(monkeypatch):
    monkeypatch.setattr(reading, "_ROOM", 1_500_000)
    monkeypatch.setattr(reading, "_MOST", 2_500_000)


@pytest.mark.usefixtures("narrow")
def test_what_is_kept_is_bounded_even_if_somebody_never_comes(item, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_PATIENCE_SECONDS", 0.1)
    (one, late), _ = shared(2)
    whole = stretch(one, item)
    (tmp_path / "file").unlink()
    assert stretch(late, item, 3 * 1_048_576) == whole[3 * 1_048_576 :]
    with pytest.raises(TransferFailed, match="cannot read"):
        stretch(late, item)


@pytest.mark.usefixtures("narrow")
def test_nobody_waits_for_those_who_have_left(item, tmp_path):
    (one, _other), shelf = shared(2)
    shelf.leave("vm1")
    assert stretch(one, item) == (tmp_path / "file").read_bytes()
    assert (shelf._kept, shelf._size) == ({}, 0)


@pytest.mark.usefixtures("narrow")
def test_many_at_once_have_the_same_and_it_is_read_once(item, tmp_path, monkeypatch):
    begun = []
    opened = SameFiles.opened
    monkeypatch.setattr(SameFiles, "opened", lambda *asked: begun.append(asked) or opened(*asked))
    all_of_them, shelf = shared(20)
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda one: stretch(one, item), all_of_them))
    assert set(found) == {(tmp_path / "file").read_bytes()}
    assert len(begun) == 5
    assert (shelf._kept, shelf._size) == ({}, 0)


@pytest.mark.parametrize("files", [Reading(), SharedReading(Shelf(["vm"]), "vm")], ids=["one", "many"])
def test_a_file_that_became_shorter_is_told_of(item, tmp_path, files):
    (tmp_path / "file").write_bytes(b"short")
    with pytest.raises(TransferFailed, match="shorter"):
        stretch(files, item)
    with pytest.raises(TransferFailed, match="shorter"):
        list(files.pack([item]))


@pytest.mark.parametrize("kind", ["one", "many"])
def test_a_file_that_another_took_the_place_of_is_told_of(item, tmp_path, kind):
    files = Reading() if kind == "one" else SharedReading(Shelf(["vm"]), "vm")
    stretch(files, item, 0, 1000)
    (tmp_path / "another").write_bytes((tmp_path / "file").read_bytes())
    os.utime(tmp_path / "another", (5, 5))
    (tmp_path / "another").replace(tmp_path / "file")
    with pytest.raises(TransferFailed, match="replaced"):
        stretch(files, item, 2_000_000, 1000)
