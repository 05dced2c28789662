"""How directories of ours are, without making, mending or changing any of them."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from spot_connect.core.errors import StateError
from spot_connect.store import private
from spot_connect.store.state import is_private, told


@dataclass(frozen=True, slots=True)
class Place:
    """A directory as it was found.

    ``trouble`` is why it cannot be used, or ``None``; ``open_to_others`` are the files and directories in it, or it
    itself, that others can read or enter and should not.
    """

    path: Path
    exists: bool
    trouble: StateError | None = None
    mode: int = 0
    files: tuple[Path, ...] = ()
    open_to_others: tuple[Path, ...] = ()


def look_at(path: Path, pattern: str, *, is_ours: bool) -> Place:
    """How the directory is, and which of its files (those that ``pattern`` names) others can read.

    Args:
        path: the directory; it may be missing.
        pattern: of its files that are secret.
        is_ours: others may not even enter it; else it may be open to whomever its user likes.
    """
    try:
        private.check(str(path))
        with told("look into", path):
            return _looked_at(path, pattern, is_ours=is_ours)
    except StateError as error:
        return Place(path, os.path.lexists(path), error, _mode(path))


def _looked_at(path: Path, pattern: str, *, is_ours: bool) -> Place:
    if not path.exists():
        return Place(path, exists=False, trouble=_unmakeable(path))
    if not path.is_dir():
        raise StateError(f"cannot use {path}", "it is no directory", "Move it away.")
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        said = f"you may not read and write it (mode {_mode(path):04o})"
        raise StateError(f"cannot use {path}", said, f"Run: chmod u+rwx '{path}'")
    files = tuple(sorted(path.glob(pattern)))
    opened = [one for one in files if one.is_file() and not is_private(one)]
    if is_ours and sys.platform != "win32" and _mode(path) & 0o077:
        opened.insert(0, path)
    return Place(path, exists=True, mode=_mode(path), files=files, open_to_others=tuple(opened))


def _unmakeable(path: Path) -> StateError | None:
    """Why the directory cannot be made, if it cannot."""
    above = next(one for one in path.parents if os.path.lexists(one))
    if not above.is_dir():
        return StateError(f"cannot make {path}", f"{above} is no directory", "Move it away.")
    if not os.access(above, os.W_OK | os.X_OK):
        return StateError(f"cannot make {path}", f"you may not write to {above}", "Choose another directory.")
    return None


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0
