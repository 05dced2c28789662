"""Files that are whole or absent, also on a network file system and after a crash."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Mapping  # noqa: UP035 - what it is subscripted for below, Python 3.7 does at the import

Record = Mapping[str, Any]


def write(path: Path, record: Record) -> None:
    """Replace ``path`` by ``record`` as JSON, on the disk when this returns."""
    temporary = _written(path, record)
    temporary.replace(path)
    _sync(path.parent)


def write_first(path: Path, record: Record) -> bool:
    """Write ``path`` unless it exists; ``False`` when somebody was first. Holds between machines (link(2))."""
    temporary = _written(path, record)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    _sync(path.parent)
    return True


def read(path: Path) -> dict[str, Any] | None:
    """The record in ``path``; ``None`` when there is none, or none that is whole."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _written(path: Path, record: Record) -> Path:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(record, file)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    return temporary


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
