"""How what is to move is cut into pieces."""

from __future__ import annotations

import random

import pytest

from spot_connect.transfers.entries import Entry
from spot_connect.transfers.helper.partial import PART, PLACED, STRAY, covered
from spot_connect.transfers.listed import parsed
from spot_connect.transfers.pool import Shape, shape
from spot_connect.transfers.work import Ends, Heap, Item, Range, gaps, packs

MEGABYTE = 1024 * 1024


def item(size: int, name: bytes = b"f") -> Item:
    return Item("/here/f", name, Entry(name, "f", 0o644, size, 0, b""))


def taken(heap: Heap[object]) -> list[object]:
    return list(iter(heap.take, None))


@pytest.mark.parametrize("seed", range(50))
def test_what_is_there_and_what_is_missing_make_the_whole(seed: int) -> None:
    choice = random.Random(seed)
    size = choice.randint(1, 1000)
    cuts = sorted(choice.sample(range(size + 1), min(size, choice.randint(0, 8))))
    segments = list(zip(cuts[::2], cuts[1::2], strict=False))
    done = [(start, choice.randint(0, size - start)) for start in (choice.randrange(size) for _ in range(3))]
    missing = gaps(item(size), segments, done)
    for part in missing:
        assert part.length > 0
        inside = any(start <= part.offset and part.offset + part.length <= end for start, end in segments)
        assert part.filled == inside
    assert covered([*done, *((part.offset, part.length) for part in missing)]) == size
    assert covered(done) + sum(part.length for part in missing) == size


def test_a_heap_hands_out_everything_once_and_stripes_become_smaller() -> None:
    small = [item(1000, b"%d" % number) for number in range(3000)]
    heap = Heap(small, [Range(item(512 * MEGABYTE), 0, 512 * MEGABYTE)], 8, lambda pack: pack, lambda part: part)
    pieces = taken(heap)
    parts = [piece for piece in pieces if isinstance(piece, Range)]
    assert sorted(one.remote for piece in pieces if isinstance(piece, tuple) for one in piece) == sorted(
        one.remote for one in small
    )
    assert [part.offset for part in parts] == [sum(one.length for one in parts[:at]) for at in range(len(parts))]
    assert sum(part.length for part in parts) == 512 * MEGABYTE
    assert parts[0].length == 16 * MEGABYTE
    assert parts[-1].length <= MEGABYTE
    assert heap.is_empty
    assert heap.left == 0


def test_a_pack_is_never_larger_than_memory_allows() -> None:
    shares = packs([item(MEGABYTE) for _ in range(500)], 2)
    assert max(sum(one.entry.size for one in share) for share in shares) <= 17 * MEGABYTE


def test_delay_asks_for_connections_and_little_work_for_few() -> None:
    assert shape(0.0, 1 << 29, alone=4, least_hands=8) == Shape(1, 4)
    assert shape(0.02, 1 << 29, alone=4, least_hands=8).connections in (2, 3)
    assert shape(0.02, 1 << 29, alone=4, least_hands=8).hands >= 8 - 2
    assert shape(0.15, 1 << 29, alone=4, least_hands=8) == Shape(8, 2)
    assert shape(0.15, 1000, alone=4, least_hands=8) == Shape(1, 1)
    assert shape(0.0, 1 << 29, alone=1) == Shape(1, 1)
    assert shape(0.15, 1 << 29, alone=1).channels == 2


@pytest.mark.parametrize("at", range(1, 50))
def test_a_listing_is_read_to_its_end_wherever_it_is_cut(at: int) -> None:
    listing = b"/home\0d493 0 0\0top\0\0f420 1 7\0name\0\0.\0\0\0"
    pieces = iter([listing[:at], listing[at:], b""])
    home, [tree] = parsed(pieces, [b"top"])
    assert (home, list(tree.entries), tree.entries[b"name"].size) == (b"/home", [b"", b"name"], 1)
    assert next(pieces, None) is None


@pytest.mark.parametrize(
    ("hows", "is_sure"),
    [((), False), ((PART,), False), ((PART, PLACED), True), ((PLACED, PART), True), ((STRAY, PLACED), False)],
)
def test_a_file_is_looked_after_unless_a_range_of_its_own_has_placed_it(hows: tuple[bytes, ...], is_sure: bool) -> None:
    ends, one = Ends(), item(1)
    for how in hows:
        ends.note(one, how)
    assert ends.unsure([one]) == ([] if is_sure else [one])
