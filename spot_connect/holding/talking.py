"""A command that a holder has taken on, heard to its end by the process that asked for it."""

from __future__ import annotations

import contextlib
import signal
import threading

from spot_connect.holding import frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    from spot_connect.core.errors import SshLost
    from spot_connect.holding.frames import Wire

    class Source(Protocol):
        """What a command reads: a raw file, which gives what is there."""

        def read(self, size: int, /) -> bytes | None:
            """At most ``size`` bytes, at least one of them; none at the end."""


class Streams:
    """The three streams of a command; without ``stdin`` it reads the end at once."""

    def __init__(self, stdin: Source | None, stdout: Callable[[bytes], None], stderr: Callable[[bytes], None]) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr


class Talk:
    """What is said about one command, from ``BEGUN`` to its end."""

    def __init__(self, wire: Wire, name: str, streams: Streams, tell: Callable[[str], None]) -> None:
        self._wire = wire
        self._name = name
        self._streams = streams
        self._tell = tell
        self._is_interrupted = False
        self._room = 0
        self._changed = threading.Condition()
        self._feeder = threading.Thread(target=self._feed, daemon=True, name="holder-stdin")

    def finish(self) -> int | None:
        """The command's exit status; none when it was not run after all.

        Raises:
            SshLost: the line broke; the command may still be running.
            KeyboardInterrupt: it was interrupted, and has ended.
        """
        with self._minding_ctrl_c():
            status = self._hear()
        if self._is_interrupted:
            raise KeyboardInterrupt
        return status

    def _hear(self) -> int | None:
        show = {frames.OUT: self._streams.stdout, frames.ERR: self._streams.stderr}
        while True:
            kind, payload = self._receive()
            if kind in show:
                self._show(show[kind], payload)
            elif kind in (frames.ROOM, frames.ENDED) and (number := frames.number(payload)) is not None:
                if kind == frames.ENDED:
                    return number
                self._make_room(number)
            elif kind == frames.UNUSED:
                self._tell(payload.decode(errors="replace"))
                return None
            elif kind == frames.LOST:
                if self._is_interrupted:
                    return None
                raise self._lost(payload.decode(errors="replace"))
            else:
                raise self._lost("the process that holds it said what makes no sense")

    def _receive(self) -> tuple[bytes, bytes]:
        try:
            return self._wire.receive()
        except (OSError, EOFError):
            return frames.LOST, b"the process that held it has ended"

    def _show(self, show: Callable[[bytes], None], data: bytes) -> None:
        try:
            show(data)
        except BaseException:
            # As on a line of its own: who listens no more, for whatever reason, ends the command.
            self._interrupt()
            raise

    def _lost(self, said: str) -> SshLost:
        from spot_connect.core.errors import SshLost

        advice = "The command may still be running; look on the instance before you start it again."
        return SshLost(f"the line to {self._name} broke", said, advice)

    def _make_room(self, size: int) -> None:
        with self._changed:
            self._room += size
            self._changed.notify()
        if not self._feeder.ident:
            self._feeder.start()

    def _feed(self) -> None:
        # Neither input that vanishes nor a command that has ended is anything to tell.
        with contextlib.suppress(OSError, ValueError):
            while piece := self._read():
                self._wait_for_room(len(piece))
                self._wire.send(frames.INPUT, piece)
            self._wire.send(frames.INPUT)

    def _read(self) -> bytes | None:
        try:
            return self._streams.stdin.read(frames.PIECE) if self._streams.stdin else None
        except OSError:
            return None

    def _wait_for_room(self, size: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._room >= size)
            self._room -= size

    @contextlib.contextmanager
    def _minding_ctrl_c(self) -> Iterator[None]:
        """Ctrl-C is passed on, and a second one leaves at once; who has other plans for it keeps them."""
        is_ours = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if is_ours:
            signal.signal(signal.SIGINT, self._on_ctrl_c)
        try:
            yield
        finally:
            if is_ours:
                signal.signal(signal.SIGINT, signal.default_int_handler)

    def _on_ctrl_c(self, *_: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._is_interrupted = True
        self._interrupt()

    def _interrupt(self) -> None:
        with contextlib.suppress(OSError):
            self._wire.send(frames.INTERRUPT)
