"""One command of one caller, over a held line."""

from __future__ import annotations

import contextlib
import io
import threading
from functools import partial
from queue import SimpleQueue
from typing import BinaryIO, cast

from spot_connect.core.errors import SpotConnectError, SshError, SshRefused
from spot_connect.holding import frames
from spot_connect.holding.frames import Wire
from spot_connect.holding.lines import Lines
from spot_connect.ssh.command import LIVE_PYTHON, Running, as_one
from spot_connect.ssh.connection import Connection

_LAST_WORDS_SECONDS = 6.0


def serve(wire: Wire, command: str, lines: Lines) -> None:
    """Run the command and tell the caller how it went.

    Raises:
        OSError: the caller has gone; so are the command's streams.
    """
    Service(wire, command).run(lines)


class Service:
    """The holder's side of a command: what it writes goes to the caller, what the caller sends is its input."""

    def __init__(self, wire: Wire, command: str) -> None:
        self._wire = wire
        self._inlet = _Inlet(wire)
        self._command, self._stdin = as_one(command, cast("BinaryIO", self._inlet))
        self._running: Running | None = None
        self._ended = threading.Event()

    def run(self, lines: Lines) -> None:
        """From ``BEGUN`` to ``ENDED``."""
        try:
            lines.check()
            self._wire.send(frames.BEGUN)
            with lines.begun(self._on) as running:
                self._converse(running)
        except SpotConnectError as error:
            kind = frames.LOST if self._may_have_begun(error) else frames.UNUSED
            self._wire.send(kind, (error.said or error.what).encode())

    def _on(self, connection: Connection) -> Running:
        self._running = Running(
            connection,
            self._command,
            partial(self._wire.send, frames.OUT),
            partial(self._wire.send, frames.ERR),
            stdin=self._stdin,
            environment=LIVE_PYTHON,
        )
        return self._running

    def _may_have_begun(self, error: SpotConnectError) -> bool:
        # Who was not let in was asked for nothing, whatever was sent behind the login.
        return self._running is not None and self._running.may_have_begun and not isinstance(error, SshRefused)

    def _converse(self, running: Running) -> None:
        threading.Thread(target=self._heed, args=(running,), daemon=True, name="caller").start()
        try:
            self._inlet.open()
            finished = running.finish()
            self._wire.send(frames.ENDED, b"%d" % finished.exit_status)
        finally:
            self._ended.set()

    def _heed(self, running: Running) -> None:
        """Take what the caller sends until it has gone; the session goes with it."""
        try:
            while True:
                kind, payload = self._wire.receive()
                if kind == frames.INPUT:
                    self._inlet.put(payload)
                elif kind == frames.INTERRUPT:
                    threading.Thread(target=self._interrupt, args=(running,), daemon=True, name="interrupt").start()
        except (OSError, EOFError):
            running.close()
            self._inlet.put(b"")

    def _interrupt(self, running: Running) -> None:
        with contextlib.suppress(SshError):
            running.interrupt()
        if not self._ended.wait(_LAST_WORDS_SECONDS):
            running.close()


class _Inlet(io.RawIOBase):
    """The command's input as the caller sends it, which is told how much of it has gone on."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire
        self._pieces: SimpleQueue[bytes] = SimpleQueue()
        self._given = 0

    def open(self) -> None:
        """Have the caller begin to read its input."""
        self._wire.send(frames.ROOM, b"%d" % frames.INPUT_ROOM)

    def put(self, piece: bytes) -> None:
        """Take a piece; an empty one is the end."""
        self._pieces.put(piece)

    def read1(self, _size: int) -> bytes:
        """The next piece, smaller than anybody asks for; those that were given before have gone on."""
        if self._given:
            self._wire.send(frames.ROOM, b"%d" % self._given)
        piece = self._pieces.get()
        self._given = len(piece)
        return piece
