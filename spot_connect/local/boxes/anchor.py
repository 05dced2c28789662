"""The one process of a box whose end is the end of everything in it."""

from __future__ import annotations

import contextlib
import os
import select
import signal

from spot_connect.core.errors import DeadlinePassed
from spot_connect.local.boxes.processes import end_descendants

_PATIENCE_MS = 10_000


class Anchor:
    """Holds a process by a descriptor where the system has such, so that a reused pid is never hit."""

    def __init__(self, pid: int = 0, descriptor: int = -1) -> None:
        self._pid = pid
        self._descriptor = descriptor

    def end(self, instance_id: str, *, plain: bool) -> None:
        """End the process and everything that depends on it; returns when it is gone."""
        if not self._pid:
            return
        if plain:
            # Frozen first: it must neither start anything new nor let go of its descendants.
            self._send(signal.SIGSTOP)
            with contextlib.suppress(DeadlinePassed):  # what escaped is found by its mark when the daemon next starts
                end_descendants(self._pid, instance_id)
        self._send(signal.SIGKILL)
        self._wait()

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self._descriptor >= 0:
                signal.pidfd_send_signal(self._descriptor, number)
            else:
                os.kill(self._pid, number)

    def _wait(self) -> None:
        if self._descriptor < 0:
            return
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        poll.poll(_PATIENCE_MS)
        os.close(self._descriptor)
        self._descriptor, self._pid = -1, 0
