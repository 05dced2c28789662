"""Big files, put together and taken apart in ranges."""

from __future__ import annotations

import os
import stat

from spot_connect.transfers.helper.files import (
    CAREFULLY,
    MARK,
    is_folder,
    is_taken,
    make,
    move,
    names_in,
    partial_of,
    remove,
    settle,
)
from spot_connect.transfers.helper.frames import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PLACED = b"placed"
PART = b"part"
STRAY = b"stray"
"""How a range may end: as the last, as one of several, or after another transfer has given the file its name."""


class Partial:
    """A file that is put together by several hands, beside its true place.

    Next to it lies a list of the ranges that are there, so that a broken transfer can go on. Each tells by its number
    which file it is in: another transfer of the same content may give that one its name, and begin another.
    """

    def __init__(self, target: bytes, token: bytes, size: int, mode: int, time: int, at: int | None = None) -> None:
        self.target = target
        self._at = at
        self._path = partial_of(target, token)
        self._size = size
        self._mode = mode
        self._time = time
        if at is None:
            make(os.path.dirname(target) or b".")
        self._file = opened(self._path, os.O_RDWR | os.O_CREAT, at)
        self._done = opened(self._path + b".done", os.O_RDWR | os.O_CREAT | os.O_APPEND, at)
        found = os.fstat(self._file)
        self._number = found.st_ino
        self._is_named = False
        if found.st_size != size:
            os.truncate(self._file, size)

    def write(self, offset: int, piece: bytes | memoryview) -> None:
        """Put a piece where it belongs, unless another transfer has completed the file meanwhile."""
        if self._is_named:
            return
        os.lseek(self._file, offset, 0)
        write_all(self._file, piece)
        self._keep_time()

    def end(self, offset: int, length: int) -> bytes:
        """Note that a range is there and let go of the file; how it ended.

        Where that is as a stray, something may be left over of it until :func:`complete` is called.
        """
        try:
            os.write(self._done, b"%d %d %d\n" % (offset, length, self._number))
            if self._is_whole() and self._place():
                return PLACED
            self._keep_time()
            is_there_too = is_there(self.target, self._size, self._time, self._at) and self._is_begun()
            return STRAY if is_there_too else PART
        finally:
            self.close()

    def close(self) -> None:
        """Let go of it; it stays as it is."""
        os.close(self._file)
        os.close(self._done)

    def _is_begun(self) -> bool:
        return is_taken(self._path, self._at) or is_taken(self._path + b".done", self._at)

    def _is_whole(self) -> bool:
        """Whether all ranges are there and this call is the one to place the file."""
        if covered(ranges(self._path, self._at)) < self._size:
            return False
        try:
            # Two hands may see the last range at once; one of them can rename.
            done, everything = self._path + b".done", self._path + b".all"
            os.rename(done, everything, src_dir_fd=self._at, dst_dir_fd=self._at)
        except FileNotFoundError:
            return False
        return True

    def _place(self) -> bool:
        """Check its length and give it its name; whether it was still there."""
        if os.fstat(self._file).st_size != self._size:
            raise OSError(5, "the file is not as long as it should be", self._path)
        try:
            settle(self._path, self._mode, self._time, self._at)
            move(self._path, self.target, self._at)
            os.unlink(self._path + b".all", dir_fd=self._at)
        except FileNotFoundError:
            return False
        self._keep_time()
        return True

    def _keep_time(self) -> None:
        """Give it its time again where another hand has given it its name, and it was written since."""
        self._is_named = _number(self._path, self._at) != self._number
        if self._is_named and os.utime in os.supports_fd:
            os.utime(self._file, ns=(self._time, self._time))


def opened(path: bytes, flags: int, at: int | None = None) -> int:
    """A file of a transfer, opened or made, for its owner alone.

    It is in the same place each time, so that somebody may have put something else there: a link, a pipe, or a second
    name of another file. That is taken away, and not written to.
    """
    for is_last in (False, False, True):
        try:
            file = os.open(path, flags | CAREFULLY, 0o600, dir_fd=at)
        except OSError:
            if is_last or not is_taken(path, at) or is_folder(path, at) or _is_file(os.lstat(path, dir_fd=at)):
                raise
        else:
            if _is_file(os.fstat(file)):
                return file
            os.close(file)
        remove(path, at)
    raise in_the_way(path)


