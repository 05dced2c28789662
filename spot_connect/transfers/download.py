"""Files and directories down from an instance."""

from __future__ import annotations

import contextlib
import operator
import os
import posixpath
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from spot_connect.core.downloads import name_of, require_names
from spot_connect.core.errors import SshLost, TransferFailed, UsageError
from spot_connect.core.few import few
from spot_connect.core.reporting import Reporter
from spot_connect.core.untrusted import Refused, file_name_part, printable
from spot_connect.ssh.connection import Connection
from spot_connect.ssh.files import from_home
from spot_connect.ssh.trouble import reason
from spot_connect.transfers.collecting import collecting_later
from spot_connect.transfers.comparing import Changes, changes, digest, excess, ready, resolved, tell_unseen, unsettled
from spot_connect.transfers.entries import Entry, left_out, local_entries, local_entry, sifted_tree, written_meanwhile
from spot_connect.transfers.far import NoHelper
from spot_connect.transfers.folders import Below, located, reached
from spot_connect.transfers.helper.files import move, partial_of, remove, settle
from spot_connect.transfers.helper.frames import STALE
from spot_connect.transfers.listed import SEPARATORS, Listed
from spot_connect.transfers.plain import PlainReceiving
from spot_connect.transfers.receiving import Receiving
from spot_connect.transfers.work import Advance, Item, Place, Replaced, label

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A tree on the instance, the place for it here, and what was refused of it."""

    remote: bytes
    place: Place
    entries: Mapping[bytes, Entry]
    changes: Changes
    refused: tuple[str, ...] = ()

    def items(self, entries: Iterable[Entry]) -> list[Item]:
        # Plain text, not paths: there may be hundreds of thousands.
        top = self.place.local
        here, there = f"{top}{os.sep}", self.remote + b"/"
        return [
            Item(here + os.fsdecode(entry.name), there + entry.name, entry, self.place)
            if entry.name
            else Item(top, self.remote, entry, self.place)
            for entry in entries
        ]


def download(
    connection: Connection,
    sources: Sequence[str],
    destinations: Path | Sequence[Path],
    *,
    reporter: Reporter,
    delete: bool = False,
    subfolders: Sequence[str] = (),
) -> tuple[Path, ...]:
    """Copy remote files and directories to this machine and tell their paths here.

    Args:
        connection: the instance.
        sources: absolute paths, or relative to the home directory, or starting with ``~``.
        destinations: one folder for all, made when it is missing; or a list with one path for each source,
            where a path that is an existing folder means a place inside it.
        reporter: hears of the bytes that move.
        delete: whether to remove from the directories here what is not in those there; what git would leave out of
            them stays.
        subfolders: where ``destinations`` is one folder, one in it for each source, which is made when it is missing.

    Only what has changed comes: files whose size or time differs. Modes, times and links are kept. A file appears
    under its name when it is complete; a transfer that broke goes on where it was.

    The instance is not trusted. What it names comes to lie below the destinations, never through a link there, and
    with no mode bits but those for reading, writing and executing. A name that leads elsewhere is refused: the rest
    arrives, nothing is deleted, and it is an error.

    Raises:
        UsageError: as many destinations as sources are needed, and were not given; or with ``delete`` a
            source that has no name of its own, as ``.``.
        TransferFailed: a source is missing (nothing was written then), unreadable, or there is no room for it; or
            names were refused, which it tells.
        SshLost: the line broke.

    Example:
        >>> download(connection, ["efs/model.h5"], Path("results"), reporter=Silent())  # doctest: +SKIP
        (PosixPath('results/model.h5'),)
    """
    if delete:
        require_names(sources)
    places = _places(sources, destinations, subfolders)
    named = [(source, place) for source, place in zip(sources, places, strict=True) if isinstance(place, Place)]
    refused = [place for place in places if isinstance(place, str)]
    with connection.transfers:
        try:
            refused += _receive_until_unchanged(connection, named, reporter, delete=delete and not refused)
        except OSError as error:
            raise _refusal(named, error) from error
    if refused:
        raise _partial_refusal(sources, refused, delete=delete)
    return tuple(Path(place.local) for _, place in named)


def _receive_until_unchanged(
    connection: Connection, named: Sequence[tuple[str, Place]], reporter: Reporter, *, delete: bool
) -> list[str]:
    """As a program that still works there may put a new file in the place of one that is on its way."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return _receive_changes(connection, named, reporter, delete=delete)
        except Replaced as error:
            name = printable(os.fsdecode(error.filename))
            reporter.note(f"{name}: {error.strerror}; downloading what is there now")
    return _receive_changes(connection, named, reporter, delete=delete)


