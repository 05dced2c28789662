"""What is in files of this machine, on its way to one instance or to many."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from io import BufferedReader, FileIO

from spot_connect.core.errors import TransferFailed
from spot_connect.ssh.trouble import reason
from spot_connect.transfers import packing
from spot_connect.transfers.helper.files import PIECE
from spot_connect.transfers.helper.packs import joined
from spot_connect.transfers.work import Item, Range

_BLOCK = 1024 * 1024
_ROOM = 64 * 1024 * 1024


class Reading:
    """Files that go to one instance.

    Attributes:
        takers: how many instances there are that they go to.

    Raises:
        TransferFailed: one of them cannot be read, or became shorter.
    """

    takers = 1

    def pack(self, items: Sequence[Item]) -> Iterator[bytes]:
        """What is in small files, one after the other, in pieces that are worth sending; at least one piece."""
        return joined(packing.read(items))

    def stretch(self, part: Range) -> Iterator[bytes]:
        """The bytes of a range of a file."""
        path, at, end = part.item.local, part.offset, part.offset + part.length
        with opened(path) as file:
            file.seek(at)
            while at < end:
                piece = file.read(min(PIECE, end - at))
                if not piece:
                    raise _shorter(path)
                at += len(piece)
                yield piece


@dataclass(slots=True)
class _Kept:
    takers: int
    size: int = 0
    pieces: Future[list[bytes]] = field(default_factory=Future)


class SharedReading(Reading):
    """Files that go to several instances: whoever comes first reads, and the others find it in memory.

    What is kept is bounded. An instance that is far behind the others has files read again.

    Args:
        takers: how many instances there are.
    """

    def __init__(self, takers: int) -> None:
        self.takers = takers
        self._lock = threading.Lock()
        self._kept: dict[Hashable, _Kept] = {}
        self._size = 0

    def pack(self, items: Sequence[Item]) -> Iterator[bytes]:
        """As of one instance."""
        yield from self._have(tuple(items), lambda: list(super(SharedReading, self).pack(items)))

    def stretch(self, part: Range) -> Iterator[bytes]:
        """As of one instance."""
        path, at, end = part.item.local, part.offset, part.offset + part.length
        while at < end:
            begin = at // _BLOCK * _BLOCK
            [block] = self._have((path, begin), partial(_block, path, begin))
            piece = block[at - begin : end - begin]
            if not piece:
                raise _shorter(path)
            at += len(piece)
            yield piece

    def _have(self, key: Hashable, read: Callable[[], list[bytes]]) -> list[bytes]:
        with self._lock:
            is_first = key not in self._kept
            kept = self._kept.setdefault(key, _Kept(self.takers))
            kept.takers -= 1
            if not is_first and not kept.takers:
                self._forget(key)
        if is_first:
            self._read(key, kept, read)
        return kept.pieces.result()

    def _read(self, key: Hashable, kept: _Kept, read: Callable[[], list[bytes]]) -> None:
        try:
            pieces = read()
        except BaseException as error:  # noqa: BLE001 - raised again for everybody who wants it
            kept.pieces.set_exception(error)
            return
        with self._lock:
            # All others may have asked for it meanwhile.
            if self._kept.get(key) is kept:
                kept.size = sum(map(len, pieces))
                self._size += kept.size
            # The oldest first, as a dict has them.
            while self._size > _ROOM:
                self._forget(next(iter(self._kept)))
        kept.pieces.set_result(pieces)

    def _forget(self, key: Hashable) -> None:
        self._size -= self._kept.pop(key).size


def opened(path: str) -> FileIO:
    """A file, to be read.

    Raises:
        TransferFailed: it cannot be.
    """
    try:
        return FileIO(path)
    except OSError as error:
        raise TransferFailed(f"cannot read {path}", reason(error)) from error


def _block(path: str, begin: int) -> list[bytes]:
    with BufferedReader(opened(path), _BLOCK) as file:
        file.seek(begin)
        return [file.read(_BLOCK)]


def _shorter(path: str) -> TransferFailed:
    return TransferFailed(f"cannot upload {path}", "it became shorter meanwhile", "Upload it again.")
