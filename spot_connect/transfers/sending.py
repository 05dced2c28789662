"""Up to an instance: what has changed, in packs and stripes."""

from __future__ import annotations

import contextlib
import os
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from spot_connect.core.errors import SshError
from spot_connect.ssh.connection import Connection
from spot_connect.transfers import packing
from spot_connect.transfers.entries import Entry
from spot_connect.transfers.far import Far, entering, request
from spot_connect.transfers.helper.packs import squeezed
from spot_connect.transfers.helper.partial import segments
from spot_connect.transfers.listed import parsed
from spot_connect.transfers.pool import Pool, shape
from spot_connect.transfers.reading import Reading, replaced
from spot_connect.transfers.work import BIG, Advance, Ends, Heap, Item, Range, Rate, Task, gaps


@dataclass(frozen=True, slots=True)
class SendPack:
    """Small files and links in one stream."""

    items: tuple[Item, ...]
    rate: Rate
    reading: Reading

    def ask(self, far: Far, advance: Advance) -> None:
        """Send what they are, then what is in them, compressed where the link is slow and that helps."""
        is_slow = self.rate.is_slow
        far.ask(b"unpack", int(is_slow), words=packing.table(self.items))
        for piece in self.reading.pack(self.items):
            sent = squeezed(piece) if is_slow else piece
            far.write(sent)
            self.rate.note(len(sent))
            advance(len(piece))

    def hear(self, far: Far, advance: Advance) -> None:
        """It is unpacked."""
        far.hear()


@dataclass(frozen=True, slots=True)
class SendStripe:
    """A part of a big file."""

    part: Range
    reading: Reading
    ends: Ends

    def ask(self, far: Far, advance: Advance) -> None:
        """Send the bytes."""
        part, item = self.part, self.part.item
        entry = item.entry
        about = (entry.size, entry.mode, entry.time, part.offset, part.length, int(part.filled))
        far.ask(b"stripe", item.remote, item.token, *about)
        for piece in self.reading.stretch(part) if part.filled else ():
            far.write(piece)
            advance(len(piece))

    def hear(self, far: Far, advance: Advance) -> None:
        """It is written; with the last of them the file has its name."""
        _, how = far.hear()
        self.ends.note(self.part.item, how)
        if not self.part.filled:
            advance(self.part.length)


class Sending:
    """An upload by the helper: what the instance has of the trees, and what can be done about it.

    Args:
        connection: the instance.
        tops: what the trees are called there.
        folder: where, relative to the home directory; it is made when missing.
        reading: how files are read; those who take the same share this machine and its link.

    Raises:
        NoHelper, OSError, SshLost: as :class:`Far`.
    """

    def __init__(self, connection: Connection, tops: Sequence[bytes], folder: bytes, reading: Reading) -> None:
        self._connection = connection
        self._reading = reading
        self._entering = entering(folder)
        self._far = Far(connection, opening(tops, folder))
        self._far.write(self._entering)
        home, trees = parsed(self._far.hear_all(), _below(tops, folder))
        self.there = [tree.entries for tree in trees]
        self.base = posixpath.normpath(os.fsdecode(posixpath.join(home, folder)))
        self._owed: list[Task] = []
        self._big: set[Item] = set()
        self._ends = Ends()
        self._begun_before: set[Item] = set()

    def send(self, items: Sequence[Item], advance: Advance) -> None:
        """Bring up the files and links.

        What has arrived of big files stays for the next time, unless :meth:`discard` takes it away. A little may still
        be under way, to be answered in :meth:`finish`.
        """
        big = [item for item in items if item.entry.kind == "f" and item.entry.size >= BIG]
        small = [item for item in items if item.entry.kind != "f" or item.entry.size < BIG]
        parts = self._parts(big)
        if done := sum(item.entry.size for item in big) - sum(part.length for part in parts):
            advance(done)
        size = sum(item.entry.size for item in items) // self._reading.takers
        hands = {"alone": 4, "least_hands": 8} if parts else {"alone": 2}
        begun = shape(self._connection.round_trip, size, **hands)
        rate, reading = Rate(), self._reading
        self._big.update(big)
        heap = Heap(
            small,
            parts,
            begun.hands,
            lambda pack: SendPack(pack, rate, reading),
            lambda part: SendStripe(part, reading, self._ends),
        )
        if begun.hands == 1:
            self._owed = list(iter(heap.take, None))
            for task in self._owed:
                task.ask(self._far, advance)
            return
        Pool(self._connection, self._entering, writes=True).work(heap, begun, advance, self._far)

    def discard(self, items: Sequence[Item]) -> None:
        """Take away what this upload has begun of unfinished big files."""
        big = [item for item in items if item.entry.size >= BIG and item not in self._begun_before]
        if not big:
            return
        with contextlib.suppress(SshError, OSError):
            far = Far(self._connection, self._entering)
            far.ask(b"discard", words=[word for item in big for word in (item.remote, item.token)])
            far.hear()
            far.close()

    def finish(self, gone: Sequence[bytes], todo: Sequence[tuple[bytes, Entry]]) -> None:
        """Remove what is to go, make the directories, and set modes and times."""
        if gone:
            self._far.ask(b"remove", words=gone)
        if todo:
            self._far.ask(b"make", words=[path for path, entry in todo if entry.kind == "d"])
            settled = ((path, b"%d" % entry.mode, b"%d" % entry.time) for path, entry in todo)
            self._far.ask(b"settle", words=[word for words in settled for word in words])
        for task in self._owed:
            task.hear(self._far, lambda size: None)
        for _ in range(bool(gone) + 2 * bool(todo)):
            self._far.hear()
        self._complete()

    def _parts(self, big: Sequence[Item]) -> list[Range]:
        """The ranges of big files that the instance does not have yet."""
        if not big:
            return []
        self._far.ask(b"begun", words=[word for item in big for word in (item.remote, item.token)])
        parts: list[Range] = []
        for item, told in zip(big, self._far.hear_more().split(b"\0"), strict=True):
            is_begun, *numbers = (int(number) for number in told.split())
            if is_begun:
                self._begun_before.add(item)
            there = zip(numbers[::2], numbers[1::2], strict=True)
            parts += gaps(item, self._segments(item), there)
        return parts

    def _segments(self, item: Item) -> list[tuple[int, int]]:
        """Where the data of a file lies, as starts and ends."""
        with self._reading.opened(item.local) as file:
            # What is there already came from this file as it was.
            if item in self._begun_before and os.fstat(file.fileno()).st_mtime_ns != item.entry.time:
                raise replaced(item.local)
            return list(segments(file.fileno(), 0, item.entry.size))

    def _complete(self) -> None:
        """Give their names to big files of which no stripe was the last, and tidy up after those that came too late."""
        if unsure := self._ends.unsure(self._big):
            self._far.ask(b"complete", words=[word for item in unsure for word in _about(item)])
            self._far.hear()

    def digests(self, paths: Sequence[bytes]) -> list[bytes]:
        """SHA-256 of files."""
        return self._far.digests(paths)

    def close(self) -> None:
        """End the helper."""
        self._far.close()


def opening(tops: Sequence[bytes], folder: bytes) -> bytes:
    """What the first helper of an upload is asked before anything is made or changed: what is there already."""
    return request(b"list", words=_below(tops, folder))


def _about(item: Item) -> tuple[bytes, ...]:
    entry = item.entry
    return item.remote, item.token, b"%d" % entry.size, b"%d" % entry.mode, b"%d" % entry.time


def _below(tops: Sequence[bytes], folder: bytes) -> list[bytes]:
    return [posixpath.join(folder, top) for top in tops]
