"""What runs on the instance during a transfer: one process for each channel, ended by the end of its input.

It is sent as text, so it knows Python 3.7's standard library alone, and imports as little of it as it can: a small
instance takes longer over imports than over most transfers. Requests and answers are frames: the length as a line,
then fields with a zero byte between them; names are bytes. What is named in a request is a path below the directory
entered first, or an absolute one.
"""

from __future__ import annotations

import os
import stat
import sys
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import BinaryIO

PIECE = 256 * 1024
MARK = b".spot-connect-"
READY = b"spot-connect: ready"
USELESS = b"spot-connect: no tar"


def frame(*fields: bytes | int) -> bytes:
    r"""The fields as one frame.

    Example:
        >>> frame(b"ok", 1)
        b'4\nok\x001'
    """
    text = b"\0".join(b"%d" % field if isinstance(field, int) else field for field in fields)
    return b"%d\n%s" % (len(text), text)


def walk(top: bytes) -> Iterator[tuple[bytes, os.stat_result, bytes]]:
    """The directory ``top`` and all below it: path, what it is, where it leads if it is a link.

    Each directory is followed by what it holds but for directories, whose turns come later.
    """
    waiting = [(top, os.stat(top))]
    while waiting:
        folder, known = waiting.pop()
        yield folder, known, b""
        with os.scandir(folder) as found:
            for one in found:
                info = one.stat(follow_symlinks=False)
                if stat.S_ISDIR(info.st_mode):
                    waiting.append((one.path, info))
                else:
                    yield one.path, info, os.readlink(one.path) if stat.S_ISLNK(info.st_mode) else b""


def merge(source: bytes, target: bytes) -> None:
    """Move all that is in the directory ``source`` into ``target``, over what is there."""
    for name in os.listdir(source):
        here, there = os.path.join(source, name), os.path.join(target, name)
        if not os.path.isdir(here) or os.path.islink(here):
            move(here, there)
            continue
        try:
            os.rename(here, there)
        except OSError:
            make(there)
            merge(here, there)


def move(here: bytes, there: bytes) -> None:
    """Give a file or link its true name, at once for whoever looks."""
    try:
        os.replace(here, there)
    except OSError as error:
        if os.path.isdir(there) and not os.path.islink(there):
            raise IsADirectoryError(21, "there is a directory of that name", there) from error
        if error.errno != 18:  # EXDEV: another file system is mounted below the directory
            raise
        import shutil

        beside = os.path.join(os.path.dirname(there), MARK + os.urandom(6).hex().encode() + b".part")
        shutil.copy2(here, beside, follow_symlinks=False)
        os.replace(beside, there)


def remove(path: bytes) -> None:
    """Remove whatever is at ``path``, if anything is."""
    if os.path.isdir(path) and not os.path.islink(path):
        for name in os.listdir(path):
            remove(os.path.join(path, name))
        os.rmdir(path)
    elif os.path.lexists(path):
        os.unlink(path)


