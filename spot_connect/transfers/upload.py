"""Files and directories up to an instance."""

from __future__ import annotations

import errno
import operator
import os
import posixpath
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from spot_connect.core.errors import SshLost, TransferFailed, UsageError
from spot_connect.core.few import few
from spot_connect.core.reporting import Reporter, Share
from spot_connect.core.side_by_side import side_by_side
from spot_connect.ssh.connection import Connection
from spot_connect.ssh.files import from_home
from spot_connect.ssh.trouble import reason
from spot_connect.transfers.collecting import collecting_later
from spot_connect.transfers.comparing import Changes, changes, digest, excess, ready, resolved, tell_unseen, unsettled
from spot_connect.transfers.entries import (
    Entry,
    Tree,
    left_out,
    local_entry,
    local_trees,
    sifted_tree,
    tops,
    written_meanwhile,
)
from spot_connect.transfers.far import NoHelper, starting
from spot_connect.transfers.helper.files import MARK
from spot_connect.transfers.plain import PlainSending
from spot_connect.transfers.reading import Reading, SharedReading, Shelf
from spot_connect.transfers.sending import Sending, opening
from spot_connect.transfers.work import BIG, Advance, Item, is_rewritten, label


def upload(
    connection: Connection, sources: Sequence[Path], remote_dir: str, *, reporter: Reporter, delete: bool = False
) -> tuple[str, ...]:
    """Copy local files and directories into ``remote_dir`` and tell their paths there.

    Args:
        connection: the instance.
        sources: files or directories; a directory is copied whole, with its links as links.
        remote_dir: absolute, relative to the home directory, or ``~``; made when it is missing.
        reporter: hears of the bytes that move.
        delete: whether to remove from the directories there what is not in those here.

    Only what has changed is sent: files whose size or time differs. Modes and times are kept. A file that is there
    already is replaced at once when the new one is complete; a transfer that broke goes on where it was.

    Raises:
        UsageError: a source is missing, a broken link or not a file, or two have one name; nothing was copied.
        TransferFailed: the instance refused a file or has no room for it.
        SshLost: the line broke.

    Example:
        >>> upload(connection, [Path("train.py")], "~/efs", reporter=Silent())  # doctest: +SKIP
        ('/home/ec2-user/efs/train.py',)
    """
    paths = [Path(source) for source in sources]
    _start_soon(connection, tops(paths), from_home(remote_dir))
    trees = local_trees(paths)
    _tell_left_out(trees, reporter)
    arrived = _upload(connection, trees, remote_dir, reporter, Reading(), delete=delete)
    _tell_written(trees, reporter)
    return arrived


def upload_to_all(
    connections: Mapping[str, Connection],
    sources: Sequence[Path],
    remote_dir: str,
    *,
    reporter: Reporter,
    delete: bool = False,
) -> dict[str, tuple[str, ...]]:
    """As :func:`upload`, to several instances at once; the paths on each, by its name.

    What all of them lack is read once, unless one of them is far behind the others.

    Raises:
        UsageError: as :func:`upload`; nothing was copied.
        PartlyFailed: of several instances some failed; the others have all of it.

    Example:
        >>> upload_to_all({"vm1": one, "vm2": another}, [Path("data")], "~", reporter=Silent())  # doctest: +SKIP
        {'vm1': ('/home/ec2-user/data',), 'vm2': ('/home/ec2-user/data',)}
    """
    paths = [Path(source) for source in sources]
    names = tops(paths)
    for connection in connections.values():
        _start_soon(connection, names, from_home(remote_dir))
    return _to_all(connections, local_trees(paths), remote_dir, reporter, delete=delete)


