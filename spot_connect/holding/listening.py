"""The place of a holder: taken by one process, and left to the next."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

from spot_connect.core.errors import DeadlinePassed, StateError
from spot_connect.store.state import State

_LOCK = "lines"
_LOCK_SECONDS = 5.0
_PROBE_SECONDS = 2.0
_BACKLOG = 100


def claim(path: str, state: State) -> socket.socket | None:
    """A socket that listens there for this user alone; none when another process listens there already."""
    try:
        with state.lock(_LOCK, wait_seconds=_LOCK_SECONDS):
            if _has_listener(path):
                return None
            Path(path).unlink(missing_ok=True)
            return _listening(path)
    except (StateError, DeadlinePassed, OSError):
        return None


def leave(listener: socket.socket, state: State) -> None:
    """Listen no more, and remove the socket unless it is another process's by now."""
    path = listener.getsockname()
    with suppress(StateError, DeadlinePassed, OSError), state.lock(_LOCK, wait_seconds=_LOCK_SECONDS):
        listener.close()
        if not _has_listener(path):
            Path(path).unlink(missing_ok=True)
    listener.close()


def _has_listener(path: str) -> bool:
    if sys.platform == "win32":
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PROBE_SECONDS)
        try:
            probe.connect(path)
        except TimeoutError:
            return True
        except OSError:
            return False
        return True


def _listening(path: str) -> socket.socket:
    if sys.platform == "win32":
        raise OSError("there are no Unix sockets")
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(before)
    listener.listen(_BACKLOG)
    return listener
