"""The same over SFTP alone, for instances that run no helper: file by file, with the same result."""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import shlex
import stat
from collections.abc import Iterator, Sequence, Set

from spot_connect.core.errors import SshError
from spot_connect.ssh.command import run
from spot_connect.ssh.connection import Connection
from spot_connect.ssh.files import Files, Stat
from spot_connect.transfers.entries import Entry
from spot_connect.transfers.folders import reached
from spot_connect.transfers.helper.files import MARK, is_taken, move, partial_of, remove, settle
from spot_connect.transfers.helper.frames import shorter
from spot_connect.transfers.helper.partial import in_the_way, is_there, opened
from spot_connect.transfers.listed import Listed
from spot_connect.transfers.reading import Reading
from spot_connect.transfers.work import BIG, Advance, Item, Range, is_rewritten

_SECOND = 1_000_000_000


class PlainSending:
    """What :class:`spot_connect.transfers.sending.Sending` does."""

    def __init__(self, connection: Connection, tops: Sequence[bytes], folder: bytes, reading: Reading) -> None:
        self._connection = connection
        self._reading = reading
        self._under_way: Item | None = None
        with Files(connection) as files:
            base = posixpath.normpath(posixpath.join(files.home(), folder))
            files.make(base)
            self._base = base
            self.there = [walked(files, posixpath.join(base, top)).entries for top in tops]
        self.base = os.fsdecode(base)

    def send(self, items: Sequence[Item], advance: Advance) -> None:
        """Bring up the files and links."""
        for item in items:
            try:
                with Files(self._connection) as files:
                    self._put(files, item, advance)
            except OSError as error:
                if error.errno is None and _is_full(self._connection, os.path.dirname(self._path(item.remote))):
                    raise OSError(errno.ENOSPC, "no space left", self._path(item.remote)) from error
                raise

    def discard(self, _items: Sequence[Item]) -> None:
        """Take away what this upload has begun of the unfinished file."""
        if self._under_way:
            with contextlib.suppress(SshError, OSError), Files(self._connection) as files:
                files.remove(self._partial(self._under_way))

    def finish(self, gone: Sequence[bytes], todo: Sequence[tuple[bytes, Entry]]) -> None:
        """Remove what is to go, make the directories, and set modes and times."""
        with Files(self._connection) as files:
            for path in reversed(gone):
                files.remove(self._path(path))
            for path, entry in todo:
                if entry.kind == "d":
                    files.make(self._path(path))
            for path, entry in todo:
                files.settle(self._path(path), entry.mode, entry.time // _SECOND)

    def digests(self, paths: Sequence[bytes]) -> list[bytes]:
        """Nothing is known of contents."""
        return [b""] * len(paths)

    def close(self) -> None:
        """Nothing is held."""

    def _path(self, path: bytes) -> bytes:
        return posixpath.join(self._base, path)

    def _partial(self, item: Item) -> bytes:
        return partial_of(self._path(item.remote), item.token)

    def _put(self, files: Files, item: Item, advance: Advance) -> None:
        target, partial = self._path(item.remote), self._partial(item)
        files.make(posixpath.dirname(target))
        found = files.stat(partial)
        self._under_way = None if found else item
        if item.entry.kind == "l":
            files.remove(partial)
            files.link(item.entry.link, partial)
            files.move(partial, target)
            return
        done = min(found.size, item.entry.size) if found else 0
        advance(done)
        pieces = self._reading.stretch(Range(item, done, item.entry.size - done))
        files.write(partial, done, _counted(pieces, advance))
        arrived = files.stat(partial)
        if not arrived:
            raise in_the_way(target)
        if arrived.size != item.entry.size:
            raise OSError(5, "not all of it arrived", target)
        files.settle(partial, item.entry.mode, item.entry.time // _SECOND)
        files.move(partial, target)


class PlainReceiving:
    """What :class:`spot_connect.transfers.receiving.Receiving` does."""

    def __init__(self, connection: Connection, paths: Sequence[bytes]) -> None:
        self._connection = connection
        self._under_way: Item | None = None
        with Files(connection) as files:
            self.trees = [walked(files, path) for path in paths]

    def receive(self, items: Sequence[Item], advance: Advance) -> Set[Item]:
        """Bring down the files, and tell those that were written meanwhile."""
        with Files(self._connection) as files:
            for item in items:
                self._get(files, item, advance)
            big = [(item, files.stat(item.remote)) for item in items if item.entry.size >= BIG]
        return {item for item, now in big if now and is_rewritten(item.entry, now.size, now.time * _SECOND)}

    def discard(self, _items: Sequence[Item]) -> None:
        """Take away what this download has begun of the unfinished file."""
        if self._under_way:
            item = self._under_way
            with contextlib.suppress(FileNotFoundError, NotADirectoryError), reached(item) as (target, at):
                remove(partial_of(target, item.token), at)

    def digests(self, paths: Sequence[bytes]) -> list[bytes]:
        """Nothing is known of contents."""
        return [b""] * len(paths)

    def close(self) -> None:
        """Nothing is held."""

    def _get(self, files: Files, item: Item, advance: Advance) -> None:
        with reached(item, make=True) as (target, at):
            self._get_to(target, at, files, item, advance)

    def _get_to(self, target: bytes, at: int | None, files: Files, item: Item, advance: Advance) -> None:
        partial, size = partial_of(target, item.token), item.entry.size
        self._under_way = None if is_taken(partial, at) else item
        # To append would be to spoil what another transfer has completed meanwhile.
        number = opened(partial, os.O_RDWR | os.O_CREAT, at)
        with open(number, "r+b") as file:
            done = min(file.seek(0, os.SEEK_END), size)
            file.seek(done)
            advance(done)
            for piece in files.read(item.remote, done, size):
                file.write(piece)
                advance(len(piece))
            file.flush()
            arrived = os.fstat(number).st_size
        if arrived != size:
            raise OSError(*shorter().args, item.remote)
        try:
            settle(partial, item.entry.mode, item.entry.time, at)
            move(partial, target, at)
        except FileNotFoundError as error:
            if not is_there(target, size, item.entry.time, at):
                raise in_the_way(target) from error


def _is_full(connection: Connection, directory: bytes) -> bool:
    """SFTP has no word for a full disk; ``df`` has."""
    with contextlib.suppress(SshError):
        told = run(connection, f"df -Pk -- {shlex.quote(os.fsdecode(directory))}").stdout.split(b"\n")
        fields = told[1].split() if len(told) > 1 else []
        return len(fields) > 3 and fields[3].isdigit() and int(fields[3]) < 64
    return False


def walked(files: Files, top: bytes) -> Listed:
    """What is at ``top`` and below it; empty when nothing is."""
    tree = Listed()
    found = files.stat(top)
    if not found:
        return tree
    tree.add_top(_kind(found), found.mode, found.size, found.time * _SECOND)
    waiting = [b""] if _kind(found) == "d" else []
    while waiting:
        folder = waiting.pop()
        for name, info in sorted(files.listed(top + b"/" + folder if folder else top)):
            # What a transfer has begun is left out.
            if name.startswith(MARK):
                continue
            path, kind = folder + b"/" + name if folder else name, _kind(info)
            link = files.readlink(top + b"/" + path) if kind == "l" and b"\0" not in name else b""
            if tree.add(folder, name, kind, info.mode, info.size, info.time * _SECOND, link) and kind == "d":
                waiting.append(path)
    return tree


def _kind(found: Stat) -> str:
    return {stat.S_IFREG: "f", stat.S_IFDIR: "d", stat.S_IFLNK: "l"}.get(stat.S_IFMT(found.mode), "?")


def _counted(pieces: Iterator[bytes], advance: Advance) -> Iterator[bytes]:
    for piece in pieces:
        yield piece
        advance(len(piece))
