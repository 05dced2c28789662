"""Many small files as one stream: their contents one after the other, in an order that both sides know."""

from __future__ import annotations

import io
import os
import stat
import zlib

from spot_connect.transfers.helper.files import MARK, PIECE, make, merge, remove, settle
from spot_connect.transfers.helper.frames import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SIZE = 8
"""Bytes that tell the length of each file on the way down, where it may have changed since it was listed."""
GONE = -1
REFUSED = -2

_LENGTH = 4
_LONGEST = 4 * PIECE
"""No piece of a stream is as long, packed or not."""
_SHORT = 32 * 1024
_BINARY = getattr(os, "O_BINARY", 0)
_READ = os.O_RDONLY | _BINARY
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY
_BY_NUMBER = os.utime in os.supports_fd


class Stage:
    """A directory in ``root`` where files wait for the others of their pack, and are then given their names."""

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._path = os.path.join(root, MARK + os.urandom(6).hex().encode() + b".part")
        self._made = set()  # type: set[bytes]
        self._kept = set()  # type: set[int]
        make(self._path)

    def file(self, name: bytes, mode: int, time: int, pieces: Iterable[bytes]) -> None:
        """Put a file there, under its name below ``root``."""
        path, at = self._place(name)
        file = os.open(path, _NEW, mode, dir_fd=at)
        try:
            for piece in pieces:
                write_all(file, piece)
            # By its number a file is found at once, which counts for thousands.
            if _BY_NUMBER:
                if mode not in self._kept:
                    self._give(file, mode)
                os.utime(file, ns=(time, time))
        finally:
            os.close(file)
        if not _BY_NUMBER:
            settle(path, mode, time)

    def link(self, name: bytes, target: bytes, time: int) -> None:
        """Put a link there."""
        path, at = self._place(name)
        os.symlink(target, path, dir_fd=at)
        os.utime(path, ns=(time, time), dir_fd=at, follow_symlinks=False)

    def merge(self) -> None:
        """Give all of them their names."""
        merge(self._path, self._root)

    def remove(self) -> None:
        """Take away what is left."""
        remove(self._path)

    def _give(self, file: int, mode: int) -> None:
        """Give it its mode; one that a new file has at once is not given again, as all are made in one place."""
        if stat.S_IMODE(os.fstat(file).st_mode) == mode:
            self._kept.add(mode)
        else:
            os.fchmod(file, mode)

    def _place(self, name: bytes) -> tuple[bytes, int | None]:
        folder, slash, _ = name.rpartition(b"/")
        if slash and folder not in self._made:
            make(os.path.join(self._path, folder))
            self._made.add(folder)
        return self._path + b"/" + name, None


def squeezed(piece: bytes) -> bytes:
    """A piece behind its length, compressed where that takes away a third; the length is below zero where it does not.

    Example:
        >>> len(squeezed(b"x" * 1000)) < 100
        True
    """
    small = zlib.compress(piece, 1)
    if len(small) * 3 < len(piece) * 2:
        return len(small).to_bytes(_LENGTH, "big") + small
    return (-len(piece)).to_bytes(_LENGTH, "big", signed=True) + piece


class Unsqueezing:
    """Reads a stream of such pieces, by a function that reads exactly so many bytes of it."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._piece = io.BytesIO()

    def read(self, size: int) -> bytes:
        """Exactly ``size`` bytes of what was squeezed."""
        data = self._piece.read(size)
        while len(data) < size:
            length = int.from_bytes(self._read(_LENGTH), "big", signed=True)
            if not 0 < abs(length) <= _LONGEST:
                raise _garbled()
            self._piece = io.BytesIO(_unsqueezed(self._read(length)) if length > 0 else self._read(-length))
            data += self._piece.read(size - len(data))
        return data


def _unsqueezed(small: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        piece = unpacker.decompress(small, _LONGEST)
    except zlib.error:
        raise _garbled() from None
    if not piece or not unpacker.eof:
        raise _garbled()
    return piece


def _garbled() -> OSError:
    return OSError(5, "what came is not packed as it should be")


def contents(path: str | bytes) -> list[bytes]:
    """All that is in a file, in pieces; it is small."""
    file = os.open(path, _READ)
    try:
        pieces = [os.read(file, _SHORT)]
        if len(pieces[0]) == _SHORT:
            pieces += iter(lambda: os.read(file, PIECE), b"")
        return pieces
    finally:
        os.close(file)


def joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces that are large enough to be worth sending; those before an error come ahead of it."""
    waiting, size = [], 0  # type: list[bytes], int
    try:
        for piece in pieces:
            waiting.append(piece)
            size += len(piece)
            if size >= PIECE:
                yield b"".join(waiting)
                waiting, size = [], 0
    except OSError:
        if size:
            yield b"".join(waiting)
        raise
    if size:
        yield b"".join(waiting)


def taken(read: Callable[[int], bytes], size: int) -> Iterator[bytes]:
    """The next ``size`` bytes of a stream, in pieces."""
    while size > PIECE:
        yield read(PIECE)
        size -= PIECE
    if size:
        yield read(size)


def with_sizes(paths: Iterable[bytes]) -> Iterator[bytes]:
    """The contents of files, each behind its length; one that went meanwhile has none.

    Raises:
        OSError: one cannot be read, after the length that tells so.
    """
    for path in paths:
        try:
            pieces = contents(path)
        except FileNotFoundError:
            yield GONE.to_bytes(SIZE, "big", signed=True)
            continue
        except OSError:
            yield REFUSED.to_bytes(SIZE, "big", signed=True)
            raise
        yield sum(map(len, pieces)).to_bytes(SIZE, "big")
        yield from pieces
