"""Down from an instance: what has changed, in packs and stripes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spot_connect.ssh.connection import Connection
from spot_connect.transfers import helper
from spot_connect.transfers.entries import parsed
from spot_connect.transfers.far import Far
from spot_connect.transfers.packing import Unpacker
from spot_connect.transfers.pool import Pool, shape
from spot_connect.transfers.work import BIG, Advance, Heap, Item, Range, gaps

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True)
class ReceivePack:
    """Small files in one archive."""

    items: tuple[Item, ...]

    def ask(self, far: Far, advance: Advance) -> None:
        """Name the files."""
        far.ask(b"pack", words=[item.remote for item in self.items])

    def hear(self, far: Far, advance: Advance) -> None:
        """Take them, and give them their names when all are there.

        A file that went meanwhile is left out.
        """
        wanted = {item.remote: item for item in self.items}
        stages = _Stages()
        try:
            unpacker = Unpacker(far.pipe.read)
            for name, size in unpacker.files():
                stages.write(wanted[name], unpacker.contents(size))
                advance(size)
            far.hear()
            stages.merge()
        finally:
            stages.remove()


class _Stages:
    """Directories in which files wait for the others of their pack, each below the tree that they belong to."""

    def __init__(self) -> None:
        self._stages: dict[bytes, bytes] = {}
        self._made: set[bytes] = set()

    def write(self, item: Item, data: bytes) -> None:
        """Write a file, with its mode and time."""
        path = self._place(item)
        file = os.open(path, _NEW, item.entry.mode)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(file, view) :]
        finally:
            os.close(file)
        helper.settle(path, item.entry.mode, item.entry.time)

    def merge(self) -> None:
        """Give all of them their names."""
        for root, stage in self._stages.items():
            helper.merge(stage, root)

    def remove(self) -> None:
        """Take away what is left."""
        for stage in self._stages.values():
            helper.remove(stage)

    def _place(self, item: Item) -> bytes:
        path = os.fsencode(item.local)
        root = path[: -len(item.entry.name) - 1] if item.entry.name else os.path.dirname(path)
        if root not in self._stages:
            helper.make(root)
            self._stages[root] = os.path.join(root, helper.MARK + os.urandom(6).hex().encode() + b".part")
        place = os.path.join(self._stages[root], path[len(root) :].lstrip(os.sep.encode()))
        folder = os.path.dirname(place)
        if folder not in self._made:
            helper.make(folder)
            self._made.add(folder)
        return place


@dataclass(frozen=True, slots=True)
class ReceiveStripe:
    """A part of a big file."""

    part: Range

    def ask(self, far: Far, advance: Advance) -> None:
        """Name the range."""
        far.ask(b"fetch", self.part.item.remote, self.part.offset, self.part.length)

    def hear(self, far: Far, advance: Advance) -> None:
        """Take its bytes; with the last range the file has its name."""
        item, entry = self.part.item, self.part.item.entry
        partial = helper.Partial(os.fsencode(item.local), item.token, entry.size)
        at = start = self.part.offset
        try:
            for at in self._take(far, partial):
                advance(at - start)
                start = at
            at = self.part.offset + self.part.length
            advance(at - start)
        finally:
            # What came before the line broke need not come again.
            is_last = partial.note(self.part.offset, at - self.part.offset)
            if is_last:
                partial.place(entry.mode, entry.time)
            partial.close()

    def _take(self, far: Far, partial: helper.Partial) -> Iterator[int]:
        """Write what comes; up to where it is there."""
        while (answer := far.hear())[0] == b"data":
            at, left = int(answer[1]), int(answer[2])
            while left:
                piece = far.pipe.read_some(left)
                partial.write(at, piece)
                at, left = at + len(piece), left - len(piece)
                yield at


class Receiving:
    """A download by the helper: what the instance has at these paths, relative to the home directory.

    Raises:
        NoHelper, OSError, SshLost: as :class:`Far`.
    """

    def __init__(self, connection: Connection, paths: Sequence[bytes]) -> None:
        self._connection = connection
        self._far = Far(connection)
        self._enter(self._far)
        self._far.ask(b"list", words=paths)
        self._far.hear()
        self.trees = parsed(self._far.hear_more(), paths)

    def receive(self, items: Sequence[Item], advance: Advance) -> None:
        """Bring down the files.

        What has arrived of big files stays for the next time, unless :func:`discard` takes it away.
        """
        big = [item for item in items if item.entry.size >= BIG]
        small = [item for item in items if item.entry.size < BIG]
        parts = [part for item in big for part in gaps(item, [(0, item.entry.size)], _there(item))]
        if done := sum(item.entry.size for item in big) - sum(part.length for part in parts):
            advance(done)
        begun = shape(self._connection.round_trip, sum(item.entry.size for item in items), least_hands=2)
        heap = Heap(small, parts, begun.hands, ReceivePack, ReceiveStripe)
        Pool(self._connection, self._enter, writes=False).work(heap, begun, advance, self._far)

    def digests(self, paths: Sequence[bytes]) -> list[bytes]:
        """SHA-256 of files."""
        return self._far.digests(paths)

    def close(self) -> None:
        """End the helper."""
        self._far.close()

    @staticmethod
    def _enter(far: Far) -> None:
        far.enter(b".", make=False)


def discard(items: Sequence[Item]) -> None:
    """Take away what there is of unfinished big files."""
    for item in items:
        partial = helper.partial_of(os.fsencode(item.local), item.token)
        for path in (partial, partial + b".done", partial + b".all"):
            helper.remove(path)


def _there(item: Item) -> list[tuple[int, int]]:
    target = os.fsencode(item.local)
    for left in helper.leftovers(target, item.token):
        helper.remove(left)
    return helper.ranges(helper.partial_of(target, item.token))
