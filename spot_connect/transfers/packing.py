"""Many small files as one stream: a tar archive made, and one taken apart, without tarfile's overhead.

The form is POSIX' ustar with GNU's long names, which every tar that we meet can read.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator

from spot_connect.core.errors import TransferFailed
from spot_connect.ssh.connection import reason
from spot_connect.transfers.entries import Entry

BLOCK = 512
RECORD = 20 * BLOCK
_PIECE = 256 * 1024
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0)
_NAME = 100
_GZIP = 31
_LINK = b"././@LongLink"
_SECOND = 1_000_000_000


def length_of(names: Iterable[tuple[bytes, Entry]], recent: int) -> int:
    """How long the archive of these entries under these names is."""
    contents = sum(_length_of_headers(name, entry, recent) + _padded(entry.size) for name, entry in names)
    return _rounded(contents + 2 * BLOCK, RECORD)


def archive(files: Iterable[tuple[str, bytes, Entry]], advance: Callable[[int], None], recent: int) -> Iterator[bytes]:
    """The archive of files and links, piece by piece.

    Args:
        files: path on this machine, name in the archive, entry.
        advance: hears how many bytes of files went in.
        recent: since when, in seconds, a file's time is kept to the nanosecond. A second is enough for those that
            can no longer change within the second that they were read in.

    Raises:
        TransferFailed: a file cannot be read, or became shorter.
    """
    pieces: list[bytes] = []
    gathered = total = 0
    for path, name, entry in files:
        pieces.append(_headers(name, entry, recent))
        gathered += len(pieces[-1])
        for piece in _contents(path, entry.size) if entry.size else ():
            pieces.append(piece)
            gathered += len(piece)
            if gathered >= _PIECE:
                total += gathered
                yield b"".join(pieces)
                pieces, gathered = [], 0
        if filling := -entry.size % BLOCK:
            pieces.append(bytes(filling))
            gathered += filling
        advance(entry.size)
    total += gathered
    yield b"".join((*pieces, bytes(_rounded(total + 2 * BLOCK, RECORD) - total)))


def _contents(path: str, size: int) -> Iterator[bytes]:
    try:
        # Half as long as by a file object, which counts for thousands of small files.
        file = os.open(path, _READ)
        try:
            while size:
                piece = os.read(file, min(size, _PIECE))
                if not piece:
                    raise TransferFailed(f"cannot upload {path}", "it became shorter meanwhile", "Upload it again.")
                size -= len(piece)
                yield piece
        finally:
            os.close(file)
    except OSError as error:
        raise TransferFailed(f"cannot read {path}", reason(error)) from error


def _length_of_headers(name: bytes, entry: Entry, recent: int) -> int:
    # Nearly all need one block, which need not be made to be counted.
    if len(name) <= _NAME and len(entry.link) <= _NAME and not _is_recent(entry, recent):
        return BLOCK
    return len(_headers(name, entry, recent))


def _is_recent(entry: Entry, recent: int) -> bool:
    return entry.kind == "f" and entry.time // _SECOND >= recent


def _headers(name: bytes, entry: Entry, recent: int) -> bytes:
    before = b""
    if _is_recent(entry, recent):
        before = _extended(b"mtime=%d.%09d" % divmod(entry.time, _SECOND))
    if len(entry.link) > _NAME:
        before += _long(b"K", entry.link)
    if len(name) > _NAME:
        before += _long(b"L", name)
    kind = b"2" if entry.kind == "l" else b"0"
    return before + _header(name[:_NAME], kind, entry.mode, entry.size, entry.time // _SECOND, entry.link[:_NAME])


def _long(kind: bytes, text: bytes) -> bytes:
    return _header(_LINK, kind, 0o644, len(text) + 1, 0, b"") + text.ljust(_padded(len(text) + 1), b"\0")


def _extended(record: bytes) -> bytes:
    # The length counts itself: both digits, the space and the line end.
    line = b"%d %s\n" % (len(record) + 4, record)
    return _header(b"pax", b"x", 0o644, len(line), 0, b"") + line.ljust(_padded(len(line)), b"\0")


def _header(name: bytes, kind: bytes, mode: int, size: int, time: int, link: bytes) -> bytes:
    head = b"%s%07o\0%s%s%s" % (name.ljust(_NAME, b"\0"), mode, b"0000000\x000000000\0", _number(size), _number(time))
    tail = b"%s%s%s" % (kind, link.ljust(_NAME, b"\0"), b"ustar\x0000")
    # The sum is taken with spaces in its own place, which come to 8 * 32.
    total = sum(head) + sum(tail) + 256
    return (b"%s%06o\0 %s" % (head, total, tail)).ljust(BLOCK, b"\0")


def _number(value: int) -> bytes:
    if 0 <= value < 8**11:
        return b"%011o\0" % value
    return (value % 256**11 | (0xFF if value < 0 else 0x80) << 88).to_bytes(12, "big")


def _padded(size: int) -> int:
    return _rounded(size, BLOCK)


def _rounded(size: int, to: int) -> int:
    return -(-size // to) * to


class Unpacker:
    """Takes an archive of plain files apart as it comes in."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._taken = 0

    def files(self) -> Iterator[tuple[bytes, int]]:
        """Name and size of each file; its contents must be read before the next is asked for.

        Raises:
            OSError: it is no such archive.
        """
        longer = b""
        while True:
            block = self._take(BLOCK)
            if block == bytes(BLOCK):
                # The end is two empty blocks, of which the second may begin another record.
                self._take(BLOCK)
                self._take(-self._taken % RECORD)
                return
            name, size, kind = _read_header(block)
            if kind == b"L":
                longer = self.contents(size).rstrip(b"\0")
                continue
            if kind not in (b"0", b"\0"):
                raise OSError("the instance sent an archive with something other than files")
            yield longer or name, size
            longer = b""

    def contents(self, size: int) -> bytes:
        """What is in the file, at once."""
        data = self._take(_padded(size)) if size else b""
        return data[:size]

    def _take(self, size: int) -> bytes:
        self._taken += size
        return self._read(size) if size else b""


def _read_header(block: bytes) -> tuple[bytes, int, bytes]:
    if block[257:262] != b"ustar":
        raise OSError("the instance sent something else than an archive")
    return block[:_NAME].rstrip(b"\0"), int(block[124:136].rstrip(b" \0"), 8), block[156:157]


def is_worth_squeezing(sample: bytes) -> bool:
    """Whether compression takes away at least a third of what looks like ``sample``."""
    return len(zlib.compress(sample, 1)) * 3 < len(sample) * 2


def squeezed(pieces: Iterable[bytes]) -> bytes:
    """The pieces as one gzip stream, as fast as that goes."""
    packer = zlib.compressobj(1, wbits=_GZIP)
    return b"".join((*(packer.compress(piece) for piece in pieces), packer.flush()))
