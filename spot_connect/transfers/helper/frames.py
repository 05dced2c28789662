"""How both sides talk to each other."""

from __future__ import annotations

import os
import sys

from spot_connect.transfers.helper.files import PIECE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

READY = b"spot-connect: ready"
# EINVAL, ENOSYS and EOPNOTSUPP: what a file system, or a place it is to go to, says that does not take part in it.
_CANNOT = (22, 38, 95)
# ESTALE, which NFS says as well of a file that another machine has replaced.
STALE = 116


def frame(*fields: bytes | int) -> bytes:
    r"""The fields as one frame.

    Example:
        >>> frame(b"ok", 1)
        b'4\nok\x001'
    """
    text = b"\0".join(b"%d" % field if isinstance(field, int) else field for field in fields)
    return b"%d\n%s" % (len(text), text)


def by(count: int, words: list[bytes]) -> Iterator[tuple[bytes, ...]]:
    """The words in groups of so many."""
    return zip(*[iter(words)] * count)  # noqa: B905 - `strict` is younger than the oldest Python out there


def write_all(file: int, data: bytes | memoryview) -> None:
    """Write all of it."""
    written = os.write(file, data)
    if written < len(data):
        view = memoryview(data)[written:]
        while view:
            view = view[os.write(file, view) :]


def tell(data: bytes) -> None:
    """Send to the other side."""
    write_all(1, data)


def tell_part(file: int, offset: int, size: int) -> None:
    """Send what is in a part of a file, which the kernel hands on by itself where it can.

    Raises:
        OSError: the file ends before that; zeros were sent for what is missing.
    """
    end = offset + size
    while offset < end:
        told = _told(file, offset, end - offset)
        if not told:
            for at in range(offset, end, PIECE):
                tell(bytes(min(PIECE, end - at)))
            raise shorter()
        offset += told


def _told(file: int, offset: int, size: int) -> int:
    if sys.platform == "linux":
        try:
            return os.sendfile(1, file, offset, size)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
    os.lseek(file, offset, 0)
    piece = os.read(file, min(PIECE, size))
    tell(piece)
    return len(piece)


def shorter() -> OSError:
    """What to raise where a file ends before it should."""
    return OSError(STALE, "it became shorter while it was on its way")


def answer(body: bytes, word: bytes = b"ok") -> None:
    """Answer with more than a frame should hold."""
    tell(frame(word, len(body)))
    tell(body)