def make(folder: bytes) -> None:
    """Make a directory, where there is none; empty is where we are."""
    try:
        os.makedirs(folder or b".", exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise NotADirectoryError(20, "there is a file of that name", folder) from error


def settle(path: bytes, mode: int, time: int) -> None:
    """Give a file or directory its mode and its time."""
    if stat.S_IMODE(os.stat(path).st_mode) != mode:
        os.chmod(path, mode)
    os.utime(path, ns=(time, time))


def partial_of(target: bytes, token: bytes) -> bytes:
    """Where the file ``target`` is put together; ``token`` tells apart what is being put there."""
    return os.path.join(os.path.dirname(target), MARK + token + b".part")


class Partial:
    """A file that is put together by several hands, beside its true place.

    Next to it lies a list of the ranges that are there, so that a broken transfer can go on.
    """

    def __init__(self, target: bytes, token: bytes, size: int) -> None:
        self.target = target
        self._path = partial_of(target, token)
        self._size = size
        make(os.path.dirname(target) or b".")
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        self._done = os.open(self._path + b".done", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        if os.fstat(self._file).st_size != size:
            os.truncate(self._file, size)

    def write(self, offset: int, piece: bytes) -> None:
        """Put a piece where it belongs."""
        os.lseek(self._file, offset, 0)
        view = memoryview(piece)
        while view:
            view = view[os.write(self._file, view) :]

    def close(self) -> None:
        """Let go of it; it stays as it is."""
        os.close(self._file)
        os.close(self._done)

    def note(self, offset: int, length: int) -> bool:
        """Note a range that is there; whether the file is whole and this call is the one to place it."""
        os.write(self._done, b"%d %d\n" % (offset, length))
        if covered(ranges(self._path)) < self._size:
            return False
        try:
            # Two hands may see the last range at once; one of them can rename.
            os.rename(self._path + b".done", self._path + b".all")
        except FileNotFoundError:
            return False
        return True

    def place(self, mode: int, time: int) -> None:
        """Check its length and give it its name."""
        if os.fstat(self._file).st_size != self._size:
            raise OSError(5, "the file is not as long as it should be", self._path)
        settle(self._path, mode, time)
        move(self._path, self.target)
        os.unlink(self._path + b".all")


def ranges(partial: bytes) -> list[tuple[int, int]]:
    """The ranges that are there of a partial file: offset and length."""
    try:
        with open(partial + b".done", "rb") as done:
            lines = done.read().split(b"\n")[:-1]
    except OSError:
        return []
    return sorted((int(line.split()[0]), int(line.split()[1])) for line in set(lines))


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


def leftovers(target: bytes, token: bytes) -> list[bytes]:
    """What transfers of another content to ``target`` have left."""
    folder = os.path.dirname(target) or b"."
    start, own = MARK + token.split(b"-")[0] + b"-", MARK + token + b"."
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return [os.path.join(folder, name) for name in names if name.startswith(start) and not name.startswith(own)]


class Helper:
    """Answers requests until its input ends."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source

    def serve(self) -> None:
        """Answer one request after the other."""
        verbs: dict[bytes, Callable[..., None]] = {
            b"enter": self._enter,
            b"list": self._list,
            b"begun": self._begun,
            b"stripe": self._stripe,
            b"unpack": self._unpack,
            b"make": self._make,
            b"settle": self._settle,
            b"remove": self._remove,
            b"fetch": self._fetch,
            b"pack": self._pack,
            b"digest": self._digest,
        }
        while True:
            length = self._source.readline()
            if not length.endswith(b"\n"):
                return
            verb, *fields = self._exactly(int(length)).split(b"\0")
            verbs[verb](*fields)

    def _exactly(self, size: int) -> bytes:
        data = self._source.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def _body(self, size: int) -> Iterator[bytes]:
        while size:
            piece = self._exactly(min(size, PIECE))
            size -= len(piece)
            yield piece

    def _words(self, size: bytes) -> list[bytes]:
        """A long list of fields, which is sent compressed behind its request."""
        text = zlib.decompress(self._exactly(int(size)))
        return text.split(b"\0") if text else []

    def _enter(self, folder: bytes, new: bytes) -> None:
        here = os.path.normpath(os.path.join(os.getcwdb(), folder))
        if new == b"1":
            make(here)
        os.chdir(here)
        tell(frame(b"entered", here))

    def _list(self, size: bytes) -> None:
        packer, pieces = zlib.compressobj(1), []
        for name in self._words(size):
            pieces += [packer.compress(record) for record in _records(name)]
        answer(b"".join((*pieces, packer.flush())))

    def _begun(self, size: bytes) -> None:
        words = self._words(size)
        found = []
        for target, token in by(2, words):
            for left in leftovers(target, token):
                remove(left)
            found.append(b" ".join(b"%d %d" % one for one in ranges(partial_of(target, token))))
        answer(zlib.compress(b"\0".join(found), 1))

    def _stripe(self, *fields: bytes) -> None:
        target, token = fields[:2]
        size, mode, time, offset, length, filled = map(int, fields[2:])
        partial = Partial(target, token, size)
        at = offset
        try:
            for piece in self._body(length if filled else 0):
                partial.write(at, piece)
                at += len(piece)
            at = offset + length
        finally:
            # What came before the line broke need not come again.
            is_last = partial.note(offset, at - offset)
            if is_last:
                partial.place(mode, time)
            partial.close()
        tell(frame(b"ok"))

    def _unpack(self, size: bytes, squeezed: bytes) -> None:
        stage = MARK + os.urandom(6).hex().encode() + b".part"
        os.mkdir(stage, 0o700)
        try:
            options = [b"-z"] if squeezed == b"1" else []
            words = [b"tar", b"-x", b"-p", b"--no-same-owner", *options, b"-f", b"-", b"-C", stage]
            self._feed(words, int(size))
            merge(stage, b".")
        finally:
            remove(stage)
        tell(frame(b"ok"))

    def _feed(self, words: list[bytes], size: int) -> None:
        reading, writing = os.pipe()
        child = start(words, reading, 2)
        os.close(reading)
        try:
            for piece in self._body(size):
                write_all(writing, piece)
        except BrokenPipeError:
            pass  # its exit status tells more
        finally:
            os.close(writing)
            status = os.waitpid(child, 0)[1]
        if status:
            raise _failure_of_tar()

    def _make(self, size: bytes) -> None:
        for path in self._words(size):
            make(path)
        tell(frame(b"ok"))

    def _settle(self, size: bytes) -> None:
        words = self._words(size)
        for path, mode, time in by(3, words):
            settle(path, int(mode), int(time))
        tell(frame(b"ok"))

    def _remove(self, size: bytes) -> None:
        for path in self._words(size):
            remove(path)
        tell(frame(b"ok"))

    def _fetch(self, path: bytes, start: bytes, size: bytes) -> None:
        file = os.open(path, os.O_RDONLY)
        try:
            for offset, piece in data_of(file, int(start), int(start) + int(size)):
                tell(frame(b"data", offset, len(piece)))
                tell(piece)
        finally:
            os.close(file)
        tell(frame(b"ok"))

    def _pack(self, size: bytes) -> None:
        paths = self._words(size)
        names = b"".join(path + b"\0" for path in paths)
        reading, writing = os.pipe()
        feeder = os.fork()
        if not feeder:
            try:
                os.close(reading)
                write_all(writing, names)
            finally:
                os._exit(0)
        os.close(writing)
        words = [b"tar", b"-c", b"-P", b"--format=gnu", b"--no-recursion", b"--hard-dereference", b"--null"]
        child = start([*words, b"-T", b"-", b"-f", b"-"], reading, 1)
        os.close(reading)
        status = os.waitpid(child, 0)[1]
        os.waitpid(feeder, 0)
        # 1 is for files that changed or went meanwhile.
        if status not in (0, 256):
            raise unreadable(paths)
        tell(frame(b"ok"))

    def _digest(self, size: bytes) -> None:
        import hashlib

        found = []
        for path in self._words(size):
            total = hashlib.sha256()
            with open(path, "rb") as file:
                for piece in iter(lambda: file.read(PIECE), b""):
                    total.update(piece)
            found.append(total.hexdigest().encode())
        answer(zlib.compress(b"\0".join(found), 1))


def by(count: int, words: list[bytes]) -> Iterator[tuple[bytes, ...]]:
    """The words in groups of so many."""
    return zip(*[iter(words)] * count)  # noqa: B905 - `strict` is younger than the oldest Python out there


def data_of(file: int, offset: int, end: int) -> Iterator[tuple[int, bytes]]:
    """What is in a range of a file, in pieces with their offsets; holes are left out.

    Raises:
        OSError: the file is shorter than that.
    """
    if os.fstat(file).st_size < end:
        raise OSError(5, "the file became shorter meanwhile")
    for start, stop in segments(file, offset, end):
        at = start
        while at < stop:
            os.lseek(file, at, 0)
            piece = os.read(file, min(PIECE, stop - at))
            if not piece:
                raise OSError(5, "the file became shorter meanwhile")
            yield at, piece
            at += len(piece)


def segments(file: int, offset: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of a range that are no holes, where the system can tell."""
    if not hasattr(os, "SEEK_DATA"):
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


def _records(name: bytes) -> Iterable[bytes]:
    """What is at ``name`` and below it, as text for :mod:`spot_connect.transfers.listing`."""
    try:
        top = os.stat(name)
    except FileNotFoundError:
        return [b"-\0"]
    if not stat.S_ISDIR(top.st_mode):
        return [_record(name, top, b""), b".\0"]
    return [*(_record(path, info, link) for path, info, link in walk(name)), b".\0"]


def _record(path: bytes, info: os.stat_result, link: bytes) -> bytes:
    mode = info.st_mode
    kind = b"d" if stat.S_ISDIR(mode) else b"f" if stat.S_ISREG(mode) else b"l" if stat.S_ISLNK(mode) else b"?"
    name = path if kind == b"d" else os.path.basename(path)
    return b"%s%d %d %d\0%s\0%s\0" % (kind, mode & 0o777, info.st_size, info.st_mtime_ns, name, link)


def _failure_of_tar() -> OSError:
    # tar's exit status does not tell why.
    room = os.statvfs(".")
    if room.f_bavail * room.f_frsize < 65536 or not room.f_favail:
        return OSError(28, "no space left on device")
    if not os.access(".", os.W_OK):
        return OSError(13, "permission denied")
    return OSError(5, "tar could not unpack what arrived")


def unreadable(paths: list[bytes]) -> OSError:
    """Why tar could not read all of these files."""
    for path in paths:
        if os.path.exists(path) and not os.access(path, os.R_OK):
            return PermissionError(13, "permission denied", path)
    return OSError(5, "tar could not read all of the files")


def start(words: list[bytes], source: int, target: int) -> int:
    """Start a program with these as its input and output; its process."""
    child = os.fork()
    if child:
        return child
    try:
        os.dup2(source, 0)
        os.dup2(target, 1)
        os.closerange(3, 64)
        os.execvp(words[0], words)  # noqa: S606 - the subprocess module takes longer to load than tar to run
    finally:
        os._exit(127)


def write_all(file: int, data: bytes) -> None:
    """Write all of it."""
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def tell(data: bytes) -> None:
    """Send to the other side."""
    write_all(1, data)


def answer(body: bytes) -> None:
    """Answer with more than a frame should hold."""
    tell(frame(b"ok", len(body)))
    tell(body)


def has_tar() -> bool:
    """Whether there is a tar with all that is asked of it."""
    for folder in os.get_exec_path():
        program = os.path.join(folder, "tar")
        if os.access(program, os.X_OK):
            return "busybox" not in os.path.realpath(program)
    return False


def main() -> None:
    """Serve, and say what went wrong before ending."""
    tell((READY if has_tar() else USELESS) + b"\n")
    try:
        Helper(os.fdopen(0, "rb", PIECE)).serve()
    except EOFError:
        pass
    except OSError as error:
        path = error.filename if isinstance(error.filename, bytes) else os.fsencode(error.filename or "")
        try:
            tell(frame(b"error", error.errno or 0, path, os.fsencode(error.strerror or str(error))))
        except OSError:
            sys.exit(1)
