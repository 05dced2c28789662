"""How what is to move is cut into pieces."""

from __future__ import annotations

import heapq
import random
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot_connect.transfers import work
from spot_connect.transfers.entries import Entry
from spot_connect.transfers.helper.partial import PART, PLACED, STRAY, covered
from spot_connect.transfers.listed import parsed
from spot_connect.transfers.pool import Pool, Shape, shape
from spot_connect.transfers.work import Ends, Heap, Item, Range, Stride, gaps, packs

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


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time


def test_a_hand_takes_what_it_moves_in_a_moment_or_in_two_round_trips(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(work, "SYSTEM_CLOCK", clock)
    for round_trip, moment in ((0.0, 0.25), (0.08, 0.25), (0.3, 0.6)):
        clock.time = 0.0
        stride = Stride(round_trip)
        first = stride.size
        stride.note(MEGABYTE)
        assert stride.size == first, "nobody can tell a rate from no time at all"
        clock.time = 0.5
        assert stride.size == int(2 * MEGABYTE * moment)
        stride.note(MEGABYTE // 2)
        clock.time = 1.5
        assert stride.size == int(MEGABYTE / 2 * moment), "only what it has moved lately counts"


@given(st.lists(st.floats(0.01, 60), min_size=2, max_size=24), st.integers(8, 512))
def test_hands_of_any_paces_end_about_together(paces: list[float], megabytes: int) -> None:
    """In a time of its own: each hand has asked for one task ahead, and its line brings them one after the other."""
    paces = [*paces, 1.0]
    size, clock = megabytes * MEGABYTE, Clock()
    heap = Heap([], [Range(item(size), 0, size)], len(paces), lambda pack: pack, lambda part: part)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "SYSTEM_CLOCK", clock)
        strides = [Stride(0.08) for _ in paces]
        asked = [[heap.take(stride.size), heap.take(stride.size)] for stride in strides]
        due = [
            (tasks[0].length / pace / MEGABYTE, hand)
            for hand, (tasks, pace) in enumerate(zip(asked, paces, strict=True))
            if tasks[0]
        ]
        heapq.heapify(due)
        while due:
            clock.time, hand = heapq.heappop(due)
            strides[hand].note(asked[hand].pop(0).length)
            asked[hand].append(heap.take(strides[hand].size))
            if asked[hand][0]:
                heapq.heappush(due, (clock.time + asked[hand][0].length / paces[hand] / MEGABYTE, hand))
    # What a hand that is slow, or not known yet, has asked for at the most: two of the first, or of the smallest.
    last = max(2 * 256 * 1024, 2 * 1024 * megabytes) / MEGABYTE / min(paces)
    assert clock.time <= megabytes / sum(paces) + last + 2 * 0.25


def test_a_heap_of_any_size_has_not_too_many_stripes_to_list() -> None:
    for megabytes in (1, 16, 512, 5120):
        size = megabytes * MEGABYTE
        heap = Heap([], [Range(item(size), 0, size)], 20, lambda pack: pack, lambda part: part)
        parts = list(iter(lambda heap=heap: heap.take(1), None))
        assert sum(part.length for part in parts) == size
        assert len(parts) <= 1100


@pytest.mark.parametrize(("writes", "most"), [(True, 3), (False, 2)])
def test_who_reads_asks_for_little_ahead_because_nobody_else_can_take_it_then(writes: bool, most: int) -> None:
    under_way, seen = [], []

    class Told:
        def ask(self, far: object, advance: object) -> None:
            under_way.append(self)
            seen.append(len(under_way))

        def hear(self, far: object, advance: object) -> None:
            assert under_way.pop(0) is self

    size = 64 * MEGABYTE
    heap = Heap([], [Range(item(size), 0, size)], 1, lambda pack: Told(), lambda part: Told())
    connection = SimpleNamespace(round_trip=0.0)
    Pool(connection, b"", writes=writes).work(heap, Shape(1, 1), lambda moved: None, SimpleNamespace())  # type: ignore[arg-type]
    assert heap.is_empty
    assert not under_way
    assert max(seen) == most


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
