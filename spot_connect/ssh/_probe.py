"""Watching a port until an SSH server greets there."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from spot_connect.core.models import Address
from spot_connect.core.waiting import Clock, Seen

_START_EVERY = 0.2
_GIVE_UP_AFTER = 1.0
_SILENT_SECONDS = 60.0
_LONGEST_PAUSE = 10.0
_LOOK_SECONDS = 0.1
_ALIVE_EVERY = 3.0
_SILENT = "the port is open but no SSH server greets"
_UNDER_WAY = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN, errno.EINTR})


@dataclass(slots=True)
class _Attempt:
    socket: socket.socket
    since: float
    connected: bool = False


class Probe:
    """Connects again and again, several attempts overlapping until the port is open.

    A booting instance drops the first packets, and the system would send them again only after seconds;
    a new attempt every fifth of a second notices the server at once.

    Since 9.8 OpenSSH shuts out addresses that connect and hang up: each time counts for a second, and from 15 on
    nobody gets in (PerSourcePenalties, sshd_config(5)). A port may be open long before anybody greets there, where
    systemd listens for sshd. So a connection that was accepted is waited for rather than given up, the next one comes
    after two seconds, four, eight, and the one that is greeted can be used to log in.
    """

    def __init__(self, address: Address, clock: Clock, alive: Callable[[], None] | None) -> None:
        self._address = address
        self._clock = clock
        self._alive = alive
        self._asked_alive = clock.now()
        self._started = clock.now() - _START_EVERY
        self._attempts: list[_Attempt] = []
        self._state = "no answer"
        self._accepted = 0
        self._greeted_by: socket.socket | None = None

    def __enter__(self) -> Probe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for attempt in self._attempts:
            attempt.socket.close()
        if self._greeted_by:
            self._greeted_by.close()

    def taken(self) -> socket.socket | None:
        """The connection that was greeted, which is the caller's from then on; nothing was read from it."""
        greeted, self._greeted_by = self._greeted_by, None
        return greeted

    def look(self) -> Seen[bool]:
        """One short look at the port."""
        self._ask_alive()
        self._drop_old()
        if self._clock.now() - self._started >= self._pause:
            self._started = self._clock.now()
            self._start()
        return Seen(value=True) if self._greeted() else Seen(None, self._state)

    @property
    def _pause(self) -> float:
        return min(2.0**self._accepted, _LONGEST_PAUSE) if self._accepted else _START_EVERY

    def _ask_alive(self) -> None:
        if self._alive and self._clock.now() - self._asked_alive >= _ALIVE_EVERY:
            self._asked_alive = self._clock.now()
            self._alive()

    def _drop_old(self) -> None:
        for attempt in list(self._attempts):
            if self._clock.now() - attempt.since > (_SILENT_SECONDS if attempt.connected else _GIVE_UP_AFTER):
                self._end(attempt, _SILENT if attempt.connected else "no answer")

    def _start(self) -> None:
        try:
            found = socket.getaddrinfo(self._address.host, self._address.port, type=socket.SOCK_STREAM)
        except OSError as error:
            self._state = f"the name does not resolve: {error.strerror or error}"
            return
        for family, kind, protocol, _, target in found[:2]:
            self._connect(socket.socket(family, kind, protocol), target)

    def _connect(self, sock: socket.socket, target: tuple[object, ...]) -> None:
        attempt = _Attempt(sock, self._clock.now())
        self._attempts.append(attempt)
        sock.settimeout(0)
        code = sock.connect_ex(target)
        if code not in _UNDER_WAY:
            self._end(attempt, _words(code))

    def _greeted(self) -> bool:
        while self._attempts:
            connecting = [attempt.socket for attempt in self._attempts if not attempt.connected]
            greeting = [attempt.socket for attempt in self._attempts if attempt.connected]
            # Windows tells a refused connection in the third set only.
            ready = {sock for some in select.select(greeting, connecting, connecting, _LOOK_SECONDS) for sock in some}
            # One that was ended meanwhile is no longer among them.
            if any(self._advance(one) for one in list(self._attempts) if one in self._attempts and one.socket in ready):
                return True
            if not ready:
                break
        return False

    def _advance(self, attempt: _Attempt) -> bool:
        if attempt.connected:
            return self._read(attempt)
        code = attempt.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._end(attempt, _words(code))
        else:
            attempt.connected = True
            self._accepted += 1
            self._state = _SILENT
            # The port is open: one connection is enough.
            for other in [one for one in self._attempts if not one.connected]:
                self._end(other, _SILENT)
        return False

    def _read(self, attempt: _Attempt) -> bool:
        try:
            text = attempt.socket.recv(255, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError as error:
            self._end(attempt, _words(error.errno or 0))
            return False
        if b"SSH-" in text:
            self._attempts.remove(attempt)
            self._greeted_by = attempt.socket
            return True
        self._end(attempt, f"the server said {text[:40]!r}" if text else "the server hung up at once")
        return False

    def _end(self, attempt: _Attempt, state: str) -> None:
        self._state = state
        self._attempts.remove(attempt)
        with contextlib.suppress(OSError):
            attempt.socket.close()


def _words(code: int) -> str:
    return os.strerror(code).lower()
