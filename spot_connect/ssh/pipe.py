"""A program on an instance, fed and read as two streams of bytes."""

from __future__ import annotations

import contextlib

from spot_connect.core.errors import SshError
from spot_connect.ssh._pieces import Pieces
from spot_connect.ssh._transport import Transport
from spot_connect.ssh.connection import Connection
from spot_connect.ssh.trouble import loss, lost

_WORDS = 4096
_LONGEST_LINE = 64 * 1024
_CHUNK = 256 * 1024
_GATHER_SECONDS = 0.01


class Pipe:
    """A command that runs on the instance, with its standard input and output in our hands.

    Nothing is waited for when it starts: what is written travels behind the command. Each direction may be used by a
    thread of its own.

    Raises:
        EOFError: the program has ended.
        SshLost: the line broke; and all that opening a connection raises.

    Example:
        >>> with Pipe(connection, "cat") as pipe:  # doctest: +SKIP
        ...     pipe.write(b"hello")
        ...     pipe.read(5)
        b'hello'
    """

    def __init__(self, connection: Connection, command: str) -> None:
        self._connection = connection
        self._rest = b""
        self._at = 0
        self._expected = 0
        self._channel = connection.start(command)

    def __enter__(self) -> Pipe:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, data: bytes) -> None:
        """Send all of ``data``, at the pace at which it is read there."""
        transport: Transport = self._channel.get_transport()  # type: ignore[assignment]
        left = memoryview(data)
        while left:
            try:
                sent = transport.send_data(self._channel, left)
            except (OSError, EOFError) as error:
                raise self._ended() from error
            if not sent:
                raise self._ended()
            left = left[sent:]

    def expect(self, size: int) -> None:
        """So many bytes are about to come, as far as is known; they are taken in large pieces then."""
        self._expected = size

    def read_some(self, most: int) -> bytes:
        """What has arrived, at least one byte and at most ``most``."""
        if self._at >= len(self._rest):
            self._refill()
        piece = self._rest[self._at : self._at + most] if self._at or most < len(self._rest) else self._rest
        self._at += len(piece)
        return piece

    def view_some(self, most: int) -> memoryview:
        """The same, without a copy."""
        if self._at >= len(self._rest):
            self._refill()
        piece = memoryview(self._rest)[self._at : self._at + most]
        self._at += len(piece)
        return piece

    def _refill(self) -> None:
        try:
            self._rest, self._at = self._received(), 0
        except (OSError, EOFError) as error:
            # Reading makes room, which is said to the server: a line that broke may be noticed there first.
            raise self._lost() from error
        if not self._rest:
            raise self._ended()

    def _received(self) -> bytes:
        if self._expected:
            pieces: Pieces = self._channel.in_buffer  # type: ignore[assignment]
            pieces.gather(min(self._expected, _CHUNK), _GATHER_SECONDS)
        data = self._channel.recv(_CHUNK)
        self._expected = max(0, self._expected - len(data))
        return data

    def _ended(self) -> Exception:
        # Only a server that is still there says that a program has ended.
        if self._channel.eof_received or self._channel.exit_status != -1:
            return EOFError(self.said)
        return self._lost()

    def _lost(self) -> SshError:
        what = f"the line to {self._connection} broke during the transfer"
        return loss(self._connection, what, "the connection was lost", "Start it again; what has arrived is kept.")

    def read(self, size: int) -> bytes:
        """Exactly ``size`` bytes."""
        end = self._at + size
        if end <= len(self._rest):
            # The shortest way through thousands of small files.
            piece, self._at = self._rest[self._at : end], end
            return piece
        first = self.read_some(size) if size else b""
        if len(first) == size:
            return first
        pieces, missing = [first], size - len(first)
        while missing:
            pieces.append(self.read_some(missing))
            missing -= len(pieces[-1])
        return b"".join(pieces)

    def read_line(self, most: int = _LONGEST_LINE) -> bytes:
        """Up to the next line end, which is left out; or as many bytes as are enough."""
        line = bytearray()
        while len(line) < most and (byte := self.read_some(1)) != b"\n":
            line += byte
        return bytes(line)

    @property
    def said(self) -> str:
        """What the program has complained about on its standard error."""
        stream = self._channel.in_stderr_buffer
        words = self._channel.recv_stderr(_WORDS) if stream.read_ready() else b""
        return words.decode(errors="replace").strip()

    def end(self, seconds: float) -> bool:
        """Close its input and wait for its end; whether it came."""
        with lost(self._connection, "the transfer"):
            self._channel.shutdown_write()
        return self._channel.status_event.wait(seconds)

    def close(self) -> None:
        """Let go of it; a program that reads its input ends by that."""
        # On a line that broke there is nobody to tell.
        with contextlib.suppress(SshError), lost(self._connection, "the transfer"):
            self._channel.close()
