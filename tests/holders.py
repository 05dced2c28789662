"""The processes that hold lines: found by where they listen, and ended by their number."""

from __future__ import annotations

import os
import signal
import socket
import struct
from contextlib import suppress
from pathlib import Path

from spot_connect.core.waiting import Seen, wait_for
from spot_connect.holding.place import connected, socket_of


def holder_of(root: Path | str, name: str) -> int | None:
    """The process that holds the line to ``name``, if there is one; asking does not disturb it."""
    path = socket_of(os.fspath(root), name)
    line = connected(path) if path else None
    if line is None:
        return None
    with line:
        return struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]


def until_held(root: Path | str, name: str) -> int:
    """Wait for a process that holds the line to ``name``; a command does not wait for it."""
    return wait_for(f"holder of {name}", lambda: Seen(holder_of(root, name)), seconds=20, every=0.01)


def is_alive(process: int) -> bool:
    """Whether it runs; one that has ended and was not fetched does not."""
    with suppress(ChildProcessError):
        os.waitpid(process, os.WNOHANG)
    with suppress(ProcessLookupError):
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z"
    return False


def until_gone(process: int) -> None:
    """Wait for its end."""
    wait_for(f"end of {process}", lambda: Seen(not is_alive(process) or None), seconds=20, every=0.01)


def end_holder(root: Path | str, name: str) -> None:
    """End it, if there is one, and see it gone."""
    process = holder_of(root, name)
    if process:
        end(process)


def end(process: int) -> None:
    """Have a holder go, and see it gone."""
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGTERM)
    until_gone(process)
