"""Small files read for a pack, and what is told of them ahead of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from spot_connect.core.errors import TransferFailed
from spot_connect.ssh.trouble import reason
from spot_connect.transfers.helper.packs import contents
from spot_connect.transfers.work import Item


def table(items: Iterable[Item]) -> Iterator[bytes]:
    """Name, mode, length, time and target of each item, for the helper's `unpack`."""
    for item in items:
        _, _, mode, size, time, link = item.entry
        yield from (item.remote, b"%d" % mode, b"%d" % size, b"%d" % time, link)


def read(items: Sequence[Item]) -> Iterator[bytes]:
    """What is in the files, one after the other.

    Raises:
        TransferFailed: a file cannot be read, or became shorter.
    """
    for item in items:
        if not item.entry.size:
            continue
        try:
            pieces = contents(item.local)
        except OSError as error:
            raise TransferFailed(f"cannot read {item.local}", reason(error)) from error
        yield pieces[0] if len(pieces[0]) == item.entry.size else _cut(item, pieces)


def _cut(item: Item, pieces: Sequence[bytes]) -> bytes:
    """As much as was promised, of a file that may have grown meanwhile."""
    data = b"".join(pieces)
    if len(data) < item.entry.size:
        raise TransferFailed(f"cannot upload {item.local}", "it became shorter meanwhile", "Upload it again.")
    return data[: item.entry.size]
