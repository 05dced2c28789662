"""What is in a tree of files, wherever it lies."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from spot_connect.core.errors import UsageError
from spot_connect.core.few import few
from spot_connect.core.untrusted import printable
from spot_connect.ssh.trouble import reason
from spot_connect.transfers.collecting import collecting_later
from spot_connect.transfers.helper.files import MARK
from spot_connect.transfers.ignoring import Rules, above

_MODE = 0o777
_POSIX = os.name == "posix"
_NAMED = 3


class Entry(NamedTuple):
    """One file (``f``), directory (``d``), link (``l``) or something else (``?``).

    A tuple, because there may be hundreds of thousands.
    ``name`` is relative to the tree and empty for its top; ``time`` is that of the last change, in nanoseconds.
    """

    name: bytes
    kind: str
    mode: int
    size: int
    time: int
    link: bytes


@dataclass(frozen=True, slots=True)
class Tree:
    """A file or directory on this machine, and all that is in it.

    ``top`` is its name at the other end; ``rules`` tell for each directory what is left out of it. ``odd`` are pipes,
    sockets and devices, which never move.
    """

    path: Path
    top: bytes
    entries: tuple[Entry, ...]
    rules: Mapping[bytes, Rules] = field(default_factory=dict)
    odd: tuple[str, ...] = ()

    def local(self, entry: Entry) -> str:
        """Where an entry lies on this machine."""
        return f"{self.path}{os.sep}{os.fsdecode(entry.name)}" if entry.name else str(self.path)

    def remote(self, entry: Entry) -> bytes:
        """What an entry is called at the other end."""
        return self.top + b"/" + entry.name if entry.name else self.top


def local_trees(sources: Sequence[Path]) -> list[Tree]:
    """The trees at ``sources``; a source that is a link is followed, links inside are kept.

    Raises:
        UsageError: a source is missing, broken or no file, or two have one name.
    """
    return [_tree(source, top) for source, top in zip(sources, tops(sources), strict=True)]


def tops(sources: Sequence[Path]) -> list[bytes]:
    """What the sources are called at the other end.

    Raises:
        UsageError: two have one name.
    """
    names = [_name(source) for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two of the files to upload are called {name}", advice="Upload them one at a time.")
    return [os.fsencode(name) for name in names]


def sifted_tree(path: Path, top: bytes) -> Tree:
    """The directory at ``path`` without what git, or ``.spotignore``, leaves out.

    Raises:
        UsageError: it is missing, or cannot be read.
    """
    return _tree(path, top, above(path))


def left_out(odd: Sequence[str]) -> str:
    """What to say of pipes, sockets and devices that do not move.

    Example:
        >>> left_out(["a", "b", "c", "d"])
        'left out, since it is neither a file nor a directory: a, b, c and 1 more'
    """
    return f"left out, since it is neither a file nor a directory: {few(odd, _NAMED)}"


def written_meanwhile(paths: Sequence[str]) -> str:
    """What to say of files that a program has written while they moved.

    Example:
        >>> written_meanwhile(["model.pt"])
        'written while it moved, so that the copy may be part old, part new (do it again): model.pt'
    """
    named = few([*map(printable, paths)], _NAMED)
    return f"written while it moved, so that the copy may be part old, part new (do it again): {named}"


@collecting_later()
def _tree(path: Path, top: bytes, holding: Rules | None = None) -> Tree:
    rules: dict[bytes, Rules] = {}
    odd: list[str] = []
    entries = tuple(local_entries(path, holding, rules, odd))
    return Tree(path, top, entries, rules, tuple(odd))


def local_entries(
    path: Path,
    holding: Rules | None = None,
    rules: dict[bytes, Rules] | None = None,
    odd: list[str] | None = None,
) -> Iterator[Entry]:
    """What is at ``path`` and below it, parents first, but for pipes, sockets and devices.

    Args:
        path: a file or directory.
        holding: rules that hold there, if any do.
        rules: takes up those of each directory.
        odd: takes up the paths of pipes, sockets and devices.

    Raises:
        UsageError: it is missing, or neither file nor directory itself.
    """
    top = _entry(b"", _look(path), path)
    if top.kind == "?":
        raise UsageError(f"cannot upload {path}", "it is neither a file nor a directory")
    yield top
    waiting = [(os.fsencode(path), b"", holding)] if top.kind == "d" else []
    while waiting:
        folder, name, above_it = waiting.pop()
        inside = above_it.below(Path(os.fsdecode(folder)), name) if above_it else None
        if rules is not None and inside:
            rules[name] = inside
        prefix = name + b"/" if name else b""
        for one in _scan(folder):
            below = prefix + one.name
            if one.name.startswith(MARK) or (inside and inside.leave_out(below, is_directory=_is_dir(one))):
                continue
            entry = _entry(below, one.stat(follow_symlinks=False), one.path)
            if entry.kind != "?":
                yield entry
            elif odd is not None:
                odd.append(os.fsdecode(one.path))
            if entry.kind == "d":
                waiting.append((one.path, below, inside))


def local_entry(name: bytes, path: str | bytes, at: int | None = None) -> tuple[Entry, int] | None:
    """What is at ``path``, under that name, and how many names it has on this machine; ``at`` is a ``dir_fd``.

    Nothing when there is no such thing, or none that is ever moved.
    """
    with contextlib.suppress(OSError):
        found = os.lstat(path, dir_fd=at)
        entry = _entry(name, found, path, at)
        return (entry, found.st_nlink) if entry.kind != "?" else None
    return None


def _name(source: Path) -> str:
    # "." and ".." have a name only once they are resolved; a link keeps its own.
    name = source.name if source.name not in ("", "..") else source.resolve().name
    return name or "root"


def _look(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        said = "it is a link that leads nowhere" if path.is_symlink() else reason(error)
        raise UsageError(f"cannot upload {path}", said, "Check the path; nothing was copied.") from error


def _is_dir(one: os.DirEntry[bytes]) -> bool:
    return one.is_dir(follow_symlinks=False)


def _scan(folder: bytes) -> list[os.DirEntry[bytes]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=attrgetter("name"))
    except OSError as error:
        raise UsageError(f"cannot read the directory {os.fsdecode(folder)}", reason(error)) from error


def _entry(name: bytes, info: os.stat_result, path: bytes | str | Path, at: int | None = None) -> Entry:
    mode = info.st_mode
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFREG:
        return Entry(name, "f", mode & _MODE if _POSIX else 0o644, info.st_size, info.st_mtime_ns, b"")
    if kind == stat.S_IFDIR:
        return Entry(name, "d", mode & _MODE if _POSIX else 0o755, 0, info.st_mtime_ns, b"")
    if kind == stat.S_IFLNK:
        return Entry(name, "l", _MODE, 0, info.st_mtime_ns, os.readlink(os.fsencode(path), dir_fd=at))
    return Entry(name, "?", 0, 0, 0, b"")
