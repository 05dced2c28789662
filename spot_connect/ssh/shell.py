"""An interactive shell on an instance."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from spot_connect.core.errors import SshLost
from spot_connect.core.waiting import SYSTEM_CLOCK
from spot_connect.ssh.command import Listener, exit_status, send_input
from spot_connect.ssh.connection import Connection
from spot_connect.ssh.terminal import Terminal, is_terminal, on_resize, raw_terminal
from spot_connect.ssh.trouble import lost

if TYPE_CHECKING:
    import paramiko

_PIECE = 1024 * 1024
_MUCH = 16 * 1024
_GATHERING_SECONDS = 0.005
_DROPPED = 255
_HELP = b"\r\n~.  drop the line\r\n~~  send a ~\r\n~?  this text\r\n"


def interact(connection: Connection, *, stdin: IO[Any] | None = None, stdout: IO[Any] | None = None) -> int:
    """Give the user a login shell on the instance and tell its exit status, 128 + n when signal n ended it.

    From a terminal the shell has a terminal too: full-screen programs, resizing, Ctrl-C and the other control
    keys work, and this terminal is restored whatever happens. ``~.`` at the start of a line drops the line, with
    status 255. From a pipe or a file the shell reads commands, and its standard error goes to ours.

    Raises:
        SshLost: the line broke; and all that ``Connection.open`` raises.

    Example:
        >>> interact(connection)  # doctest: +SKIP
        0
    """
    source, target = stdin or sys.stdin, stdout or sys.stdout
    channel = connection.channel()
    try:
        if is_terminal(source):
            return _at_terminal(connection, channel, source, target)
        return _piped(connection, channel, source, target)
    finally:
        channel.close()


def _piped(connection: Connection, channel: paramiko.Channel, source: IO[Any], target: IO[Any]) -> int:
    listener = Listener(_writer(target), _writer(sys.stderr), capture=False)
    listener.attach(channel)
    with lost(connection, "the shell"):
        channel.invoke_shell()
    send_input(channel, _binary(source))
    listener.listen()
    return _status(connection, channel)


def _binary(stream: IO[Any]) -> BinaryIO:
    return cast("BinaryIO", getattr(stream, "buffer", stream))


def _writer(stream: IO[Any]) -> Callable[[bytes], None]:
    binary = _binary(stream)

    def write(data: bytes) -> None:
        binary.write(data)
        binary.flush()

    return write


def _at_terminal(connection: Connection, channel: paramiko.Channel, source: IO[Any], target: IO[Any]) -> int:
    with raw_terminal(source, target) as terminal:
        with lost(connection, "the shell"):
            columns, rows = terminal.size()
            channel.get_pty(os.environ.get("TERM") or "xterm", columns, rows)
            channel.invoke_shell()
        with _Session(channel, terminal) as session:
            if session.converse() == _DROPPED:
                return _DROPPED
    return _status(connection, channel)


def _status(connection: Connection, channel: paramiko.Channel) -> int:
    try:
        return exit_status(connection, channel)
    except SshLost as error:
        advice = "`spot_connect list` tells whether the instance still runs."
        raise SshLost(error.what, "the end of the shell was not heard", advice) from error


class Escapes:
    """Finds ``~.`` and its like in what is typed, at the start of a line only.

    Example:
        >>> Escapes().feed(b"a~.b")
        (b'a~.b', '')
        >>> Escapes().feed(b"~.")
        (b'', '.')
    """

    def __init__(self) -> None:
        self._at_start = True
        self._tilde = False

    def feed(self, typed: bytes) -> tuple[bytes, str]:
        """What to send, and the escape that was met (``.`` or ``?``), else nothing; bytes after ``~.`` are dropped."""
        if not self._tilde and b"~" not in typed:
            self._at_start = typed[-1:] in (b"\r", b"\n") if typed else self._at_start
            return typed, ""
        out, met = bytearray(), ""
        for byte in typed:
            met = self._step(byte, out) or met
            if met == ".":
                break
        return bytes(out), met

    def _step(self, byte: int, out: bytearray) -> str:
        if self._tilde:
            self._tilde = False
            if byte in b".?":
                self._at_start = True
                return chr(byte)
            out += b"~"
            if byte == ord("~"):
                self._at_start = False
                return ""
        elif self._at_start and byte == ord("~"):
            self._tilde = True
            return ""
        out.append(byte)
        self._at_start = byte in b"\r\n"
        return ""


class _Session:
    """Keys to the channel, output to the terminal, until the remote shell has ended."""

    def __init__(self, channel: paramiko.Channel, terminal: Terminal) -> None:
        self._channel = channel
        self._terminal = terminal
        self._escapes = Escapes()
        self._unsent = b""
        self._size = terminal.size()
        self._typing = True
        self._woken, self._waker = socket.socketpair()

    def __enter__(self) -> _Session:
        self._waker.settimeout(0)
        self._channel.setblocking(0)
        return self

    def __exit__(self, *_: object) -> None:
        self._woken.close()
        self._waker.close()

    def converse(self) -> int:
        """Until the shell's output ends; ``_DROPPED`` when the user dropped the line."""
        with on_resize(self._wake):
            while True:
                ready = self._wait()
                if self._woken.fileno() in ready:
                    self._woken.recv(4096)
                self._fit()
                if self._terminal.fileno() in ready and not self._type():
                    return _DROPPED
                self._send()
                if self._channel.fileno() in ready and not self._show():
                    return 0

    def _wait(self) -> set[int]:
        watched = [self._channel.fileno(), self._woken.fileno()]
        if self._typing and not self._unsent:
            watched.append(self._terminal.fileno())
        # While the server takes no more input nothing tells when it does again; and Windows tells no resizing.
        seconds = 0.05 if self._unsent else 0.5
        return set(select.select(watched, [], [], seconds)[0])

    def _wake(self) -> None:
        # The handler may interrupt paramiko where it holds its locks, so it must not call it.
        with contextlib.suppress(OSError):
            self._waker.send(b"w")

    def _fit(self) -> None:
        size = self._terminal.size()
        if size != self._size:
            self._size = size
            with contextlib.suppress(Exception):
                self._channel.resize_pty(*size)

    def _type(self) -> bool:
        """Take what was typed; false when the user dropped the line."""
        typed = self._terminal.read()
        if not typed:
            self._typing = False
            self._channel.shutdown_write()
            return True
        self._unsent, met = self._escapes.feed(typed)
        if met == "?":
            self._terminal.write(_HELP)
        return met != "."

    def _send(self) -> None:
        # A closed channel is noticed where its output ends.
        with contextlib.suppress(OSError, EOFError):
            while self._unsent and self._channel.send_ready():
                self._unsent = self._unsent[self._channel.send(self._unsent) :] if not self._channel.closed else b""

    def _show(self) -> bool:
        """Show what has come; false when nothing more will."""
        while piece := self._output():
            self._terminal.write(piece)
            if len(piece) >= _MUCH:
                # More is on its way: to wake for each packet takes the interpreter from the thread that decrypts it.
                SYSTEM_CLOCK.sleep(_GATHERING_SECONDS)
            if not self._channel.recv_ready():
                return True
        return piece is None

    def _output(self) -> bytes | None:
        """What has come, empty at the end, nothing while there is nothing yet."""
        try:
            return self._channel.recv(_PIECE)
        except TimeoutError:
            return None
        except (OSError, EOFError):
            return b""
