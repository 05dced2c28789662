"""Is this machine about to be taken away? For code that runs on it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeVar

from spot_connect.interruption.metadata import Metadata, Unreachable

NOTICE_FILE = "SPOT_CONNECT_NOTICE_FILE"
"""Names the file that the watcher writes; set for everything that runs under it."""
_POLL_SECONDS = 5.0  # what AWS recommends
_ABSENT_SECONDS = 60.0

Item = TypeVar("Item")


class _Probe:
    """Asks the metadata service at most every five seconds, however often it is itself asked."""

    def __init__(self) -> None:
        self._metadata = Metadata()
        self._until = float("-inf")
        self._deadline: float | None = None

    def deadline(self) -> float | None:
        if self._deadline is None and time.monotonic() >= self._until:
            try:
                self._deadline = self._metadata.interruption()
                self._until = time.monotonic() + _POLL_SECONDS
            except Unreachable:
                # Not on EC2: a training loop on a laptop is not to wait for an answer at every step.
                self._until = time.monotonic() + _ABSENT_SECONDS
        return self._deadline


_probe = _Probe()


def notice() -> datetime | None:
    """When AWS takes this spot instance away, or ``None`` while it has not said so.

    It may be called as often as you like: the metadata service is asked every five seconds at most, and under
    spot-connect not at all, because its watcher has. Away from EC2 the answer is always ``None``.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html

    Example:
        >>> if notice():  # doctest: +SKIP
        ...     save()
        ...     raise SystemExit(75)
    """
    path = os.environ.get(NOTICE_FILE)
    moment = _told_by_watcher(path) if path else _probe.deadline()
    return None if moment is None else datetime.fromtimestamp(moment, timezone.utc)


def until_notice(items: Iterable[Item]) -> Iterator[Item]:
    """``items`` one by one, until they end or a notice is given; the step under way is always finished.

    Example:
        >>> for epoch in until_notice(range(100)):  # doctest: +SKIP
        ...     train(epoch)
    """
    for item in items:
        if notice():
            return
        yield item


def _told_by_watcher(path: str) -> float | None:
    try:
        return float(json.loads(Path(path).read_text(encoding="utf-8"))["deadline"])
    except FileNotFoundError:
        return None
