"""What there is to move, cut into pieces that many hands can take."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

from spot_connect.core.untrusted import printable
from spot_connect.core.waiting import SYSTEM_CLOCK
from spot_connect.transfers.entries import Entry
from spot_connect.transfers.far import Far
from spot_connect.transfers.helper.partial import PLACED, STRAY

Advance = Callable[[int], None]

BIG = 4 * 1024 * 1024
"""From here on a file is worth being cut into stripes."""
_SMALLEST_STRIPE = 64 * 1024
_FIRST_STRIPE = 256 * 1024
_LARGEST_STRIPE = 16 * 1024 * 1024
_MOST_STRIPES = 1024
"""Each is noted in a list, which is read again with every one of them."""
_STRIDE_SECONDS = 0.25
_STRIDE_ROUND_TRIPS = 2
_MEASURED_SECONDS = 0.02
_SMALLEST_PACK = 256 * 1024
_LARGEST_PACK = 16 * 1024 * 1024
_HEADER = 1024
_KNOWN_SECONDS = 1.0
_SLOW_RATE = 10_000_000
_PARTS = 2


class Rate:
    """How fast bytes have moved so far, on all hands together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began = SYSTEM_CLOCK.now()
        self._moved = 0

    def note(self, size: int) -> None:
        """``size`` more bytes have gone."""
        with self._lock:
            self._moved += size

    @property
    def is_slow(self) -> bool:
        """Whether the link is known to be slower than compression."""
        seconds = SYSTEM_CLOCK.now() - self._began
        return seconds > _KNOWN_SECONDS and self._moved < seconds * _SLOW_RATE


class Stride:
    """How much of a file a hand takes at a time: what it moves in a moment, as far as is known.

    Hands are not alike: a TCP stream that has lost a packet is slow for a long time. One that took as much as the
    others would still be at it when they have long ended.

    Args:
        round_trip: in seconds; a moment is long enough for the next task to arrive in.
    """

    def __init__(self, round_trip: float) -> None:
        self._moment = max(_STRIDE_SECONDS, _STRIDE_ROUND_TRIPS * round_trip)
        # A line brings nothing for most of a round trip, and then very much.
        self._measured = max(_MEASURED_SECONDS, round_trip)
        self._since = SYSTEM_CLOCK.now()
        self._moved = 0
        self._size = _FIRST_STRIPE

    def note(self, size: int) -> None:
        """``size`` more bytes have moved."""
        self._moved += size

    @property
    def size(self) -> int:
        """In bytes."""
        seconds = SYSTEM_CLOCK.now() - self._since
        if seconds > self._measured and self._moved:
            self._size = int(self._moved / seconds * self._moment)
            self._since, self._moved = SYSTEM_CLOCK.now(), 0
        return self._size


class Task(Protocol):
    """A piece of the work: asked for first, and heard of when its answer is due."""

    def ask(self, far: Far, advance: Advance) -> None:
        """Send the request, and what goes up with it."""

    def hear(self, far: Far, advance: Advance) -> None:
        """Take the answer, and what comes down with it."""


class Place(NamedTuple):
    """Where a tree is to lie here: a folder that the user has named, and what it is called there.

    The name may have several parts, and is empty where the tree is the folder itself.
    """

    folder: str
    name: bytes

    @property
    def local(self) -> str:
        """The path."""
        return str(Path(self.folder, os.fsdecode(self.name)))

    def below(self, name: bytes) -> bytes:
        """What an entry of the tree is called in the folder."""
        return self.name + b"/" + name if self.name and name else self.name or name


class Item(NamedTuple):
    """A file or link to be moved: its path here, its name there, and for a download the place of its tree."""

    local: str
    remote: bytes
    entry: Entry
    place: Place = Place("", b"")

    @property
    def name(self) -> bytes:
        """What it is called in the folder of a download."""
        return self.place.below(self.entry.name)

    @property
    def token(self) -> bytes:
        """Tells this content at this place from any other."""
        what = b"%d %d" % (self.entry.size, self.entry.time)
        return b"-".join(hashlib.blake2b(text, digest_size=6).hexdigest().encode() for text in (self.remote, what))


class Ends:
    """How the ranges of big files have ended."""

    def __init__(self) -> None:
        self._placed: set[Item] = set()
        self._strays: set[Item] = set()

    def note(self, item: Item, how: bytes) -> None:
        """A range of the file has ended like that: see :mod:`spot_connect.transfers.helper.partial`."""
        if how == PLACED:
            self._placed.add(item)
        elif how == STRAY:
            self._strays.add(item)

    def unsure(self, items: Iterable[Item]) -> list[Item]:
        """Those of the files that may have no name yet, or have left something over."""
        return [item for item in items if item in self._strays or item not in self._placed]


class Replaced(OSError):
    """Another file, as a whole, took the place of one that was on its way."""


