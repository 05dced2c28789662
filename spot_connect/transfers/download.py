"""Files and directories down from an instance."""

from __future__ import annotations

import operator
import os
import posixpath
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from spot_connect.core.downloads import name_of, require_names
from spot_connect.core.errors import SshLost, TransferFailed, UsageError
from spot_connect.core.reporting import Reporter
from spot_connect.ssh.connection import Connection
from spot_connect.ssh.files import from_home
from spot_connect.ssh.trouble import reason
from spot_connect.transfers.collecting import collecting_later
from spot_connect.transfers.comparing import Changes, changes, digest, excess, ready, resolved, tell_unseen, unsettled
from spot_connect.transfers.entries import Entry, left_out, local_entries, local_entry, sifted_tree, written_meanwhile
from spot_connect.transfers.far import NoHelper
from spot_connect.transfers.helper.files import make, move, partial_of, remove, settle
from spot_connect.transfers.helper.frames import STALE
from spot_connect.transfers.plain import PlainReceiving
from spot_connect.transfers.receiving import Receiving
from spot_connect.transfers.work import Advance, Item, Replaced, label

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A tree on the instance, and the place for it here."""

    remote: bytes
    local: Path
    entries: Mapping[bytes, Entry]
    changes: Changes

    def items(self, entries: Iterable[Entry]) -> list[Item]:
        # Plain text, not paths: there may be hundreds of thousands.
        here, there = f"{self.local}{os.sep}", self.remote + b"/"
        return [
            Item(here + os.fsdecode(entry.name), there + entry.name, entry)
            if entry.name
            else Item(str(self.local), self.remote, entry)
            for entry in entries
        ]


def download(
    connection: Connection,
    sources: Sequence[str],
    destinations: Path | Sequence[Path],
    *,
    reporter: Reporter,
    delete: bool = False,
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

    Only what has changed comes: files whose size or time differs. Modes, times and links are kept. A file appears
    under its name when it is complete; a transfer that broke goes on where it was.

    Raises:
        UsageError: as many destinations as sources are needed, and were not given; or with ``delete`` a
            source that has no name of its own, as ``.``.
        TransferFailed: a source is missing (nothing was written then), unreadable, or there is no room for it.
        SshLost: the line broke.

    Example:
        >>> download(connection, ["efs/model.h5"], Path("results"), reporter=Silent())  # doctest: +SKIP
        (PosixPath('results/model.h5'),)
    """
    if delete:
        require_names(sources)
    targets = _targets(sources, destinations)
    paths = [posixpath.normpath(from_home(source)) for source in sources]
    with connection.transfers:
        try:
            _receive_until_unchanged(connection, paths, targets, reporter, delete=delete)
        except OSError as error:
            raise _refusal(sources, targets, error) from error
    return tuple(targets)


def _receive_until_unchanged(
    connection: Connection, paths: Sequence[bytes], targets: Sequence[Path], reporter: Reporter, *, delete: bool
) -> None:
    """As a program that still works there may put a new file in the place of one that is on its way."""
    for _ in range(_ATTEMPTS - 1):
        try:
            _receive_changes(connection, paths, targets, reporter, delete=delete)
        except Replaced as error:
            reporter.note(f"{os.fsdecode(error.filename)}: {error.strerror}; downloading what is there now")
        else:
            return
    _receive_changes(connection, paths, targets, reporter, delete=delete)


def _receive_changes(
    connection: Connection, paths: Sequence[bytes], targets: Sequence[Path], reporter: Reporter, *, delete: bool
) -> None:
    side = _begin(connection, paths)
    try:
        found = [_wanted(*each, reporter) for each in zip(paths, targets, side.trees, strict=True)]
        trees = [_resolved(side, tree) for tree in found]
        _receive(side, trees, reporter)
        gone: list[str] = []
        for tree in trees:
            removed = _removed(tree) if delete else []
            _settle(tree, removed)
            gone += [str(tree.local / os.fsdecode(name)) for name in removed]
        tell_unseen(reporter, [str(tree.local) for tree in trees], [tree.changes for tree in trees], gone)
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
    same = map(operator.eq, digests, (digest(item.local) for item in items))
    return replace(tree, changes=resolved(tree.changes, same))


