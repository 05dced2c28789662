"""What is done with files on either side.

With ``at``, the descriptor of a directory, a path is the name of what lies in it, and no link there is followed: that
is how this side reaches what an instance has named. On the instance paths are its own, and links on them are followed.
"""

from __future__ import annotations

import os
import stat

PIECE = 256 * 1024
MARK = b".spot-connect-"

CAREFULLY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Opens what is a file: no link, and no pipe that somebody would have to be waited for."""
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_IN_PLACE = getattr(os, "O_PATH", 0)


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


def move(here: bytes, there: bytes, at: int | None = None, there_at: int | None = None) -> None:
    """Give a file or link its true name, at once for whoever looks; ``there_at`` is another directory than ``at``."""
    target = at if there_at is None else there_at
    try:
        os.replace(here, there, src_dir_fd=at, dst_dir_fd=target)
    except OSError as error:
        if is_folder(there, target):
            raise IsADirectoryError(21, "there is a directory of that name", there) from error
        if error.errno != 18:  # EXDEV: another file system is mounted below the directory
            raise
        beside = os.path.join(os.path.dirname(there), MARK + os.urandom(6).hex().encode() + b".part")
        _copy(here, beside, at, target)
        os.replace(beside, there, src_dir_fd=target, dst_dir_fd=target)
        os.unlink(here, dir_fd=at)


def _copy(here: bytes, there: bytes, at: int | None, there_at: int | None) -> None:
    found = os.lstat(here, dir_fd=at)
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(here, dir_fd=at), there, dir_fd=there_at)
    else:
        import shutil

        read = os.open(here, os.O_RDONLY | CAREFULLY, dir_fd=at)
        with open(read, "rb") as source, open(os.open(there, _NEW, 0o600, dir_fd=there_at), "wb") as target:
            shutil.copyfileobj(source, target)
        _set_mode(there, stat.S_IMODE(found.st_mode), there_at)
    if os.utime in os.supports_follow_symlinks:
        times = (found.st_atime_ns, found.st_mtime_ns)
        os.utime(there, ns=times, dir_fd=there_at, follow_symlinks=False)


def is_folder(path: bytes, at: int | None = None) -> bool:
    """Whether there is a directory, and no link to one."""
    try:
        return stat.S_ISDIR(os.lstat(path, dir_fd=at).st_mode)
    except OSError:
        return False


def is_taken(path: bytes, at: int | None = None) -> bool:
    """Whether anything is there."""
    try:
        os.lstat(path, dir_fd=at)
    except OSError:
        return False
    return True


def names_in(folder: bytes, at: int | None = None) -> list[bytes]:
    """What a directory holds."""
    if at is None:
        return os.listdir(folder)
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | CAREFULLY, dir_fd=at)
    try:
        return [os.fsencode(name) for name in os.listdir(number)]
    finally:
        os.close(number)


def remove(path: bytes, at: int | None = None) -> None:
    """Remove whatever is at ``path``, if anything is; somebody else may be about it, too."""
    try:
        if is_folder(path, at):
            _empty(path, at)
            os.rmdir(path, dir_fd=at)
        else:
            os.unlink(path, dir_fd=at)
    except FileNotFoundError:
        pass


def _empty(folder: bytes, at: int | None) -> None:
    if at is None:
        for name in names_in(folder):
            remove(os.path.join(folder, name))
        return
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | CAREFULLY, dir_fd=at)
    try:
        for name in names_in(b".", number):
            remove(name, number)
    finally:
        os.close(number)


def make(folder: bytes) -> None:
    """Make a directory, where there is none; empty is where we are."""
    try:
        os.makedirs(folder or b".", exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise NotADirectoryError(20, "there is a file of that name", folder) from error


def settle(path: bytes, mode: int, time: int, at: int | None = None) -> None:
    """Give a file or directory its mode and its time."""
    is_own = at is None
    if stat.S_IMODE(os.stat(path, dir_fd=at, follow_symlinks=is_own).st_mode) != mode:
        _set_mode(path, mode, at)
    os.utime(path, ns=(time, time), dir_fd=at, follow_symlinks=is_own)


def _set_mode(path: bytes, mode: int, at: int | None) -> None:
    if at is None:
        os.chmod(path, mode)
        return
    try:
        number = os.open(path, os.O_RDONLY | CAREFULLY, dir_fd=at)
    except PermissionError:
        if _IN_PLACE:
            _set_mode_unread(path, mode, at)
        else:
            os.chmod(path, mode, dir_fd=at, follow_symlinks=False)
        return
    try:
        os.fchmod(number, mode)
    finally:
        os.close(number)


def _set_mode_unread(path: bytes, mode: int, at: int) -> None:
    """Set the mode of a file that may not be read: Linux has no call for that which would not follow links."""
    number = os.open(path, _IN_PLACE | os.O_NOFOLLOW, dir_fd=at)
    try:
        # To change the mode of a link that is reached like that is refused.
        os.chmod(f"/proc/self/fd/{number}", mode)
    finally:
        os.close(number)


def partial_of(target: bytes, token: bytes) -> bytes:
    """Where the file ``target`` is put together; ``token`` tells apart what is being put there."""
    return os.path.join(os.path.dirname(target), MARK + token + b".part")
