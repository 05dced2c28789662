"""What our programs write is for its owner alone; what users' programs make is as their own umask has it."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import Iterator  # noqa: UP035 - the same text runs on Python 3.7

_PRIVATE = 0o077
_AS_IT_IS = -1

_users = _AS_IT_IS
_turn = threading.Lock()


def keep_private() -> None:
    """From now on whatever this process makes is for its owner alone."""
    global _users  # noqa: PLW0603 - a process has one umask
    _users = os.umask(_PRIVATE)


def be_as_for_the_user() -> None:
    """What this process makes is as the user's umask has it again."""
    global _users  # noqa: PLW0603
    if _users != _AS_IT_IS:
        os.umask(_users)
        _users = _AS_IT_IS


@contextmanager
def for_the_user() -> Iterator[None]:
    """Processes that are started meanwhile have the user's umask; ``Popen`` takes none before Python 3.9."""
    if _users == _AS_IT_IS:
        yield
        return
    with _turn:
        os.umask(_users)
        try:
            yield
        finally:
            os.umask(_PRIVATE)