def _wanted(path: bytes, target: Path, tree: Mapping[bytes, Entry], reporter: Reporter) -> _Wanted:
    if not tree:
        advice = "Check the path; relative paths start in the home directory. Nothing was written."
        raise TransferFailed(f"cannot download {os.fsdecode(path)}", "the instance has no such file", advice)
    odd = [name for name, entry in tree.items() if entry.kind == "?"]
    if b"" in odd:
        what = f"cannot download {os.fsdecode(path)}"
        raise TransferFailed(what, "it is neither a file nor a directory", "Nothing was written.")
    if odd:
        reporter.warn(left_out([posixpath.join(os.fsdecode(path), os.fsdecode(name)) for name in odd]))
        tree = {name: entry for name, entry in tree.items() if entry.kind != "?"}
    there = _local(target, tree) if os.path.lexists(target) else {}
    for name, entry in there.items():
        # Through such a link a server that is not what it seems could write anywhere on this machine.
        if name and entry.kind == "l" and tree[name].kind == "d":
            said = f"{target / os.fsdecode(name)} is a link here and a directory there"
            raise TransferFailed(f"cannot download {os.fsdecode(path)}", said, "Remove the link.")
    return _Wanted(path, target, tree, changes(tree.values(), there))


def _local(target: Path, tree: Mapping[bytes, Entry]) -> dict[bytes, Entry]:
    found = ((name, local_entry(name, str(target / os.fsdecode(name)))) for name in tree)
    return {name: entry for name, entry in found if entry}


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
    target = os.fsencode(item.local)
    make(os.path.dirname(target))
    beside = partial_of(target, item.token)
    os.symlink(item.entry.link, beside)
    if os.utime in os.supports_follow_symlinks:
        os.utime(beside, ns=(item.entry.time, item.entry.time), follow_symlinks=False)
    move(beside, target)


def _removed(tree: _Wanted) -> list[bytes]:
    """Remove what is here and not there; its names."""
    if not tree.local.is_dir():
        return []
    # What is left out stays, and so does the directory that it lies in.
    rules = sifted_tree(tree.local, b"").rules
    gone = excess(tree.entries.values(), {entry.name: entry for entry in local_entries(tree.local)}, rules)
    for name in gone:
        remove(os.fsencode(tree.local / os.fsdecode(name)))
    return gone


def _settle(tree: _Wanted, removed: Sequence[bytes]) -> None:
    """Make the directories, and give modes and times to what did not bring them along."""
    todo = (*tree.changes.settle, *unsettled(tree.entries.values(), tree.changes, removed))
    paths = [(os.fsencode(item.local), item.entry) for item in tree.items(todo)]
    for path, entry in paths:
        if entry.kind == "d":
            make(path)
    for path, entry in paths:
        settle(path, ready(entry).mode, entry.time)


def _targets(sources: Sequence[str], destinations: Path | Sequence[Path]) -> list[Path]:
    names = [name_of(source) for source in sources]
    if isinstance(destinations, Path):
        return [destinations / name for name in names]
    if len(destinations) != len(sources):
        raise UsageError(
            f"{len(sources)} files to download but {len(destinations)} places for them",
            advice="Give one folder for all, or one path for each.",
        )
    return [path / name if path.is_dir() else path for path, name in zip(map(Path, destinations), names, strict=True)]


def _refusal(sources: Sequence[str], targets: Sequence[Path], error: OSError) -> TransferFailed:
    places = ", ".join(f"{source} to {target}" for source, target in zip(sources, targets, strict=True))
    said = f"{os.fsdecode(error.filename)}: {reason(error)}" if error.filename else reason(error)
    is_written = error.errno == STALE
    advice = "Wait until nothing writes it." if is_written else "Check the room and the permissions on both machines."
    return TransferFailed(f"cannot download {places}", said, advice)
