"""Files of this machine below a folder, reached without following a link.

An instance may list a link first, and files behind it later, so each directory on the way to a file is opened from the
one above it, and never through a link; and what is done there is done by the descriptor of that directory. So it holds
as well where somebody puts a link there meanwhile. Systems without such calls look before they act.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from spot_connect.transfers.helper.files import MARK, is_folder, is_taken, move, names_in, remove
from spot_connect.transfers.helper.frames import STALE
from spot_connect.transfers.helper.packs import Stage
from spot_connect.transfers.work import Item

_CALLS = (os.open, os.stat, os.mkdir, os.rename, os.unlink, os.rmdir, os.symlink, os.readlink, os.utime)
_BY_DESCRIPTOR = os.supports_dir_fd.issuperset(_CALLS) and hasattr(os, "O_NOFOLLOW")
# Linux opens with this what may be passed through and not listed.
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0)
_BELOW = _FOLDER | getattr(os, "O_NOFOLLOW", 0)
_MOST_OPEN = 64


class Below:
    """What is below a folder, for one thread at a time.

    Links on the way to the folder itself are the user's own, and are followed.

    Args:
        folder: the folder; it is made where something is to be made in it.

    Example:
        >>> with Below("results") as below:  # doctest: +SKIP
        ...     path, at = below.place(b"deep/er/model.h5", make=True)
        ...     os.lstat(path, dir_fd=at)
    """

    def __init__(self, folder: str) -> None:
        self.folder = os.fsencode(folder)
        self._open: dict[bytes, int] = {}

    def __enter__(self) -> Below:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the directories."""
        while self._open:
            os.close(self._open.popitem()[1])

    def place(self, name: bytes, *, make: bool = False) -> tuple[bytes, int | None]:
        """Path and ``dir_fd`` for what is called ``name`` here, good until the next call.

        Args:
            name: parts of a path with ``/`` between them; empty for the folder itself.
            make: whether to make the directories that it lies in.

        Raises:
            FileNotFoundError: there is no such directory.
            NotADirectoryError: a link or a file is in the way.
        """
        above, _, last = name.rpartition(b"/")
        if _BY_DESCRIPTOR:
            return last or b".", self._opened(above, make=make)
        return os.path.join(self._checked(above, make=make), last or b"."), None

    def enter(self, name: bytes, *, make: bool = False) -> None:
        """Require a directory of that name, or make it.

        Raises:
            FileNotFoundError, NotADirectoryError: as for :meth:`place`.
        """
        self.place(name + b"/" if name else b"", make=make)

    def within(self, name: bytes, *, make: bool = False) -> Below:
        """The same for a directory in here.

        Raises:
            FileNotFoundError, NotADirectoryError: as for :meth:`place`.
        """
        found = Below(os.path.join(os.fsdecode(self.folder), os.fsdecode(name)) if name else os.fsdecode(self.folder))
        if _BY_DESCRIPTOR:
            found._open[b""] = os.dup(self._opened(name, make=make))
        else:
            self._checked(name, make=make)
        return found

    def names(self, folder: bytes) -> list[bytes]:
        """What a directory in here holds."""
        if _BY_DESCRIPTOR:
            return names_in(b".", self._opened(folder, make=False))
        return names_in(self._checked(folder, make=False))

    def _opened(self, folder: bytes, *, make: bool) -> int:
        found = self._open.pop(folder, None)
        if found is None:
            found = self._open_anew(folder, make=make)
        # The last one is the one that was needed last.
        self._open[folder] = found
        if len(self._open) > _MOST_OPEN:
            # The folder itself stays, as it may have been handed over by its descriptor alone.
            oldest = next(name for name in self._open if name)
            os.close(self._open.pop(oldest))
        return found

    def _open_anew(self, folder: bytes, *, make: bool) -> int:
        if not folder:
            if make:
                _make_own(self.folder)
            return os.open(self.folder, _FOLDER)
        above, _, last = folder.rpartition(b"/")
        at = self._opened(above, make=make)
        try:
            return self._open_one(folder, last, at)
        except FileNotFoundError:
            if not make:
                raise
        _make_one(last, at)
        return self._open_one(folder, last, at)

    def _open_one(self, folder: bytes, last: bytes, at: int) -> int:
        try:
            return os.open(last, _BELOW, dir_fd=at)
        except OSError as error:
            if is_taken(last, at) and not is_folder(last, at):
                raise self._in_the_way(folder, os.lstat(last, dir_fd=at)) from error
            error.filename = os.path.join(self.folder, folder)
            raise

    def _checked(self, folder: bytes, *, make: bool) -> bytes:
        path = self.folder
        if make:
            _make_own(path)
        for part in folder.split(b"/") if folder else ():
            path = os.path.join(path, part)
            if make and not is_taken(path):
                _make_one(path, None)
            found = os.lstat(path)
            if not stat.S_ISDIR(found.st_mode) or is_led_elsewhere(found):
                raise self._in_the_way(path, found)
        return path

    def _in_the_way(self, path: bytes, found: os.stat_result) -> OSError:
        what = "link" if is_led_elsewhere(found) else "file"
        return NotADirectoryError(20, f"there is a {what} of that name", os.path.join(self.folder, path))