def is_other(number: int, time: int, new_number: int, new_time: int) -> bool:
    """Whether a file has taken the place of another: one that grows is the same, and numbers may change by themselves.

    Example:
        >>> is_other(7, 100, 7, 200), is_other(7, 100, 8, 100), is_other(7, 100, 8, 200)
        (False, False, True)
    """
    return number != new_number and time != new_time


def is_rewritten(entry: Entry, size: int, time: int) -> bool:
    """Whether a file has been written since it was listed, other than by adding to it.

    Example:
        >>> listed = Entry(b"", "f", 0o644, 10, 100, b"")
        >>> [is_rewritten(listed, *now) for now in ((10, 100), (10, 200), (20, 200))]
        [False, True, False]
    """
    return size == entry.size and time != entry.time


def label(items: Sequence[Item]) -> str:
    """What a progress bar calls these files."""
    return printable(os.path.basename(items[0].local)) if len(items) == 1 else f"{len(items):,} files"


@dataclass(frozen=True, slots=True)
class Range:
    """A part of a big file; one that is not ``filled`` holds nothing but zeros that need not be moved."""

    item: Item
    offset: int
    length: int
    filled: bool = True

    def split(self, size: int) -> tuple[Range, Range | None]:
        """The first ``size`` bytes, and the rest if there is one."""
        if not self.filled or self.length <= size:
            return self, None
        first = Range(self.item, self.offset, size)
        return first, Range(self.item, self.offset + size, self.length - size)


T = TypeVar("T", bound=Task)


class Heap(Generic[T]):
    """The pieces of work that are left; hands take from it at once.

    Packs come first, because they cannot be cut any further; stripes become smaller towards the end, so that all
    hands end together.
    """

    def __init__(
        self,
        items: Sequence[Item],
        ranges: Iterable[Range],
        hands: int,
        pack: Callable[[tuple[Item, ...]], T],
        stripe: Callable[[Range], T],
    ) -> None:
        self._lock = threading.Lock()
        self._ranges = deque(ranges)
        self._packs = deque(packs(items, hands))
        self._pack, self._stripe = pack, stripe
        self._hands = hands
        packed = sum(item.entry.size for item in items)
        self.left = packed + sum(one.length for one in self._ranges)
        self._smallest = max(_SMALLEST_STRIPE, _rounded(self.left // _MOST_STRIPES))

    @property
    def is_empty(self) -> bool:
        """Whether all is taken."""
        return not self._packs and not self._ranges

    def take(self, fit: int = _LARGEST_STRIPE) -> T | None:
        """The next piece, which has about ``fit`` bytes if it is a stripe; none when all are taken."""
        with self._lock:
            if self._packs:
                taken = self._packs.popleft()
                self.left -= sum(item.entry.size for item in taken)
                return self._pack(taken)
            if not self._ranges:
                return None
            first, rest = self._ranges.popleft().split(self._stripe_size(fit))
            if rest:
                self._ranges.appendleft(rest)
            self.left -= first.length
            return self._stripe(first)

    def _stripe_size(self, fit: int) -> int:
        fair = self.left // (self._hands * _PARTS)
        return max(self._smallest, min(_LARGEST_STRIPE, _rounded(min(fit, fair))))


def _rounded(size: int) -> int:
    return size // _SMALLEST_STRIPE * _SMALLEST_STRIPE


def packs(items: Sequence[Item], hands: int) -> list[tuple[Item, ...]]:
    """The items in shares of about one size, some for each hand.

    Example:
        >>> packs([], 4)
        []
    """
    total = sum(item.entry.size + _HEADER for item in items)
    fair = max(_SMALLEST_PACK, min(_LARGEST_PACK, total // (hands * _PARTS) + 1))
    shares: list[tuple[Item, ...]] = []
    share: list[Item] = []
    size = 0
    for item in items:
        share.append(item)
        size += item.entry.size + _HEADER
        if size >= fair:
            shares.append(tuple(share))
            share, size = [], 0
    return [*shares, tuple(share)] if share else shares


def gaps(item: Item, segments: Iterable[tuple[int, int]], done: Iterable[tuple[int, int]]) -> list[Range]:
    """The ranges of a file that are not done, with holes where its data is not.

    Args:
        item: the file.
        segments: where its data lies, as start and end, in order.
        done: offsets and lengths of what is there already.
    """
    there = deque(sorted(done))
    found: list[Range] = []
    for start, end, filled in _with_holes(segments, item.entry.size):
        at = start
        while at < end:
            while there and there[0][0] + there[0][1] <= at:
                there.popleft()
            offset, length = there[0] if there else (end, 0)
            if offset > at:
                found.append(Range(item, at, min(offset, end) - at, filled))
            at = min(end, offset + length) if offset < end else end
    return found


def _with_holes(segments: Iterable[tuple[int, int]], size: int) -> Iterable[tuple[int, int, bool]]:
    at = 0
    for start, end in segments:
        if start > at:
            yield at, start, False
        yield start, min(end, size), True
        at = min(end, size)
    if at < size:
        yield at, size, False
