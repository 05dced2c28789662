"""What is in files of this machine, on its way to one instance or to many."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from io import BufferedReader, FileIO

from spot_connect.core.errors import TransferFailed
from spot_connect.core.waiting import SYSTEM_CLOCK
from spot_connect.ssh.trouble import reason
from spot_connect.transfers import packing
from spot_connect.transfers.helper.files import PIECE
from spot_connect.transfers.helper.packs import joined
from spot_connect.transfers.work import Item, Range, is_other

_BLOCK = 1024 * 1024
_ROOM = 32 * 1024 * 1024
_MOST = 64 * 1024 * 1024
_PATIENCE_SECONDS = 30.0


class Reading:
    """Files that go to one instance.

    Attributes:
        takers: how many instances there are that they go to.

    Raises:
        TransferFailed: one of them cannot be read, or became shorter.
    """

    takers = 1

    def __init__(self) -> None:
        self._files = SameFiles()

    def opened(self, path: str) -> FileIO:
        """A file, to be read: the same each time.

        Raises:
            TransferFailed: it cannot be read, or was replaced meanwhile.
        """
        return self._files.opened(path)

    def pack(self, items: Sequence[Item]) -> Iterator[bytes]:
        """What is in small files, one after the other, in pieces that are worth sending."""
        return joined(packing.read(items))

    def stretch(self, part: Range) -> Iterator[bytes]:
        """The bytes of a range of a file."""
        path, at, end = part.item.local, part.offset, part.offset + part.length
        with self.opened(path) as file:
            file.seek(at)
            while at < end:
                piece = file.read(min(PIECE, end - at))
                if not piece:
                    raise _shorter(path)
                at += len(piece)
                yield piece


class SameFiles:
    """Opens files by their paths, time and again: those that were opened first, and none that took their places."""

    def __init__(self) -> None:
        self._known: dict[str, os.stat_result] = {}

    def opened(self, path: str) -> FileIO:
        """A file, to be read.

        Raises:
            TransferFailed: it cannot be read, or is another than the last time.
        """
        try:
            file = FileIO(path)
        except OSError as error:
            raise TransferFailed(f"cannot read {path}", reason(error)) from error
        found = os.fstat(file.fileno())
        known = self._known.setdefault(path, found)
        if is_other(known.st_ino, known.st_mtime_ns, found.st_ino, found.st_mtime_ns):
            file.close()
            raise replaced(path)
        return file


@dataclass(slots=True)
class _Kept:
    missing: set[str]
    size: int = 0
    pieces: Future[list[bytes]] = field(default_factory=Future)


class Shelf:
    """What was read of files that go to several instances, until all of them have it.

    It is bounded. Who is ahead of the others waits for them, but not for long in all: then files are read again.

    Args:
        takers: the names of the instances.
    """

    def __init__(self, takers: Iterable[str]) -> None:
        self._takers = set(takers)
        self.count = len(self._takers)
        self._changed = threading.Condition()
        self._kept: dict[Hashable, _Kept] = {}
        self._size = 0
        self._patience = _PATIENCE_SECONDS
        self.files = SameFiles()

    def take(self, taker: str, key: Hashable, read: Callable[[], list[bytes]]) -> list[bytes]:
        """What ``read`` makes, which is called for one of all who ask for ``key``."""
        with self._changed:
            if key not in self._kept:
                self._wait_for_room(key)
            is_first = key not in self._kept
            kept = self._kept.setdefault(key, _Kept(set(self._takers)))
            self._give(key, taker)
        if is_first:
            self._read(key, kept, read)
        return kept.pieces.result()

    def leave(self, taker: str) -> None:
        """It takes nothing any more."""
        with self._changed:
            self._takers.discard(taker)
            for key in list(self._kept):
                self._give(key, taker)

    def _wait_for_room(self, key: Hashable) -> None:
        began = SYSTEM_CLOCK.now()
        self._changed.wait_for(lambda: self._size < _ROOM or key in self._kept, self._patience)
        self._patience = max(0.0, self._patience - (SYSTEM_CLOCK.now() - began))

    def _read(self, key: Hashable, kept: _Kept, read: Callable[[], list[bytes]]) -> None:
        try:
            pieces = read()
        except BaseException as error:  # noqa: BLE001 - raised again for everybody who wants it
            kept.pieces.set_exception(error)
            return
        with self._changed:
            # All others may have asked for it meanwhile.
            if self._kept.get(key) is kept:
                kept.size = sum(map(len, pieces))
                self._size += kept.size
            # The oldest first, as a dict has them.
            while self._size > _MOST:
                self._drop(next(iter(self._kept)))
        kept.pieces.set_result(pieces)

    def _give(self, key: Hashable, taker: str) -> None:
        kept = self._kept[key]
        kept.missing.discard(taker)
        if not kept.missing:
            self._drop(key)

    def _drop(self, key: Hashable) -> None:
        self._size -= self._kept.pop(key).size
        self._changed.notify_all()


class SharedReading(Reading):
    """Files that go to several instances, as one of them takes them.

    Args:
        shelf: what the others have had read.
        name: of the instance.
    """

    def __init__(self, shelf: Shelf, name: str) -> None:
        self._shelf = shelf
        self._files = shelf.files
        self._name = name
        self.takers = shelf.count

    def pack(self, items: Sequence[Item]) -> Iterator[bytes]:
        """As of one instance."""
        yield from self._shelf.take(self._name, tuple(items), lambda: list(super(SharedReading, self).pack(items)))

    def stretch(self, part: Range) -> Iterator[bytes]:
        """As of one instance."""
        path, at, end = part.item.local, part.offset, part.offset + part.length
        while at < end:
            begin = at // _BLOCK * _BLOCK
            [block] = self._shelf.take(self._name, (path, begin), partial(self._block, path, begin))
            piece = block[at - begin : end - begin]
            if not piece:
                raise _shorter(path)
            at += len(piece)
            yield piece

    def _block(self, path: str, begin: int) -> list[bytes]:
        with BufferedReader(self.opened(path), _BLOCK) as file:
            file.seek(begin)
            return [file.read(_BLOCK)]


def replaced(path: str) -> TransferFailed:
    """What to raise where another file has taken the place of one that is on its way."""
    return TransferFailed(f"cannot upload {path}", "it was replaced by another meanwhile", "Upload it again.")


def _shorter(path: str) -> TransferFailed:
    return TransferFailed(f"cannot upload {path}", "it became shorter meanwhile", "Upload it again.")
