"""Asks every five seconds whether the machine is about to be taken away, and sees to it that nothing is lost."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from spot_connect.interruption import files, hooks
from spot_connect.interruption.ledger import base, home
from spot_connect.interruption.metadata import Metadata, Unreachable

POLL_SECONDS = 5.0
_FLUSH = 1 / 24


class Watcher:
    """Turns what the metadata service tells into files that runs read, and runs the instance's own hooks."""

    def __init__(self, instance: str, metadata: Metadata) -> None:
        self._instance = instance
        self._metadata = metadata
        self._deadline = 0.0
        self._flush_at = float("inf")

    def poll(self) -> None:
        """Look once; a service that does not answer is asked again the next time."""
        try:
            self._heed(self._metadata.interruption())
            if not hooks.rebalance_file().exists():
                self._recommended(self._metadata.rebalance())
        except Unreachable as error:
            sys.stderr.write(f"{time.strftime('%FT%T')} {error}\n")
        if time.time() >= self._flush_at:
            self._flush_at = float("inf")
            os.sync()

    def next_look(self) -> float:
        """Seconds until it is time to look again."""
        return max(0.05, min(POLL_SECONDS, self._flush_at - time.time()))

    def _heed(self, deadline: float | None) -> None:
        if deadline is None or deadline == self._deadline:
            return
        first, self._deadline = not self._deadline, deadline
        known = files.read(hooks.notice_file()) or {}
        seen = float(known.get("seen") or time.time())
        record = {"deadline": deadline, "seen": seen, "instance": self._instance}
        files.write(hooks.notice_file(), record)
        self._flush_at = deadline - max(0.0, deadline - seen) * _FLUSH
        if first and not known:
            hooks.start(self._hook("on_interrupt"), deadline, self._environment())
            self._tell(record)

    def _recommended(self, moment: float | None) -> None:
        if moment is None:
            return
        files.write(hooks.rebalance_file(), {"noticed": moment, "seen": time.time(), "instance": self._instance})
        hooks.start(self._hook("on_rebalance"), time.time() + hooks.REBALANCE_SECONDS, self._environment())

    def _tell(self, record: files.Record) -> None:
        """Leave word where it outlives the machine."""
        if base() == home():
            return
        try:
            (base() / "notices").mkdir(parents=True, exist_ok=True)
            files.write(base() / "notices" / f"{self._instance}.json", record)
        except OSError as error:
            sys.stderr.write(f"{time.strftime('%FT%T')} {error}\n")

    def _hook(self, name: str) -> str:
        return str((files.read(hooks.hooks_file()) or {}).get(name) or "")

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "SPOT_CONNECT_NOTICE_FILE": str(hooks.notice_file())}


def is_watched() -> bool:
    """Whether a watcher of this machine lives."""
    try:
        with (home() / "watcher.lock").open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def watch(instance: str, pause: Callable[[float], object] | None = None) -> int:
    """Watch until the machine ends; at once over, with status 0, when another watcher does already."""
    home().mkdir(mode=0o700, exist_ok=True)
    lock = (home() / "watcher.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return 0
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # A notice of a machine that this disk was in before is none of ours.
    for path in (hooks.notice_file(), hooks.rebalance_file()):
        if (files.read(path) or {}).get("instance") not in (None, instance):
            path.unlink()
    watcher = Watcher(instance, Metadata())
    rest = pause or threading.Event().wait
    while True:
        watcher.poll()
        rest(watcher.next_look())
