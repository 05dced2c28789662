"""Many hands: helpers over several connections, with several channels each, that work off one heap."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Protocol

from spot_connect.core.errors import SshError
from spot_connect.core.waiting import SYSTEM_CLOCK
from spot_connect.ssh.connection import Connection
from spot_connect.transfers.far import Far
from spot_connect.transfers.work import Advance, Stride, Task

_AHEAD = {True: 2, False: 1}
"""How many tasks a hand has asked for beside the one that it waits for, where it writes and where it reads.

What is written is under way by then; what was asked for no other hand can take.
"""
_MOST_CONNECTIONS = 8
_WINDOW = 2 * 1024 * 1024
"""What OpenSSH takes on one channel before it waits for the program behind it."""
_WANTED_RATE = 500_000_000
_WORTH_A_CONNECTION = 8 * 1024 * 1024
_LOOK_SECONDS = 0.5
_TELL_SECONDS = 0.1
_WORTH_TELLING = 1024 * 1024
_GAIN = 1.15
_END_SECONDS = 3.0


class Source(Protocol):
    """Where hands find their next task."""

    left: int

    @property
    def is_empty(self) -> bool:
        """Whether all is taken."""

    def take(self, fit: int) -> Task | None:
        """The next task, of about ``fit`` bytes if it can be cut; none when nothing is left."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How many connections, and how many channels on each."""

    connections: int
    channels: int

    @property
    def hands(self) -> int:
        """All channels."""
        return self.connections * self.channels


