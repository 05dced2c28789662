"""Files on an instance over SFTP, one request after the other but for their contents."""

from __future__ import annotations

import contextlib
import posixpath
import stat
import struct
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from spot_connect.core.errors import SshError, TransferFailed
from spot_connect.core.untrusted import printable
from spot_connect.ssh._pipeline import PIECE, Pipeline
from spot_connect.ssh.connection import Connection
from spot_connect.ssh.trouble import loss, nonsense, reason

MOST_NAMES = 2_000_000
"""So many names an instance may list in one tree: one that never ends its listing would fill our memory."""

_HAS_SIZE, _HAS_OWNER, _HAS_MODE, _HAS_TIMES, _HAS_MORE = 1, 2, 4, 8, 1 << 31


class Stat(NamedTuple):
    """What SFTP tells of a file: the mode with its kind, the size in bytes, the time of the last change in seconds."""

    mode: int
    size: int
    time: int


class Files:
    """The files of an instance, for one caller at a time.

    Names are bytes; those that are relative start in the home directory. As a context it turns what paramiko raises
    when a line breaks into ``SshLost``.

    Raises:
        OSError: what the instance says.
        SshLost: the line broke.
        TransferFailed: what the instance says is not SFTP.

    Example:
        >>> with Files(connection) as files:  # doctest: +SKIP
        ...     files.stat(b"efs")
        Stat(mode=16877, size=4096, time=1700000000)
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __enter__(self) -> Files:
        self._connection.transfers.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        from paramiko import SFTPError, SSHException

        try:
            if isinstance(error, SFTPError | struct.error | UnicodeDecodeError):
                raise nonsense(f"its SFTP is none: {printable(str(error))}") from error
            broke = isinstance(error, SSHException | EOFError)
            if error and (broke or (isinstance(error, OSError) and not self._connection.is_open)):
                advice = "Start it again; what has arrived is kept."
                what = f"the line to {self._connection} broke during the transfer"
                raise loss(self._connection, what, reason(error), advice) from error
        finally:
            if error and not isinstance(error, OSError | SshError):
                # Answers to what was asked last may be underway, and belong to nobody.
                self._connection.drop_sftp()
            self._connection.transfers.release()

    @property
    def _sftp(self) -> Any:
        return self._connection.sftp()

    def home(self) -> bytes:
        """The home directory."""
        path: str = self._sftp.normalize(".")
        return path.encode(errors="surrogateescape")

    def stat(self, path: bytes) -> Stat | None:
        """What is at ``path``, or where a link there leads; nothing when nothing is."""
        from paramiko.sftp import CMD_ATTRS, CMD_STAT

        with contextlib.suppress(FileNotFoundError):
            kind, message = self._sftp._request(CMD_STAT, path)
            if kind != CMD_ATTRS:
                raise nonsense("it answers something else than was asked")
            return _Answer(message.get_remainder()).stat()
        return None

    def listed(self, folder: bytes) -> list[tuple[bytes, Stat]]:
        """What a directory holds, by whatever names the instance gives: none of them is checked."""
        from paramiko.sftp import CMD_CLOSE, CMD_HANDLE, CMD_NAME, CMD_OPENDIR, CMD_READDIR

        kind, message = self._sftp._request(CMD_OPENDIR, folder)
        if kind != CMD_HANDLE:
            raise nonsense("it answers something else than was asked")
        handle = message.get_binary()
        found: list[tuple[bytes, Stat]] = []
        with contextlib.suppress(EOFError):
            while True:
                kind, message = self._sftp._request(CMD_READDIR, handle)
                more = _Answer(message.get_remainder()).names() if kind == CMD_NAME else []
                if not more or len(found) > MOST_NAMES:
                    raise nonsense("its listing of a directory does not end")
                found += more
        self._sftp._request(CMD_CLOSE, handle)
        return [one for one in found if one[0] not in (b".", b"..")]

    def readlink(self, path: bytes) -> bytes:
        """Where a link leads."""
        target: str | bytes | None = self._sftp.readlink(path)
        return target.encode() if isinstance(target, str) else target or b""

    def make(self, folder: bytes) -> None:
        """Make a directory and those above it, where there are none."""
        found = self.stat(folder) if folder else Stat(stat.S_IFDIR, 0, 0)
        if found and not stat.S_ISDIR(found.mode):
            raise NotADirectoryError(20, "there is a file of that name", folder)
        if not found:
            self.make(posixpath.dirname(folder))
            self._sftp.mkdir(folder)

    def link(self, target: bytes, path: bytes) -> None:
        """Make a link at ``path``, where nothing may be, that leads to ``target``."""
        self._sftp.symlink(target, path)

    def move(self, path: bytes, target: bytes) -> None:
        """Give a file another name, over what has it."""
        try:
            self._sftp.posix_rename(path, target)
        except OSError as error:
            found = self.stat(target)
            if found and stat.S_ISDIR(found.mode):
                raise IsADirectoryError(21, "there is a directory of that name", target) from error
            raise

    def remove(self, path: bytes) -> None:
        """Remove a file or an empty directory, if there is one."""
        with contextlib.suppress(FileNotFoundError):
            kind = self._sftp.lstat(path).st_mode or 0
            (self._sftp.rmdir if stat.S_ISDIR(kind) else self._sftp.remove)(path)

    def settle(self, path: bytes, mode: int, time: int) -> None:
        """Set mode and time, the latter in seconds."""
        self._sftp.chmod(path, mode)
        self._sftp.utime(path, (time, time))

    def write(self, path: bytes, offset: int, pieces: Iterable[bytes]) -> None:
        """Write from ``offset`` on, in a file that is made when missing."""
        sftp = self._sftp
        with sftp.open(path, "r+b" if offset else "wb") as target:
            pipeline = Pipeline(sftp, target)
            for piece in pieces:
                for start in range(0, len(piece), PIECE):
                    pipeline.write(offset + start, piece[start : start + PIECE])
                offset += len(piece)
            pipeline.settle()

    def read(self, path: bytes, offset: int, end: int) -> Iterator[bytes]:
        """The bytes of a file from ``offset`` to ``end``, or as many as there are."""
        sftp = self._sftp
        with sftp.open(path, "rb") as source:
            yield from Pipeline(sftp, source).pieces(end, offset)


def exists(connection: Connection, path: str) -> bool:
    """Whether the instance has something at ``path`` (absolute, relative to the home directory, or ``~/…``).

    Raises:
        TransferFailed: the path cannot be looked at.

    Example:
        >>> exists(connection, "~/efs")  # doctest: +SKIP
        True
    """
    return _look(connection, path) is not None


def is_dir(connection: Connection, path: str) -> bool:
    """Whether the instance has a directory at ``path``.

    Raises:
        TransferFailed: the path cannot be looked at.

    Example:
        >>> is_dir(connection, "~/efs")  # doctest: +SKIP
        True
    """
    found = _look(connection, path)
    return found is not None and stat.S_ISDIR(found.mode)


def from_home(path: str) -> bytes:
    """``path`` as a path that starts in the home directory, unless it is absolute.

    Example:
        >>> from_home("~/efs"), from_home("~"), from_home("/mnt")
        (b'efs', b'.', b'/mnt')
    """
    if path in ("", "~", "~/"):
        return b"."
    # Names that are not UTF-8 reach us as surrogates and must leave as the bytes they were.
    return (path[2:].lstrip("/") or "." if path.startswith("~/") else path).encode(errors="surrogateescape")


def _look(connection: Connection, path: str) -> Stat | None:
    try:
        with Files(connection) as files:
            return files.stat(from_home(path))
    except OSError as error:
        raise TransferFailed(f"cannot look at {path}", reason(error)) from error


class _Answer:
    """What a server says of files, which may be cut short or count what is not there.

    paramiko's own reading fails at names that are not UTF-8, and takes hours over a number that is too large.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def names(self) -> list[tuple[bytes, Stat]]:
        """SSH_FXP_NAME: draft-ietf-secsh-filexfer-02, section 7."""
        found = []
        for _ in range(self._number()):
            name, _long = self._text(), self._text()
            found.append((name, self.stat()))
        return found

    def stat(self) -> Stat:
        """ATTRS: section 5."""
        flags = self._number()
        size = self._take(">Q") if flags & _HAS_SIZE else 0
        if flags & _HAS_OWNER:
            self._take(">Q")
        mode = self._number() if flags & _HAS_MODE else 0
        time = self._take(">Q") & 0xFFFFFFFF if flags & _HAS_TIMES else 0
        for _ in range(2 * self._number() if flags & _HAS_MORE else 0):
            self._text()
        return Stat(mode, size, time)

    def _number(self) -> int:
        return self._take(">I")

    def _take(self, form: str) -> int:
        number: int = struct.unpack_from(form, self._data, self._at)[0]
        self._at += struct.calcsize(form)
        return number

    def _text(self) -> bytes:
        size = self._number()
        text = self._data[self._at : self._at + size]
        if len(text) < size:
            raise struct.error("a text is cut short")
        self._at += size
        return text