def _is_file(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_nlink <= 1


def complete(target: bytes, token: bytes, size: int, mode: int, time: int, at: int | None = None) -> None:
    """See to it that a file whose ranges have all moved has its name, though none of them was the last.

    That is so where a transfer broke just before the end, or where two of the same file were at work at once.

    Raises:
        OSError: another transfer has taken away or replaced what was there.
    """
    path = partial_of(target, token)
    if is_taken(path + b".all", at) and not is_taken(path + b".done", at):
        import contextlib

        # Whoever was about to name it has been stopped, or will find that it has been done.
        with contextlib.suppress(OSError):
            os.rename(path + b".all", path + b".done", src_dir_fd=at, dst_dir_fd=at)
    if covered(ranges(path, at)) == size and Partial(target, token, size, mode, time, at).end(0, 0) == PLACED:
        return
    if not is_there(target, size, time, at):
        raise in_the_way(target)
    discard(target, token, at)


def in_the_way(target: bytes) -> OSError:
    """What to raise where another transfer has taken away what was put together for ``target``."""
    return OSError(16, "another transfer to it got in the way; run this one again when that has ended", target)


def discard(target: bytes, token: bytes, at: int | None = None) -> None:
    """Take away what there is of an unfinished file."""
    path = partial_of(target, token)
    for end in (b"", b".done", b".all"):
        remove(path + end, at)


def is_there(target: bytes, size: int, time: int, at: int | None = None) -> bool:
    """Whether a file has its length and its time already."""
    try:
        found = os.lstat(target, dir_fd=at)
    except OSError:
        return False
    # Some file systems keep seconds alone.
    return found.st_size == size and found.st_mtime_ns in (time, time // 1_000_000_000 * 1_000_000_000)


def ranges(partial: bytes, at: int | None = None) -> list[tuple[int, int]]:
    """The ranges that are there of a partial file: offset and length."""
    try:
        with open(opened(partial + b".done", os.O_RDONLY, at), "rb") as done:
            lines = done.read().split(b"\n")[:-1]
    except OSError:
        return []
    number = _number(partial, at)
    noted = (line.split() for line in set(lines))
    # A line may be torn where a computer was switched off.
    found = (tuple(map(int, words)) for words in noted if len(words) == 3 and b"".join(words).isdigit())
    return sorted((offset, length) for offset, length, file in found if file == number)


def _number(path: bytes, at: int | None = None) -> int:
    """Which file is there; less than zero where none is."""
    try:
        return os.lstat(path, dir_fd=at).st_ino
    except OSError:
        return -1


def covered(parts: Iterable[tuple[int, int]]) -> int:
    """How many bytes there are in ranges, which may overlap where a hand of a broken transfer was still at work.

    Example:
        >>> covered([(0, 10), (5, 10), (20, 5)])
        20
    """
    total = end = 0
    for offset, length in sorted(parts):
        total += max(0, offset + length - max(end, offset))
        end = max(end, offset + length)
    return total


def leftovers(target: bytes, token: bytes, at: int | None = None) -> list[bytes]:
    """What transfers of another content to ``target`` have left."""
    folder = os.path.dirname(target) or b"."
    start, own = MARK + token.split(b"-")[0] + b"-", MARK + token + b"."
    names = names_in(folder, at) if at is not None or os.path.isdir(folder) else []
    found = [name for name in names if name.startswith(start) and not name.startswith(own)]
    return found if at is not None else [os.path.join(folder, name) for name in found]


def segments(file: int, offset: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of a range that are no holes, where the system can tell."""
    if not hasattr(os, "SEEK_DATA") or _is_full(os.fstat(file)):
        yield offset, end
        return
    while offset < end:
        try:
            offset = os.lseek(file, offset, os.SEEK_DATA)
            stop = min(end, os.lseek(file, offset, os.SEEK_HOLE))
        except OSError as error:
            if error.errno == 6:  # ENXIO: nothing but a hole from here on
                return
            stop = end
        if offset >= end:
            return
        yield offset, stop
        offset = stop


def _is_full(found: os.stat_result) -> bool:
    """Whether a file has as much room as it is long: finding its holes may take a look at every page of it."""
    return found.st_blocks * 512 >= found.st_size
