"""What has changed between two trees."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from spot_connect.core.few import few
from spot_connect.core.reporting import Reporter
from spot_connect.core.untrusted import printable
from spot_connect.transfers.collecting import collecting_later
from spot_connect.transfers.entries import Entry
from spot_connect.transfers.helper.files import CAREFULLY
from spot_connect.transfers.ignoring import Rules, left_out

_BINARY = getattr(os, "O_BINARY", 0)
_SECOND = 1_000_000_000
_PIECE = 1024 * 1024
_WORTH_A_LOOK = 1024 * 1024
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be done so that the other tree has the same.

    ``send`` are files and links whose content is missing, ``doubtful`` are files of the right length but another
    time, whose contents are worth comparing; ``settle`` are directories and files whose mode or time is to be set.
    """

    send: tuple[Entry, ...]
    doubtful: tuple[Entry, ...]
    settle: tuple[Entry, ...]


@collecting_later()
def changes(wanted: Iterable[Entry], there: Mapping[bytes, Entry]) -> Changes:
    """What has to be done for the entries ``wanted``, where ``there`` is.

    Example:
        >>> entry = Entry(b"x", "f", 0o644, 5, 0, b"")
        >>> changes([entry], {b"x": entry}).send
        ()
    """
    send: list[Entry] = []
    doubtful: list[Entry] = []
    settle: list[Entry] = []
    for entry in wanted:
        other = there.get(entry.name)
        if entry.kind == "d":
            settle += [] if other and _is_settled(entry, other) else [entry]
        elif not other or not _has_content(entry, other):
            is_doubtful = other and entry.kind == other.kind == "f" and _WORTH_A_LOOK <= entry.size == other.size
            (doubtful if is_doubtful else send).append(entry)
        elif entry.kind == "f" and entry.mode != other.mode:
            settle.append(entry)
    return Changes(tuple(send), tuple(doubtful), tuple(settle))


def excess(wanted: Iterable[Entry], there: Mapping[bytes, Entry], rules: Mapping[bytes, Rules]) -> list[bytes]:
    """What is there and not wanted, a directory before what is in it.

    What the rules leave out is never among it, nor is a directory with something of the kind.
    """
    spared = left_out({name: entry.kind == "d" for name, entry in there.items()}, rules)
    kept = {entry.name for entry in wanted} | spared
    for name in spared:
        while name := name.rpartition(b"/")[0]:
            kept.add(name)
    return [name for name in there if name not in kept]


def unsettled(tree: Iterable[Entry], change: Changes, removed: Iterable[bytes] = ()) -> list[Entry]:
    """The directories whose time is lost because something in them was replaced or removed."""
    known = set(change.settle)
    above = {name.rpartition(b"/")[0] for name in (*(entry.name for entry in change.send), *removed)}
    return [entry for entry in tree if entry.kind == "d" and entry.name in above and entry not in known]


def resolved(change: Changes, same: Iterable[bool]) -> Changes:
    """The changes, now that it is known which of the doubtful files have the same contents."""
    pairs = list(zip(change.doubtful, same, strict=True))
    send = (*change.send, *(entry for entry, equal in pairs if not equal))
    return Changes(send, (), (*change.settle, *(entry for entry, equal in pairs if equal)))


def tell_unseen(reporter: Reporter, tops: Sequence[str], found: Iterable[Changes], removed: Sequence[str]) -> None:
    """Tell of the trees ``tops`` what no progress bar has shown: what was removed, or that nothing had to be done."""
    if removed:
        reporter.note(f"removed {few([*map(printable, removed)], _NAMED)}")
    elif not any(change.send for change in found):
        reporter.note(f"{few([*map(printable, tops)], _NAMED)}: up to date")


def digest(path: str | bytes, at: int | None = None) -> bytes:
    """SHA-256 of a file on this machine, in hexadecimal digits; empty when it cannot be read.

    With ``at``, a ``dir_fd``, it is read only where it is a file and no link.
    """
    total = hashlib.sha256()
    try:
        number = os.open(path, os.O_RDONLY | (_BINARY if at is None else CAREFULLY), dir_fd=at)
        with open(number, "rb", buffering=0) as file:
            while piece := file.read(_PIECE):
                total.update(piece)
    except OSError:
        return b""
    return total.hexdigest().encode()


def ready(entry: Entry) -> Entry:
    """The entry as it is to be: the owner of a directory must be able to fill it, whatever its mode."""
    return entry._replace(mode=entry.mode | 0o700) if entry.kind == "d" else entry


def _is_settled(entry: Entry, other: Entry) -> bool:
    return other.kind == "d" and other.mode in (entry.mode, entry.mode | 0o700) and _same_time(entry.time, other.time)


def _has_content(entry: Entry, other: Entry) -> bool:
    if entry.kind != other.kind or entry.size != other.size:
        return False
    return entry.link == other.link if entry.kind == "l" else _same_time(entry.time, other.time)


def _same_time(one: int, other: int) -> bool:
    # Where only seconds were kept, only seconds can be compared.
    if one % _SECOND and other % _SECOND:
        return one == other
    return one // _SECOND == other // _SECOND