def _receive_changes(
    connection: Connection, named: Sequence[tuple[str, Place]], reporter: Reporter, *, delete: bool
) -> list[str]:
    """Bring down what has changed; what was refused."""
    paths = [posixpath.normpath(from_home(source)) for source, _ in named]
    if not paths:
        return []
    side = _begin(connection, paths)
    try:
        triples = zip(paths, (place for _, place in named), side.trees, strict=True)
        found = [_wanted(*each, reporter) for each in triples]
        trees = [_resolved(side, tree) for tree in found]
        refused = [why for tree in trees for why in tree.refused]
        _receive(side, trees, reporter)
        gone: list[str] = []
        for tree in trees:
            removed = _removed(tree) if delete and not refused else []
            _settle(tree, removed)
            gone += [os.path.join(tree.place.local, os.fsdecode(name)) for name in removed]
        if not refused:
            tell_unseen(reporter, [tree.place.local for tree in trees], [tree.changes for tree in trees], gone)
        return refused
    finally:
        side.close()


def _begin(connection: Connection, paths: Sequence[bytes]) -> Receiving | PlainReceiving:
    try:
        return Receiving(connection, paths)
    except NoHelper:
        return PlainReceiving(connection, paths)


def _resolved(side: Receiving | PlainReceiving, tree: _Wanted) -> _Wanted:
    if not tree.changes.doubtful:
        return tree
    items = tree.items(tree.changes.doubtful)
    digests = side.digests([item.remote for item in items])
    same = map(operator.eq, digests, map(_digest, items))
    return replace(tree, changes=resolved(tree.changes, same))


def _digest(item: Item) -> bytes:
    with reached(item) as here:
        return digest(*here)


def _wanted(path: bytes, place: Place, tree: Listed, reporter: Reporter) -> _Wanted:
    what = f"cannot download {printable(os.fsdecode(path))}"
    if not tree.entries and not tree.refused:
        advice = "Check the path; relative paths start in the home directory. Nothing was written."
        raise TransferFailed(what, "the instance has no such file", advice)
    odd = [name for name, entry in tree.entries.items() if entry.kind == "?"]
    if b"" in odd:
        raise TransferFailed(what, "it is neither a file nor a directory", "Nothing was written.")
    if odd:
        reporter.warn(left_out([posixpath.join(os.fsdecode(path), os.fsdecode(name)) for name in odd]))
        for name in odd:
            del tree.entries[name]
    if not place.name and tree.entries and tree.entries[b""].kind != "d":
        tree.drop(b"", f"{printable(place.local)} is a directory here and none there")
    try:
        there, shared = _local(place, tree)
    except NotADirectoryError as error:
        if error.filename == os.fsencode(place.folder):
            raise
        there, shared = {}, set()
        tree.drop(b"", f"{printable(os.fsdecode(error.filename))}: {reason(error)}")
    return _Wanted(path, place, tree.entries, _alone(changes(tree.entries.values(), there), shared), (*tree.refused,))


def _alone(change: Changes, shared: Set[bytes]) -> Changes:
    """The same, but that files with ``shared`` contents come anew, as they have other names that are not to change."""
    if not shared:
        return change
    send = [entry for entry in (*change.doubtful, *change.settle) if entry.kind == "f" and entry.name in shared]
    again = {entry.name for entry in send}
    return Changes(
        (*change.send, *send),
        tuple(entry for entry in change.doubtful if entry.name not in again),
        tuple(entry for entry in change.settle if entry.name not in again),
    )


def _local(place: Place, tree: Listed) -> tuple[dict[bytes, Entry], set[bytes]]:
    """What is here of a tree, and which of its files have other names too; what a link is in the way of is dropped."""
    there: dict[bytes, Entry] = {}
    shared: set[bytes] = set()
    links: list[bytes] = []
    missing: set[bytes] = set()
    with Below(place.folder) as below:
        try:
            below.enter(b"")
            below.place(place.name)
        except FileNotFoundError:
            return {}, set()
        for name, entry in tree.entries.items():
            found = None
            if not name or name.rpartition(b"/")[0] not in missing:
                found = local_entry(name, *below.place(place.below(name)))
            if found:
                there[name], names = found
                if names > 1 and entry.kind == "f":
                    shared.add(name)
            if entry.kind == "d" and not (found and there[name].kind == "d"):
                missing.add(name)
                if found and there[name].kind == "l":
                    links.append(name)
    for name in links:
        path = printable(os.fsdecode(os.path.join(os.fsencode(place.local), name) if name else place.local))
        tree.drop(name, f"{path} is a link here and a directory there: remove the link")
    return there, shared


