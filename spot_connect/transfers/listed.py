"""What an instance lists of its files: each name is checked here, as it becomes known, whichever way it came.

An instance is not trusted. A name that leads elsewhere is refused and the others are kept; a listing that cannot be
read at all is an error.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from spot_connect.core.untrusted import Refused, file_name_part, printable
from spot_connect.ssh.files import MOST_NAMES
from spot_connect.ssh.trouble import nonsense
from spot_connect.transfers.collecting import collecting_later
from spot_connect.transfers.entries import Entry
from spot_connect.transfers.helper.files import MARK

_POSIX = os.name == "posix"
SEPARATORS = b"/" if _POSIX else b"/\\:"
"""A colon begins a drive or a second stream of a file on Windows."""
_MODE = 0o777
_LONGEST_PATH = 4096
"""PATH_MAX of Linux: no link leads further, and no listing reaches deeper."""
_DEEPEST = 128
_MOST_REFUSALS = 1000
_LONGEST_FIELD = 64 * 1024
_END_OF_SIZES = 1 << 63
_END_OF_TIMES = 1 << 70
_KINDS = {b"f": "f", b"d": "d", b"l": "l", b"?": "?"}


class Listed:
    """One tree as an instance lists it, without what was refused.

    Attributes:
        entries: by name, which is empty for the top. Each but the top lies in a directory that is among them.
        refused: what was refused, and why, fit to show; not what lies in a refused directory.
    """

    def __init__(self) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.refused: list[str] = []
        self._out: set[bytes] = set()
        self._left = MOST_NAMES

    def add_top(self, kind: str, mode: int, size: int, time: int) -> None:
        """Take up the top of the tree, before all else.

        Raises:
            TransferFailed: its numbers are none that a file can have.
        """
        if kind == "l":
            # Both ways to list follow a link at the top, so there is none.
            self._refuse("the instance lists a link that it was asked to follow")
            self._out.add(b"")
            return
        self.entries[b""] = _entry(b"", kind, mode, size, time, b"")

    def add(self, folder: bytes, name: bytes, kind: str, mode: int, size: int, time: int, link: bytes = b"") -> bool:
        """Take up what is called ``name`` in ``folder``; whether that was done.

        Raises:
            TransferFailed: its numbers are none that a file can have, or there are too many names.
        """
        self.count()
        path = folder + b"/" + name if folder else name
        if folder in self._out:
            if kind == "d":
                self._out.add(path)
            return False
        try:
            self._check(folder, name, path, link if kind == "l" else None)
        except Refused as error:
            self._refuse(f"{error} in {_shown(folder)}" if folder else str(error))
            if kind == "d" and path not in self.entries:
                self._out.add(path)
            return False
        self.entries[path] = _entry(path, kind, mode, size, time, link)
        return True

    def count(self) -> None:
        """Count one more name that the instance has told, whatever becomes of it.

        Raises:
            TransferFailed: there are too many.
        """
        self._left -= 1
        if self._left < 0:
            raise nonsense(f"it lists more than {MOST_NAMES:,} names")

    def drop(self, path: bytes, why: str) -> None:
        """Refuse what was taken up as ``path`` after all, and what lies below it."""
        self._refuse(why)
        below = path + b"/"
        self.entries = {
            name: entry for name, entry in self.entries.items() if path and name != path and not name.startswith(below)
        }

    def refuse_directory(self, path: bytes) -> None:
        """Refuse a directory that does not lie in this tree."""
        self.count()
        self._refuse(f"the directory {_shown(path)} is listed in a tree that it is not in")

    def _refuse(self, why: str) -> None:
        if len(self.refused) < _MOST_REFUSALS:
            self.refused.append(why)

    def _check(self, folder: bytes, name: bytes, path: bytes, link: bytes | None) -> None:
        file_name_part(name, SEPARATORS)
        if not _POSIX:
            _require_unicode(name)
        if name.startswith(MARK):
            raise Refused(f"the name {_shown(name)} is one of unfinished transfers")
        parent = self.entries.get(folder)
        if not parent or parent.kind != "d":
            raise Refused(f"the name {_shown(name)} is listed in what is no directory")
        if path in self.entries:
            raise Refused(f"the name {_shown(name)} is listed twice")
        if len(path) > _LONGEST_PATH or path.count(b"/") >= _DEEPEST:
            raise Refused(f"the name {_shown(name)} lies too deep")
        if link is not None and not (0 < len(link) <= _LONGEST_PATH and b"\0" not in link):
            raise Refused(f"the link {_shown(name)} leads to what is no path")


@collecting_later()
def parsed(listing: Iterable[bytes], names: Sequence[bytes]) -> tuple[bytes, list[Listed]]:
    """What the helper tells: the directory that it was in, and the trees at ``names``.

    The listing may come in pieces, cut anywhere. A tree is empty where nothing is.

    Raises:
        TransferFailed: it is no such listing.
    """
    fields = _fields(listing)
    where = next(fields, None)
    if where is None:
        raise nonsense("its listing is empty")
    trees = [_parsed_tree(name, fields) for name in names]
    # What follows the last tree is the listing's end, which may come in a piece of its own.
    if next(fields, None) is not None:
        raise nonsense("its listing goes on after the end")
    return where, trees


def _fields(listing: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in listing:
        *whole, rest = (rest + piece).split(b"\0")
        yield from whole
        if len(rest) > _LONGEST_FIELD:
            raise nonsense("a name in its listing does not end")
    if rest:
        raise nonsense("its listing ends within a name")


def _parsed_tree(top: bytes, fields: Iterator[bytes]) -> Listed:
    tree = Listed()
    start = top if top.endswith(b"/") else top + b"/"
    folder: bytes | None = None
    is_first = True
    # Always three fields at a time: the shortest way through hundreds of thousands.
    for head, name, link in zip(fields, fields, fields, strict=False):
        letter = head[:1]
        if letter == b"." or (letter == b"-" and is_first):
            return tree
        kind, mode, size, time = _about(head)
        if is_first:
            is_first = False
            if kind != "d" or name == top:
                tree.add_top(kind, mode, size, time)
                folder = b"" if kind == "d" else None
                continue
        if kind != "d":
            if folder is None:
                tree.count()
            else:
                tree.add(folder, name, kind, mode, size, time, link)
        elif name.startswith(start) and not name.startswith(b"/", len(start)):
            above, _, last = name[len(start) :].rpartition(b"/")
            folder = name[len(start) :] if tree.add(above, last, kind, mode, size, time) else None
        else:
            folder = None
            tree.refuse_directory(name)
    raise nonsense("its listing ends early")


def _about(head: bytes) -> tuple[str, int, int, int]:
    """Kind, mode, size and time of what a record is of."""
    try:
        mode, size, time = map(int, head[1:].split())
        return _KINDS[head[:1]], mode, size, time
    except (ValueError, KeyError):
        raise nonsense(f"its listing has {_shown(head)} in the place of kind, mode, size and time") from None


def _entry(path: bytes, kind: str, mode: int, size: int, time: int, link: bytes) -> Entry:
    if mode < 0 or not 0 <= size < _END_OF_SIZES or not -_END_OF_TIMES < time < _END_OF_TIMES:
        raise nonsense(f"{_shown(path)} has mode {mode:o}, size {size} and time {time}")
    return Entry(path, kind, mode & _MODE, size if kind == "f" else 0, time, link if kind == "l" else b"")


def _require_unicode(name: bytes) -> None:
    try:
        name.decode()
    except UnicodeDecodeError:
        raise Refused(f"the name {_shown(name)} is not UTF-8") from None


def _shown(name: bytes) -> str:
    return repr(printable(name[:100].decode("utf-8", "surrogateescape"))).replace("\\\\", "\\")