def shape(round_trip: float, size: int, *, alone: int, least_hands: int = 2) -> Shape:
    """How to begin moving ``size`` bytes over a link with that round trip in seconds.

    A channel moves no more than a window each round trip, and one TCP stream takes many round trips to become fast,
    so delay asks for more of them; without delay each costs more than it brings.

    Args:
        round_trip: in seconds.
        size: in bytes.
        alone: how many channels on a connection that is the only one.
        least_hands: how many on several together, if they pay.

    Example:
        >>> tuple(shape(rtt, 1 << 29, alone=4, least_hands=8) for rtt in (0.0005, 0.08))
        (Shape(connections=1, channels=4), Shape(connections=8, channels=2))
    """
    wanted = round(round_trip * _WANTED_RATE / (2 * _WINDOW))
    connections = max(1, min(_MOST_CONNECTIONS, wanted, size // _WORTH_A_CONNECTION))
    channels = alone if connections == 1 else max(2, least_hands // connections)
    return Shape(connections, max(1, min(channels, size // _WINDOW)))


class Pace:
    """Tells whether another connection is worth it: as long as the last one made it faster."""

    def __init__(self, connections: int) -> None:
        self.connections = connections
        self._best = 0.0
        self._moved = 0
        self._since = SYSTEM_CLOCK.now()

    def wants_more(self, moved: int, left: int) -> bool:
        """Whether to add a connection now, after ``moved`` more bytes, with ``left`` to go."""
        self._moved += moved
        seconds = SYSTEM_CLOCK.now() - self._since
        if seconds < _LOOK_SECONDS or self.connections >= 2 * _MOST_CONNECTIONS:
            return False
        rate = self._moved / seconds
        self._moved, self._since = 0, SYSTEM_CLOCK.now()
        if rate < self._best * _GAIN or left < 4 * rate:
            self._best = max(rate, self._best)
            return False
        self._best = rate
        self.connections += 1
        return True


class Pool:
    """Works off a heap with many hands; what one of them raises ends all, and is raised here.

    Args:
        connection: the one to begin with; more are opened to the same server.
        opening: what each new helper is told first: where to work.
        writes: whether the helpers write files, and so must have ended before one is taken away.
    """

    def __init__(self, connection: Connection, opening: bytes, *, writes: bool) -> None:
        self._connection = connection
        self._opening = opening
        self._writes = writes
        self._others: list[Connection] = []
        self._hands: list[threading.Thread] = []
        self._helpers: list[Far] = []
        self._events: SimpleQueue[BaseException | None] = SimpleQueue()
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._busy = 0
        self._moved = 0

    def work(self, heap: Source, begun: Shape, advance: Advance, first: Far) -> None:
        """Work off all of ``heap``; ``first`` is a helper that is there already."""
        pace = Pace(begun.connections)
        self._helpers.append(first)
        self._busy = 1
        self._hire(self._connection, heap, begun.channels - 1, first)
        for _ in range(begun.connections - 1):
            self._connect(heap, begun.channels)
        try:
            self._follow(heap, pace, begun.channels, advance)
        except BaseException:
            self._stop()
            raise
        finally:
            self._leave()

    def _follow(self, heap: Source, pace: Pace, channels: int, advance: Advance) -> None:
        # Nobody waits for hands that are still on their way when all is done.
        while self._busy or not heap.is_empty or not self._events.empty():
            self._wait()
            moved = self._tell(advance)
            if pace.wants_more(moved, heap.left):
                self._connect(heap, channels)
        self._tell(advance)

    def _wait(self) -> None:
        """Wait a moment, or until a hand has something to tell; what one has raised is raised."""
        with contextlib.suppress(Empty):
            if error := self._events.get(timeout=_TELL_SECONDS):
                raise error

    def _tell(self, advance: Advance) -> int:
        """Tell of the bytes that the hands have moved since the last time; how many they are."""
        with self._lock:
            moved, self._moved = self._moved, 0
        if moved:
            advance(moved)
        return moved

    def _hire(self, connection: Connection, heap: Source, more: int, first: Far | None = None) -> None:
        self._start(self._hand, connection, heap, first)
        for _ in range(more):
            self._start(self._hand, connection, heap, None)

    def _connect(self, heap: Source, channels: int) -> None:
        other = self._connection.another()
        self._others.append(other)
        self._hire(other, heap, channels - 1)

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        hand = threading.Thread(target=work, args=arguments, daemon=True, name="transfer")
        self._hands.append(hand)
        hand.start()

    def _hand(self, connection: Connection, heap: Source, given: Far | None) -> None:
        try:
            if given:
                self._work_off(given, heap)
            elif far := self._new_helper(connection, heap):
                self._work_off(far, heap)
                far.close()
        except BaseException as error:  # noqa: BLE001 - raised again where the transfer is waited for
            self._events.put(error)
        finally:
            self._events.put(None)

    def _new_helper(self, connection: Connection, heap: Source) -> Far | None:
        if heap.is_empty:
            return None
        try:
            far = Far(connection, self._opening)
        except SshError:
            # The server may limit sessions and connections. Those that are there do the work.
            return None
        if self._stopped.is_set():
            far.close()
            return None
        self._count(1)
        self._helpers.append(far)
        return far

    def _count(self, more: int) -> None:
        with self._lock:
            self._busy += more

    def _work_off(self, far: Far, heap: Source) -> None:
        asked: deque[Task] = deque()
        stride = Stride(self._connection.round_trip)

        def note(size: int) -> None:
            stride.note(size)
            self._note(size)

        while True:
            task = None if self._stopped.is_set() else heap.take(stride.size)
            if task:
                task.ask(far, note)
                asked.append(task)
            elif not asked:
                self._count(-1)
                return
            if not task or len(asked) > _AHEAD[self._writes]:
                asked.popleft().hear(far, note)

    def _note(self, size: int) -> None:
        if self._stopped.is_set():
            raise InterruptedError("the transfer was given up")
        with self._lock:
            self._moved += size
            is_much = self._moved >= _WORTH_TELLING
        # To wake the thread that waits for each piece would take the interpreter from the one that decrypts.
        if is_much:
            self._events.put(None)

    def _stop(self) -> None:
        """End the helpers, so that none of them writes any more."""
        self._stopped.set()
        for far in self._helpers if self._writes else ():
            with contextlib.suppress(SshError):
                far.pipe.end(_END_SECONDS)
        for far in self._helpers:
            far.pipe.close()
        for hand in self._hands:
            hand.join(_END_SECONDS)

    def _leave(self) -> None:
        self._stopped.set()
        for other in self._others:
            # One may still be on its way up, which nobody needs to wait for.
            threading.Thread(target=other.close, daemon=True).start()