def is_led_elsewhere(found: os.stat_result) -> bool:
    """Whether it is a link, or what Windows has of that kind: a junction, or a place where a disk is mounted."""
    reparse = getattr(found, "st_file_attributes", 0) & getattr(stat, "FILE_ATTRIBUTE_REPARSE_POINT", 0)
    return stat.S_ISLNK(found.st_mode) or bool(reparse)


def _make_own(folder: bytes) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise NotADirectoryError(20, "there is a file of that name", folder) from error


def _make_one(path: bytes, at: int | None) -> None:
    with suppress(FileExistsError):
        os.mkdir(path, dir_fd=at)


@contextmanager
def reached(item: Item, *, make: bool = False) -> Iterator[tuple[bytes, int | None]]:
    """Path and ``dir_fd`` of a file of a download while it is worked on; errors are told with its true path.

    Raises:
        FileNotFoundError, NotADirectoryError: as for :meth:`Below.place`.
    """
    with Below(item.place.folder) as below, located(item.local):
        yield below.place(item.name, make=make)


@contextmanager
def located(path: str) -> Iterator[None]:
    """Tell errors of what lies beside ``path`` with the directory that it lies in."""
    try:
        yield
    except OSError as error:
        is_here = isinstance(error.filename, bytes) and b"/" not in error.filename and error.errno != STALE
        if is_here:
            error.filename = os.path.join(os.path.dirname(path), os.fsdecode(error.filename))
        raise


class Landing(Stage):
    """A :class:`Stage` below a folder of this machine: nothing in it leads elsewhere, nor does its way.

    Args:
        below: the folder.
        root: the directory there where the files belong.
    """

    def __init__(self, below: Below, root: bytes) -> None:
        self._there = below.within(root, make=True)
        self._kept = set()
        self._name = MARK + os.urandom(6).hex().encode() + b".part"
        try:
            path, at = self._there.place(self._name)
            os.mkdir(path, dir_fd=at)
            self._inside = self._there.within(self._name)
        except BaseException:
            self._there.close()
            raise

    def merge(self) -> None:
        """Give all of them their names."""
        merge(self._inside, self._there)

    def remove(self) -> None:
        """Take away what is left."""
        self._inside.close()
        remove(*self._there.place(self._name))
        self._there.close()

    def _place(self, name: bytes) -> tuple[bytes, int | None]:
        return self._inside.place(name, make=True)


def merge(source: Below, target: Below, folder: bytes = b"") -> None:
    """Move all that is in ``folder`` of one place to ``folder`` of the other, over what is there."""
    for last in source.names(folder):
        name = folder + b"/" + last if folder else last
        here, at = source.place(name)
        there, there_at = target.place(name)
        if not is_folder(here, at):
            with located(os.fsdecode(os.path.join(target.folder, name))):
                move(here, there, at, there_at)
            continue
        try:
            os.rename(here, there, src_dir_fd=at, dst_dir_fd=there_at)
        except OSError:
            target.enter(name, make=True)
            merge(source, target, name)
