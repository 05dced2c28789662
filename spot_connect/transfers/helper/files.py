"""What is done with files on either side."""

from __future__ import annotations

import os
import stat

PIECE = 256 * 1024
MARK = b".spot-connect-"


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
    """Remove whatever is at ``path``, if anything is; somebody else may be about it, too."""
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            for name in os.listdir(path):
                remove(os.path.join(path, name))
            os.rmdir(path)
        else:
            os.unlink(path)
    except FileNotFoundError:
        pass


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