def _to_all(
    connections: Mapping[str, Connection],
    trees: Sequence[Tree],
    remote_dir: str,
    reporter: Reporter,
    *,
    delete: bool,
) -> dict[str, tuple[str, ...]]:
    _tell_left_out(trees, reporter)
    size = sum(entry.size for tree in trees for entry in tree.entries)
    shelf = Shelf(connections)
    noted: defaultdict[str, list[str]] = defaultdict(list)

    def bring(name: str) -> tuple[str, ...]:
        share = Share(bar, size, lambda text: noted[text].append(name))
        try:
            reading = SharedReading(shelf, name)
            paths = _upload(connections[name], trees, remote_dir, share, reading, delete=delete)
        finally:
            shelf.leave(name)
        share.end()
        return paths

    count = len(connections)
    try:
        with reporter.transfer(f"to bring up to date on {count} instance{'s' * (count > 1)}", size * count) as bar:
            arrived = side_by_side(bring, {name: name for name in connections})
    finally:
        for text, names in noted.items():
            reporter.note(f"{few(sorted(names))}: {text}")
    _tell_written(trees, reporter)
    return arrived


def sync(connection: Connection, folder: Path, remote: str, *, reporter: Reporter, delete: bool = False) -> str:
    """Make the directory ``remote`` hold what the local ``folder`` holds, and tell its path there.

    Left out, here and there, is what git would: ``.git`` and what the ``.gitignore`` files say, those above ``folder``
    in its repository too, as changed by a ``.spotignore`` beside any of them.

    Args:
        connection: the instance.
        folder: a directory.
        remote: absolute, relative to the home directory, or ``~``; made when it is missing. Empty is a directory of
            the same name in the home directory.
        reporter: hears of the bytes that move.
        delete: whether to remove there what is not here and not left out.

    Raises:
        UsageError: ``folder`` is no directory, or the whole home directory would be deleted.
        TransferFailed, SshLost: as :func:`upload`.

    Example:
        >>> sync(connection, Path("."), "project", reporter=Silent())  # doctest: +SKIP
        '/home/ec2-user/project'
    """
    parent, top = _place(folder, remote, delete=delete)
    _start_soon(connection, [top], parent)
    tree = sifted_tree(folder, top)
    _tell_left_out([tree], reporter)
    [arrived] = _upload(connection, [tree], os.fsdecode(parent), reporter, Reading(), delete=delete)
    _tell_written([tree], reporter)
    return arrived


def sync_to_all(
    connections: Mapping[str, Connection], folder: Path, remote: str, *, reporter: Reporter, delete: bool = False
) -> dict[str, str]:
    """As :func:`sync`, on several instances at once; its path on each, by its name.

    What all of them lack is read once, as by :func:`upload_to_all`.

    Raises:
        UsageError: as :func:`sync`; nothing was copied.
        PartlyFailed: of several instances some failed; the others have all of it.

    Example:
        >>> sync_to_all({"vm1": one, "vm2": another}, Path("."), "project", reporter=Silent())  # doctest: +SKIP
        {'vm1': '/home/ec2-user/project', 'vm2': '/home/ec2-user/project'}
    """
    parent, top = _place(folder, remote, delete=delete)
    for connection in connections.values():
        _start_soon(connection, [top], parent)
    arrived = _to_all(connections, [sifted_tree(folder, top)], os.fsdecode(parent), reporter, delete=delete)
    return {name: path for name, (path,) in arrived.items()}


def _place(folder: Path, remote: str, *, delete: bool) -> tuple[bytes, bytes]:
    """The directory there that is to hold the folder, and the folder's name in it."""
    path = posixpath.normpath(from_home(remote or folder.resolve().name))
    if delete and path in (b".", b"/"):
        raise UsageError(f"cannot sync {folder} to {remote} and delete the rest", "a machine's own files are there")
    if not folder.is_dir():
        raise UsageError(f"cannot sync {folder}", "it is not a directory")
    parent, top = posixpath.split(path)
    return parent or b".", top or b"."


def _tell_left_out(trees: Sequence[Tree], reporter: Reporter) -> None:
    odd = [path for tree in trees for path in tree.odd]
    if odd:
        reporter.warn(left_out(odd))


def _tell_written(trees: Sequence[Tree], reporter: Reporter) -> None:
    """Tell of big files that were written while they moved: to read a small one takes no time."""
    big = [(tree.local(entry), entry) for tree in trees for entry in tree.entries if entry.size >= BIG]
    now = ((path, entry, local_entry(entry.name, path)) for path, entry in big)
    if written := [path for path, entry, found in now if found and is_rewritten(entry, found[0].size, found[0].time)]:
        reporter.warn(written_meanwhile(written))


