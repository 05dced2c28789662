"""Finding and ending the processes of a plain box, which no namespace holds together."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path

from spot_connect.core.waiting import Seen, wait_for

MARKER = "SPOT_CONNECT_BOX"
_SECONDS = 10.0


def end_descendants(ancestor: int, instance_id: str) -> None:
    """End every descendant of ``ancestor`` and everything marked as the instance's, but not ``ancestor`` itself.

    Raises:
        DeadlinePassed: something survived, or forked faster than it could be ended.
    """

    def look() -> Seen[bool]:
        found = (_descendants(ancestor) | set(marked([instance_id]))) - {ancestor, os.getpid()}
        for pid in found:
            _kill(pid)
        # Killed is not yet gone; what was forked meanwhile is found at the next look.
        return Seen(None if found else True, f"{len(found)} left")

    wait_for(f"end of the processes of {instance_id}", look, seconds=_SECONDS, every=0.002)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def marked(instance_ids: Iterable[str]) -> list[int]:
    """Live processes whose environment says they belong to one of the instances; Linux only."""
    entries = {f"{MARKER}={instance_id}".encode() for instance_id in instance_ids}
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            variables = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if not entries.isdisjoint(variables):
            found.append(int(path.parent.name))
    return found


def _descendants(ancestor: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for pid, parent in _table():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    waiting = [ancestor]
    while waiting:
        for pid in children.get(waiting.pop(), []):
            if pid not in found:
                found.add(pid)
                waiting.append(pid)
    return found


def _table() -> list[tuple[int, int]]:
    """(pid, parent) of every process that is not a zombie."""
    if not Path("/proc/self/stat").exists():
        return _table_from_ps()
    rows = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text(errors="replace").rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if state not in "ZX":
            rows.append((int(path.parent.name), int(parent)))
    return rows


def _table_from_ps() -> list[tuple[int, int]]:
    listing = subprocess.run(["ps", "-axo", "pid=,ppid=,stat="], capture_output=True, text=True, check=False).stdout  # noqa: S607 - where ps lies depends on the system
    rows = (line.split() for line in listing.splitlines())
    return [(int(row[0]), int(row[1])) for row in rows if len(row) == 3 and not row[2].startswith("Z")]
