"""Files on this computer that a user has named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spot_connect.core.errors import UsageError

Paths = str | Path | Sequence[str | Path]


def as_paths(paths: Paths) -> list[str | Path]:
    """One path or several, as a list."""
    return [paths] if isinstance(paths, str | Path) else list(paths)


def existing(paths: Paths) -> tuple[Path, ...]:
    """The paths, all of which exist on this computer.

    Raises:
        UsageError: one does not.
    """
    found = tuple(Path(path).expanduser() for path in as_paths(paths))
    for path in found:
        if not path.exists():
            raise UsageError(f"cannot read {path}", "no such file or directory", "Nothing was sent.")
    return found


def existing_files(paths: Paths) -> tuple[Path, ...]:
    """The paths, all of which can be read on this computer: files, or pipes such as bash's ``<(...)``.

    Raises:
        UsageError: one is missing or a directory.
    """
    found = existing(paths)
    for path in found:
        if not (path.is_file() or path.is_fifo()):
            raise UsageError(f"cannot run {path}", "it is not a file", "Nothing was sent.")
    return found
