"""Down from an instance: what has changed, in packs and stripes."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass

from spot_connect.ssh.connection import Connection
from spot_connect.ssh.trouble import nonsense
from spot_connect.transfers.far import Far, request
from spot_connect.transfers.folders import Below, Landing, reached
from spot_connect.transfers.helper import packs
from spot_connect.transfers.helper.files import PIECE, is_taken, partial_of, remove
from spot_connect.transfers.helper.frames import STALE
from spot_connect.transfers.helper.partial import Partial, complete, discard, leftovers, ranges
from spot_connect.transfers.listed import parsed
from spot_connect.transfers.pool import Pool, shape
from spot_connect.transfers.work import (
    BIG,
    Advance,
    Ends,
    Heap,
    Item,
    Range,
    Rate,
    Replaced,
    gaps,
    is_other,
    is_rewritten,
)

_NUMBER = re.compile(rb"-?\d{1,20}")


@dataclass(slots=True)
class ReceivePack:
    """Small files in one stream, compressed where the link is slow and that helps."""

    items: tuple[Item, ...]
    rate: Rate
    is_slow: bool = False

    def ask(self, far: Far, advance: Advance) -> None:
        """Name the files."""
        self.is_slow = self.rate.is_slow
        far.ask(b"pack", int(self.is_slow), words=[item.remote for item in self.items])

    def hear(self, far: Far, advance: Advance) -> None:
        """Take them, and give them their names when all are there.

        A file that went meanwhile is left out.
        """
        read = self._reader(far)
        with _Stages() as stages:
            moved = 0
            for item in self.items:
                size = int.from_bytes(read(packs.SIZE), "big", signed=True)
                if size >= 0:
                    stages.file(item, [read(size)] if size <= PIECE else packs.taken(read, size))
                    moved += size
                elif size == packs.REFUSED:
                    far.hear()
                    raise nonsense("it refuses a file and does not say why")
                elif size != packs.GONE:
                    raise nonsense(f"it tells of {size} bytes in a file")
                if moved >= PIECE:
                    self._note(moved, advance)
                    moved = 0
            far.hear(1)
            self._note(moved, advance)
            stages.merge()

    def _note(self, moved: int, advance: Advance) -> None:
        advance(moved)
        if not self.is_slow:
            self.rate.note(moved)

    def _reader(self, far: Far) -> Callable[[int], bytes]:
        read = far.reader()
        if not self.is_slow:
            return read

        def counted(size: int) -> bytes:
            self.rate.note(size)
            return read(size)

        return packs.Unsqueezing(counted).read


class _Stages:
    """One for each tree that files of a pack belong to."""

    def __init__(self) -> None:
        self._stages: dict[tuple[str, bytes], Landing] = {}

    def __enter__(self) -> _Stages:
        return self

    def __exit__(self, *_: object) -> None:
        for stage in self._stages.values():
            stage.remove()

    def file(self, item: Item, pieces: Iterable[bytes]) -> None:
        """Write a file, with its mode and time."""
        place, entry = item.place, item.entry
        above, _, last = place.name.rpartition(b"/")
        root, name = (place.name, entry.name) if entry.name else (above, last)
        stage = self._stages.get((place.folder, root))
        if not stage:
            with Below(place.folder) as below:
                stage = self._stages[place.folder, root] = Landing(below, root)
        stage.file(name, entry.mode, entry.time, pieces)

    def merge(self) -> None:
        """Give all of them their names."""
        for stage in self._stages.values():
            stage.merge()


class Origins:
    """Which files the stripes come from: of one file all must come from the same.

    Args:
        begun_before: files of which something is here from an earlier download.

    Attributes:
        written: files that were written while they came, and so may be part old, part new.
    """

    def __init__(self, begun_before: Set[Item]) -> None:
        self.written: set[Item] = set()
        self._begun_before = begun_before
        self._known: dict[Item, tuple[int, int]] = {}

    def check(self, item: Item, number: int, time: int, size: int) -> None:
        """Refuse a stripe of another file than the others came from; one that grows is still the same.

        Raises:
            Replaced: it is another.
        """
        known = self._known.setdefault(item, (number, time))
        if is_other(*known, number, time) or (item in self._begun_before and time != item.entry.time):
            raise Replaced(STALE, "it was replaced by another while it was on its way", item.remote)
        if is_rewritten(item.entry, size, time):
            self.written.add(item)


@dataclass(frozen=True, slots=True)
class ReceiveStripe:
    """A part of a big file."""

    part: Range
    origins: Origins
    ends: Ends

    def ask(self, far: Far, advance: Advance) -> None:
        """Name the range."""
        far.ask(b"fetch", self.part.item.remote, self.part.offset, self.part.length)

    def hear(self, far: Far, advance: Advance) -> None:
        """Take its bytes; with the last range the file has its name."""
        item, entry = self.part.item, self.part.item.entry
        with reached(item, make=True) as (path, at):
            self._hear(far, advance, Partial(path, item.token, entry.size, entry.mode, entry.time, at))

    def _hear(self, far: Far, advance: Advance, partial: Partial) -> None:
        at = start = self.part.offset
        far.pipe.expect(self.part.length)
        try:
            for at in self._take(far, partial):
                advance(at - start)
                start = at
            at = self.part.offset + self.part.length
            advance(at - start)
        except OSError as error:
            # What came may be of another file, or fill up what is missing.
            at = self.part.offset if error.errno == STALE else at
            raise
        finally:
            # What came before the line broke need not come again.
            self.ends.note(self.part.item, partial.end(self.part.offset, at - self.part.offset))

    def _take(self, far: Far, partial: Partial) -> Iterator[int]:
        """Write what comes; up to where it is there."""
        reached, end = self.part.offset, self.part.offset + self.part.length
        while (answer := self._answer(far))[0] == b"data":
            at, left = _numbers(answer, 2)
            if not reached <= at < at + left <= end:
                raise nonsense("it sends another part of a file than it was asked for")
            reached = at + left
            while left:
                piece = far.pipe.view_some(left)
                partial.write(at, piece)
                at, left = at + len(piece), left - len(piece)
                yield at
        self.origins.check(self.part.item, *_numbers(answer, 3))

    def _answer(self, far: Far) -> list[bytes]:
        try:
            return far.hear()
        except OSError as error:
            if error.errno != STALE:
                raise
            raise OSError(STALE, error.strerror, self.part.item.remote) from error


class Receiving:
    """A download by the helper: what the instance has at these paths, relative to the home directory.

    Raises:
        NoHelper, OSError, SshLost: as :class:`Far`.
    """

    def __init__(self, connection: Connection, paths: Sequence[bytes]) -> None:
        self._connection = connection
        self._far = Far(connection, request(b"list", words=paths))
        try:
            _, self.trees = parsed(self._far.hear_all(), paths)
        except BaseException:
            self._far.close()
            raise
        self._begun_before: set[Item] = set()

    def receive(self, items: Sequence[Item], advance: Advance) -> Set[Item]:
        """Bring down the files, and tell those that were written meanwhile.

        What has arrived of big files stays for the next time, unless :meth:`discard` takes it away.

        Raises:
            Replaced: one of them has become another meanwhile.
        """
        big = [item for item in items if item.entry.size >= BIG]
        small = [item for item in items if item.entry.size < BIG]
        begun_parts = {item: _there(item) for item in big}
        self._begun_before.update(item for item, ranges_there in begun_parts.items() if ranges_there is not None)
        parts = [part for item in big for part in gaps(item, [(0, item.entry.size)], begun_parts[item] or [])]
        if done := sum(item.entry.size for item in big) - sum(part.length for part in parts):
            advance(done)
        # To write takes this side longer than to read takes the other, and two hands get in their way.
        begun = shape(self._connection.round_trip, sum(item.entry.size for item in items), alone=1)
        rate = Rate()
        ends = Ends()
        origins = Origins(self._begun_before)
        heap = Heap(
            small,
            parts,
            begun.hands,
            lambda pack: ReceivePack(pack, rate),
            lambda part: ReceiveStripe(part, origins, ends),
        )
        Pool(self._connection, b"", writes=False).work(heap, begun, advance, self._far)
        for item in ends.unsure(big):
            with reached(item) as (path, at):
                complete(path, item.token, item.entry.size, item.entry.mode, item.entry.time, at)
        return origins.written

    def discard(self, items: Sequence[Item]) -> None:
        """Take away what this download has begun of unfinished big files."""
        for item in items:
            if item not in self._begun_before:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError), reached(item) as (path, at):
                    discard(path, item.token, at)

    def digests(self, paths: Sequence[bytes]) -> list[bytes]:
        """SHA-256 of files."""
        return self._far.digests(paths)

    def close(self) -> None:
        """End the helper."""
        self._far.close()


def _there(item: Item) -> list[tuple[int, int]] | None:
    """The ranges of a file that an earlier download has brought; nothing where none has begun."""
    try:
        with reached(item) as (path, at):
            for left in leftovers(path, item.token, at):
                remove(left, at)
            partial = partial_of(path, item.token)
            return ranges(partial, at) if is_taken(partial, at) else None
    except FileNotFoundError:
        return None


def _numbers(answer: Sequence[bytes], count: int) -> list[int]:
    words = answer[1:]
    if len(words) != count or not all(_NUMBER.fullmatch(word) for word in words):
        raise nonsense("it tells of a part of a file in other words than were agreed on")
    return [*map(int, words)]
