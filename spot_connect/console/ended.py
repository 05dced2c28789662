"""SIGTERM as an exception during a launch, so that what was launched is ended again as at Ctrl-C.

At no other time: a computer that shuts down sends it, and what runs on the instance is to go on then.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

TERMINATED = 128 + signal.SIGTERM


class Terminated(KeyboardInterrupt):
    """Somebody has ended this process, by ``kill`` or with its service or its computer."""


@contextmanager
def by_exception() -> Iterator[None]:
    """While this is open, SIGTERM raises :class:`Terminated`; a handler that somebody has set before stays.

    Without it the process would just be gone, and an instance that it was launching would stay and cost money.
    """
    is_ours = (
        threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    if is_ours:
        signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        if is_ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _raise(*_: object) -> None:
    raise Terminated
