"""Where the holder of a name listens, and who may talk to it: this user on this computer and nobody else.

It imports little, because every command needs it; paths are text here, as :mod:`pathlib` takes longer to load than a
command over a held line takes to be asked for.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import zlib

from spot_connect.store.private import is_safe

SECONDS_VARIABLE = "SPOT_CONNECT_HOLD"
_SECONDS = 600.0
# An address of a Unix socket takes 104 bytes on macOS and 108 on Linux, and ends with a zero.
_LONGEST_FOLDER = 103 - len("/01234567")


def hold_seconds() -> float:
    """How long a line is held that nobody uses, in seconds: 600, or what ``SPOT_CONNECT_HOLD`` says.

    0 holds none; so does Windows.

    Raises:
        UsageError: the variable holds something else than a time.
    """
    word = os.environ.get(SECONDS_VARIABLE, "")
    chosen = _read(word) if word else _SECONDS
    return 0.0 if sys.platform == "win32" else chosen


def _read(word: str) -> float:
    from spot_connect.core.errors import UsageError
    from spot_connect.core.values import seconds

    try:
        return seconds(word)
    except UsageError as error:
        advice = "Give seconds, for example 600, or 10m; 0 holds no line."
        raise UsageError(f"cannot read {SECONDS_VARIABLE}", f"{word!r} is not a time", advice) from error


def socket_of(root: str, name: str) -> str | None:
    """Where the holder of ``name`` listens that belongs to this state directory.

    ``None`` where no directory is ours alone, and on Windows.
    """
    if sys.platform == "win32":
        return None
    folder = os.path.join(root, "lines")
    if len(os.fsencode(folder)) > _LONGEST_FOLDER:
        folder = _short_folder(root)
    # Computers that share a home directory do not share what listens in it.
    mark = _mark(f"{os.uname().nodename}\0{name}")
    return f"{folder}/{mark}" if _is_ours_alone(folder) else None


def _short_folder(root: str) -> str:
    """A directory for a state directory whose own path is too long for a socket."""
    base = os.environ.get("XDG_RUNTIME_DIR") or "/tmp"  # noqa: S108 - nothing is trusted there that is not ours
    return f"{base}/spot-connect-{_mark(root)}"


def _mark(text: str) -> str:
    return f"{zlib.crc32(text.encode(errors='surrogateescape')):08x}"


def _is_ours_alone(folder: str) -> bool:
    """Whether it is a directory of this user that nobody else can enter or replace; made if it is missing."""
    if sys.platform == "win32":
        return False
    # Where others could replace it, the command goes the long way, on which that is mended or refused.
    with contextlib.suppress(OSError):
        os.mkdir(folder, 0o700)
    return not os.path.islink(folder) and is_safe(folder)


def connected(path: str) -> socket.socket | None:
    """A connection to whoever of this user listens there."""
    if sys.platform == "win32":
        return None
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(path)
        if is_same_user(sock):
            return sock
    except OSError:
        pass
    sock.close()
    return None


def is_same_user(peer: socket.socket) -> bool:
    """Whether the other side runs as this user, where the system tells; else the directory's mode has to do."""
    if sys.platform == "linux":
        _, user, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return bool(user == os.geteuid())
    if sys.platform == "darwin":
        # LOCAL_PEERCRED at SOL_LOCAL tells an xucred(4): its version, then the user.
        _, user = struct.unpack("2I", peer.getsockopt(0, 1, 76)[:8])
        return bool(user == os.geteuid())
    return True
