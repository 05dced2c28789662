"""The SSH connections of a holder: all to one machine, all checked against the host key that is pinned for it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from spot_connect.core.errors import HostKeyChanged, SshLost
from spot_connect.core.models import Address
from spot_connect.core.ssh_config import SshAlias
from spot_connect.ssh.command import Running
from spot_connect.ssh.connection import Connection
from spot_connect.ssh.dialling import Dialling
from spot_connect.ssh.host_keys import HostKey
from spot_connect.store import private
from spot_connect.store.pins import Pins
from spot_connect.store.state import told

_FRESH_SECONDS = 20.0
_PROOF_SECONDS = 3.0


@dataclass(slots=True)
class _Line:
    connection: Connection
    sessions: int = 0


class Lines:
    """At first one connection; others where the server opens no more sessions on it.

    Raises:
        HostKeyChanged: no host key is pinned for the machine that somebody else than its server has vouched for.
    """

    def __init__(self, target: SshAlias, pins: Pins, begun: Dialling) -> None:
        self._lock = threading.Lock()
        self._first = _connection(target, pins, begun)
        self._all = [_Line(self._first)]

    @property
    def is_open(self) -> bool:
        """Whether the first connection is up, as far as this side can tell."""
        return self._first.is_open

    def check(self) -> None:
        """See that the line is not dead, where it was silent for long: the computer may have slept.

        Raises:
            SshLost: it is.
        """
        if self._first.is_open and not self._first.answers(_PROOF_SECONDS, unless_heard_within=_FRESH_SECONDS):
            self._first.close()
            raise SshLost(f"the line to {self._first} broke", "the server does not answer")

    def open(self) -> None:
        """Open the line, for a command that is to come; all that ``Connection.open`` raises."""
        self._first.open()
        self._first.prepare()

    @contextmanager
    def begun(self, command: Callable[[Connection], Running]) -> Iterator[Running]:
        """A command that has begun on the line that does the least; it keeps a session until this is left.

        Raises:
            SshError: the line cannot be opened, or broke; see ``Running.may_have_begun``.
        """
        line, running = self._start(command)
        try:
            line.connection.prepare()
            yield running
        finally:
            running.close()
            self._count(line, -1)

    def _start(self, command: Callable[[Connection], Running]) -> tuple[_Line, Running]:
        with self._lock:
            lines = sorted(self._all, key=lambda line: line.sessions)
        for line in lines:
            running = self._begun_on(line, command(line.connection))
            if running:
                return line, running
        another = _Line(self._first.another())
        with self._lock:
            self._all.append(another)
        running = self._begun_on(another, command(another.connection))
        if running is None:
            raise SshLost(f"the line to {self._first} is of no use", "the server opens no session")
        return another, running

    def _begun_on(self, line: _Line, running: Running) -> Running | None:
        """The command, begun; none when the server opens no more sessions on this line: OpenSSH opens ten."""
        self._count(line, 1)
        try:
            running.start()
        except SshLost:
            self._count(line, -1)
            if running.may_have_begun or not line.connection.is_open:
                raise
            return None
        return running

    def _count(self, line: _Line, change: int) -> None:
        with self._lock:
            line.sessions += change

    def close(self) -> None:
        """End them all."""
        with self._lock:
            lines = list(self._all)
        for line in lines:
            line.connection.close()


def _connection(target: SshAlias, pins: Pins, begun: Dialling) -> Connection:
    pinned = tuple(HostKey(algorithm, blob) for algorithm, blob in pins.read(target.instance_id))
    # A key that was only seen so far has to be compared with the console, which AWS tells.
    if not pins.is_verified(target.instance_id):
        raise HostKeyChanged(f"cannot tell {target.name} from others", "its host key was not verified yet")

    with told("use", target.key):
        private.check(os.path.abspath(target.key))

    def verify(key: HostKey) -> None:
        if key not in pinned:
            raise HostKeyChanged(f"refused to connect to {target.name}", "the server at its address is another one")

    return Connection(
        Address(target.host, target.port),
        target.username,
        target.key,
        verify=verify,
        known=pinned,
        begun=begun,
    )
