"""What is in a tree, told to the other side."""

from __future__ import annotations

import os
import stat

from spot_connect.transfers.helper.files import MARK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_LETTERS = {stat.S_IFREG: b"f", stat.S_IFDIR: b"d", stat.S_IFLNK: b"l"}


def listed(top: bytes) -> Iterator[bytes]:
    """What is at ``top`` and below it, as text for :func:`spot_connect.transfers.entries.parsed`.

    Each directory is followed by what it holds but for directories, whose turns come later. What a transfer has begun
    is left out.
    """
    try:
        info = os.stat(top)
    except (FileNotFoundError, NotADirectoryError):
        yield b"-\0\0\0"
        return
    waiting = [(top, info)] if stat.S_ISDIR(info.st_mode) else []
    if not waiting:
        yield _record(top, os.path.basename(top), info)
    while waiting:
        folder, info = waiting.pop()
        lines = [_record(folder, folder, info)]
        with os.scandir(folder) as found:
            for one in found:
                if one.name.startswith(MARK):
                    continue
                info = one.stat(follow_symlinks=False)
                if stat.S_ISDIR(info.st_mode):
                    waiting.append((one.path, info))
                else:
                    lines.append(_record(one.path, one.name, info))
        yield b"".join(lines)
    yield b".\0\0\0"


def _record(path: bytes, name: bytes, info: os.stat_result) -> bytes:
    kind = stat.S_IFMT(info.st_mode)
    link = os.readlink(path) if kind == stat.S_IFLNK else b""
    about = (_LETTERS.get(kind, b"?"), info.st_mode & 0o777, info.st_size, info.st_mtime_ns, name, link)
    return b"%s%d %d %d\0%s\0%s\0" % about
