"""The one place that waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from spot_connect.core.errors import DeadlinePassed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as an argument, so that tests need not wait for it."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


SYSTEM_CLOCK = Clock()


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """One look at the thing awaited: its ``value`` once it is there, else ``None`` and ``state`` in words."""

    value: T | None
    state: str = ""


def wait_for(
    what: str,
    look: Callable[[], Seen[T]],
    *,
    seconds: float,
    every: float,
    clock: Clock = SYSTEM_CLOCK,
    advice: str = "",
) -> T:
    """Look every ``every`` seconds until a look brings a value.

    ``look`` raises to end the wait early, when the state it sees cannot recover.

    Raises:
        DeadlinePassed: nothing came within ``seconds``; the error tells the state last seen.

    Example:
        >>> wait_for("answer", lambda: Seen(42), seconds=1, every=0.1)
        42
    """
    deadline = clock.now() + seconds
    while True:
        seen = look()
        if seen.value is not None:
            return seen.value
        left = deadline - clock.now()
        if left <= 0:
            raise DeadlinePassed(f"no {what} after {seconds:g} s", seen.state, advice)
        clock.sleep(min(every, left))