def _start_soon(connection: Connection, names: Sequence[bytes], folder: bytes) -> None:
    """Let the instance look at what it has while this machine looks at its own."""
    connection.open_soon(starting(opening(names, folder)))


def _upload(
    connection: Connection,
    trees: Sequence[Tree],
    remote_dir: str,
    reporter: Reporter,
    reading: Reading,
    *,
    delete: bool,
) -> tuple[str, ...]:
    with connection.transfers:
        try:
            side = _begin(connection, trees, from_home(remote_dir), reading)
            base = _send_changes(side, trees, reporter, delete=delete)
        except OSError as error:
            raise _refusal(trees, remote_dir, error) from error
    return tuple(posixpath.normpath(posixpath.join(base, os.fsdecode(tree.top))) for tree in trees)


def _send_changes(side: Sending | PlainSending, trees: Sequence[Tree], reporter: Reporter, *, delete: bool) -> str:
    try:
        pairs = list(zip(trees, side.there, strict=True))
        found = [_changes(side, tree, there) for tree, there in pairs]
        gone = [excess(tree.entries, there, tree.rules) if delete else [] for tree, there in pairs]
        _send(side, trees, found, reporter)
        removed = _tidy(side, trees, found, gone)
        tell_unseen(reporter, [os.fsdecode(tree.top) for tree in trees], found, [*map(os.fsdecode, removed)])
    finally:
        side.close()
    return side.base


def _begin(connection: Connection, trees: Sequence[Tree], folder: bytes, reading: Reading) -> Sending | PlainSending:
    names = [tree.top for tree in trees]
    try:
        return Sending(connection, names, folder, reading)
    except NoHelper:
        return PlainSending(connection, names, folder, reading)


def _changes(side: Sending | PlainSending, tree: Tree, there: Mapping[bytes, Entry]) -> Changes:
    found = changes(tree.entries, there)
    if not found.doubtful:
        return found
    digests = side.digests([tree.remote(entry) for entry in found.doubtful])
    return resolved(found, map(operator.eq, digests, (digest(tree.local(entry)) for entry in found.doubtful)))


def _send(side: Sending | PlainSending, trees: Sequence[Tree], found: Sequence[Changes], reporter: Reporter) -> None:
    pairs = zip(trees, found, strict=True)
    with collecting_later():
        items = [Item(tree.local(entry), tree.remote(entry), entry) for tree, change in pairs for entry in change.send]
    if items:
        with reporter.transfer(label(items), sum(item.entry.size for item in items)) as progress:
            _send_items(side, items, progress.advance)


def _tidy(
    side: Sending | PlainSending,
    trees: Sequence[Tree],
    found: Sequence[Changes],
    gone: Sequence[Sequence[bytes]],
) -> list[bytes]:
    """Remove what is to go, make the directories, and set modes and times that nothing brought along.

    Returns the paths that were removed.
    """
    triples = list(zip(trees, found, gone, strict=True))
    todo = [
        (tree.remote(entry), ready(entry))
        for tree, change, names in triples
        for entry in (*change.settle, *unsettled(tree.entries, change, names))
    ]
    removed = [posixpath.join(tree.top, name) for tree, _, names in triples for name in names]
    side.finish(removed, todo)
    return removed


def _send_items(side: Sending | PlainSending, items: Sequence[Item], advance: Advance) -> None:
    try:
        side.send(items, advance)
    except SshLost:
        raise
    except BaseException:
        side.discard(items)
        raise


def _refusal(trees: Sequence[Tree], remote_dir: str, error: OSError) -> TransferFailed:
    # Names that only this program knows say nothing to a user.
    path = os.fsencode(error.filename or b"")
    where = os.fsdecode(path) if path and MARK not in path else remote_dir
    what = f"cannot upload {', '.join(str(tree.path) for tree in trees)} to {where}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return TransferFailed(what, "no space left on the instance", "Make room there, or launch with a larger disk.")
    advice = ""
    if isinstance(error, PermissionError):
        advice = "Choose a directory that your user may write to, such as your home directory."
    return TransferFailed(what, reason(error), advice)
