"""The holder itself: listens, serves, and goes when it is not needed or no use any more."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spot_connect import __version__
from spot_connect.core.errors import InstanceNotFound, SpotConnectError
from spot_connect.core.ssh_config import SshAlias
from spot_connect.core.waiting import SYSTEM_CLOCK
from spot_connect.holding import frames
from spot_connect.holding.frames import Request, Wire
from spot_connect.holding.listening import claim, leave
from spot_connect.holding.place import is_same_user, socket_of
from spot_connect.ssh.dialling import Dialling
from spot_connect.store.ssh_aliases import SshAliases
from spot_connect.store.state import State

if TYPE_CHECKING:
    from spot_connect.holding.lines import Lines

_LOOK_SECONDS = 1.0
_REQUEST_SECONDS = 10.0
_MOST_FILES = 65536
# TCP asks again after one second. Where nobody answers soon, the machine is looked up and its door is opened.
_DIAL_SECONDS = 2.5


class Holder:
    """Serves the callers of one name, each in a thread of its own, as long as the name means the same machine.

    Args:
        state: the directory of the realm that the name is in.
        target: the machine.
        lines: to it.
        listener: whom all callers reach who come later; without one, only those who are admitted are served.
    """

    def __init__(self, state: State, target: SshAlias, lines: Lines, listener: socket.socket | None) -> None:
        self._state = state
        self._name = target.name
        self._target = target
        self._lines = lines
        self._listener = listener
        self._changed = threading.Condition()
        self._callers = 0
        self._used = SYSTEM_CLOCK.now()
        self._seconds = 0.0
        self._is_leaving = False

    def admit(self, wire: Wire) -> None:
        """Serve a caller, whose request is still to be read."""
        with self._changed:
            self._callers += 1
        threading.Thread(target=self._serve, args=(wire,), name="serve").start()

    def hold(self) -> None:
        """Serve until it is time to go, and stay until the last command has ended."""
        while not self._is_over():
            # Another thread may close it at any time.
            with contextlib.suppress(OSError, ValueError):
                self._accept(self._listener)
        self._step_back()
        with self._changed:
            self._changed.wait_for(lambda: not self._callers)
        self._lines.close()

    def leave(self) -> None:
        """Go as soon as the commands that run have ended; nobody new is served."""
        self._is_leaving = True

    def _is_over(self) -> bool:
        with self._changed:
            is_idle = not self._callers
            seconds = SYSTEM_CLOCK.now() - self._used
        is_useless = is_idle and (seconds >= self._seconds or not self._lines.is_open)
        return self._is_leaving or is_useless or self._listener is None

    def _accept(self, listener: socket.socket | None) -> None:
        """Admit whoever comes within a second."""
        if listener and select.select([listener], [], [], _LOOK_SECONDS)[0]:
            caller, _ = listener.accept()
            if is_same_user(caller):
                self.admit(Wire(caller))
            else:
                caller.close()

    def _step_back(self) -> None:
        """Leave the place to another holder, at once."""
        with self._changed:
            listener, self._listener = self._listener, None
        if listener:
            leave(listener, self._state)

    def _serve(self, wire: Wire) -> None:
        try:
            with wire, contextlib.suppress(OSError, EOFError):
                self._answer(wire)
        finally:
            with self._changed:
                self._callers -= 1
                self._used = SYSTEM_CLOCK.now()
                self._changed.notify_all()

    def _answer(self, wire: Wire) -> None:
        wire.wait_at_most(_REQUEST_SECONDS)
        request = read_request(wire)
        wire.wait_at_most(None)
        if request is None or self._is_leaving or not self._means_the_same():
            self._go(wire)
        elif request.name != self._name:
            wire.send(frames.UNUSED, b"this is the holder of another name")
        elif request.command is not None:
            from spot_connect.holding.serving import serve

            self._seconds = request.seconds
            serve(wire, request.command, self._lines)
        else:
            self._seconds = request.seconds or self._seconds
            with contextlib.suppress(SpotConnectError):
                self._lines.open()
            wire.send(frames.UNUSED)

    def _means_the_same(self) -> bool:
        """Whether the name still means the machine at the other end."""
        try:
            return SshAliases(self._state).find(self._name) == self._target
        except SpotConnectError:
            return False

    def _go(self, wire: Wire) -> None:
        """Make room for a holder of the caller's version, and of the machine that it means."""
        self.leave()
        self._step_back()
        if not self._means_the_same():
            self._lines.close()
        wire.send(frames.UNUSED, b"the holder has stepped back")


def read_request(wire: Wire) -> Request | None:
    """What the caller wants; none if its program is of another version."""
    kind, payload = wire.receive()
    try:
        request = Request.from_bytes(payload) if kind == frames.REQUEST else None
    except ValueError:
        return None
    return request if request and request.version == __version__ else None


def main(arguments: Sequence[str]) -> int:
    """Serve the caller at the other end of standard input, and all who come after it; the exit status.

    Args:
        arguments: the state directory, and the name.
    """
    _become_a_process_of_its_own()
    caller = Wire(_taken_from_stdin())
    root, name = arguments
    try:
        holder = _holder(State(Path(root)), name)
    except SpotConnectError as error:
        with caller, contextlib.suppress(OSError):
            caller.send(frames.UNUSED, str(error).encode())
        return error.exit_code
    signal.signal(signal.SIGTERM, lambda *_: holder.leave())
    holder.admit(caller)
    holder.hold()
    return 0


def _holder(state: State, name: str) -> Holder:
    target = SshAliases(state).find(name)
    if target is None:
        raise InstanceNotFound(f"cannot hold a line to {name}", "it was not reached from this computer yet")
    begun = Dialling(target.host, target.port, _DIAL_SECONDS)
    path = socket_of(os.fspath(state.root), name)
    # Before all that takes time: whoever comes meanwhile is to wait here and not to start another holder.
    listener = claim(path, state) if path else None
    try:
        return Holder(state, target, _lines(state, target, begun), listener)
    except SpotConnectError:
        if listener:
            leave(listener, state)
        raise


def _lines(state: State, target: SshAlias, begun: Dialling) -> Lines:
    # While the server answers there is time to load what speaks to it.
    from spot_connect.holding.lines import Lines
    from spot_connect.store.pins import Pins

    return Lines(target, Pins(state), begun)


def _taken_from_stdin() -> socket.socket:
    caller = socket.socket(fileno=os.dup(0))
    # Only one descriptor may stand for the caller, or hanging up would not be heard.
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return caller


def _become_a_process_of_its_own() -> None:
    """No terminal, no directory and no file of whoever has started it: none of them is to wait for its end."""
    if sys.platform == "win32":
        raise OSError("there are no Unix sockets")
    os.setsid()
    os.chdir("/")
    os.closerange(3, min(os.sysconf("SC_OPEN_MAX"), _MOST_FILES))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
