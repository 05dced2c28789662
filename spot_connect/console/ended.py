"""SIGTERM and SIGHUP as exceptions during a launch, so that what was launched is ended again as at Ctrl-C.

At no other time: a computer that shuts down sends SIGTERM, a terminal that is closed sends SIGHUP, and what runs on the
instance must go on then.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = tuple(number for number in (signal.SIGTERM, getattr(signal, "SIGHUP", None)) if number)


class Terminated(KeyboardInterrupt):
    """Somebody has ended this process: by ``kill``, or with its service, its computer or its terminal.

    Its argument is the number of the signal.
    """


@contextmanager
def by_exception() -> Iterator[None]:
    """While this is open, the signals raise :class:`Terminated`; a handler that somebody has set before stays.

    Without it the process would just be gone, and an instance that it was launching would stay and cost money.
    """
    is_main = threading.current_thread() is threading.main_thread()
    ours = [number for number in _SIGNALS if is_main and signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _raise)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _raise(number: int, *_: object) -> None:
    raise Terminated(number)