def _receive(side: Receiving | PlainReceiving, trees: Sequence[_Wanted], reporter: Reporter) -> None:
    with collecting_later():
        items = [item for tree in trees for item in tree.items(tree.changes.send)]
    files = [item for item in items if item.entry.kind == "f"]
    if not items:
        return
    with reporter.transfer(label(items), sum(item.entry.size for item in items)) as progress:
        written = _receive_files(side, files, progress.advance) if files else ()
        for item in items:
            if item.entry.kind == "l":
                _link(item)
    if written:
        reporter.warn(written_meanwhile(sorted(item.local for item in written)))


def _receive_files(side: Receiving | PlainReceiving, files: Sequence[Item], advance: Advance) -> Set[Item]:
    try:
        return side.receive(files, advance)
    except SshLost:
        raise
    except BaseException:
        side.discard(files)
        raise


def _link(item: Item) -> None:
    with reached(item, make=True) as (target, at):
        beside = partial_of(target, item.token)
        # A download that was killed may have left it.
        remove(beside, at)
        os.symlink(item.entry.link, beside, dir_fd=at)
        if os.utime in os.supports_follow_symlinks:
            os.utime(beside, ns=(item.entry.time, item.entry.time), dir_fd=at, follow_symlinks=False)
        move(beside, target, at)


def _removed(tree: _Wanted) -> list[bytes]:
    """Remove what is here and not there; its names."""
    local = Path(tree.place.local)
    if not local.is_dir():
        return []
    # What is left out stays, and so does the directory that it lies in.
    rules = sifted_tree(local, b"").rules
    gone = excess(tree.entries.values(), {entry.name: entry for entry in local_entries(local)}, rules)
    with Below(tree.place.folder) as below:
        for name in gone:
            with contextlib.suppress(FileNotFoundError), located(os.path.join(local, os.fsdecode(name))):
                remove(*below.place(tree.place.below(name)))
    return gone


def _settle(tree: _Wanted, removed: Sequence[bytes]) -> None:
    """Make the directories, and give modes and times to what did not bring them along."""
    todo = (*tree.changes.settle, *unsettled(tree.entries.values(), tree.changes, removed))
    items = tree.items(todo)
    with Below(tree.place.folder) as below:
        for item in items:
            if item.entry.kind == "d":
                below.enter(item.name, make=True)
        for item in items:
            with located(item.local):
                path, at = below.place(item.name)
                settle(path, ready(item.entry).mode, item.entry.time, at)


def _places(
    sources: Sequence[str], destinations: Path | Sequence[Path], subfolders: Sequence[str]
) -> list[Place | str]:
    """Where each source is to lie here, or why it is refused."""
    if isinstance(destinations, Path):
        above = [f"{folder}/" for folder in subfolders] or [""] * len(sources)
        return [_named(destinations, start, source) for start, source in zip(above, sources, strict=True)]
    if len(destinations) != len(sources):
        raise UsageError(
            f"{len(sources)} files to download but {len(destinations)} places for them",
            advice="Give one folder for all, or one path for each.",
        )
    return [_place(Path(path), source) for path, source in zip(destinations, sources, strict=True)]


def _place(path: Path, source: str) -> Place | str:
    if path.is_dir() or path.name in ("", ".."):
        return _named(path, "", source)
    return Place(str(path.parent), os.fsencode(path.name))


def _named(folder: Path, start: str, source: str) -> Place | str:
    # The name of a job's result comes from the instance, as all else does.
    try:
        name = os.fsencode(name_of(source))
        last = file_name_part(name, SEPARATORS) if name else b""
    except Refused as error:
        return str(error)
    except UnicodeEncodeError:
        return f"the name {printable(source)!r} is no text"
    return Place(str(folder), (os.fsencode(start) + last).rstrip(b"/"))


def _partial_refusal(sources: Sequence[str], refused: Sequence[str], *, delete: bool) -> TransferFailed:
    what = f"cannot download all of {few([*map(printable, sources)])}"
    advice = "Nothing was written for these; all else has arrived."
    return TransferFailed(what, few(refused, between="; "), f"{advice} Nothing was deleted." if delete else advice)


def _refusal(named: Sequence[tuple[str, Place]], error: OSError) -> TransferFailed:
    places = ", ".join(f"{printable(source)} to {printable(place.local)}" for source, place in named)
    said = f"{printable(os.fsdecode(error.filename))}: {reason(error)}" if error.filename else reason(error)
    is_written = error.errno == STALE
    advice = "Wait until nothing writes it." if is_written else "Check the room and the permissions on both machines."
    return TransferFailed(f"cannot download {places}", said, advice)
