"""What a command and a holder say to each other over a Unix socket: frames, each a kind, a length and its bytes.

Every version of the program understands the first frame of a caller and ``UNUSED`` as they are here, so that a holder
of another version can be told to step back.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

from spot_connect import __version__

REQUEST = b"r"
"""From a caller: what it wants."""
INPUT = b"i"
"""From a caller: standard input; empty at its end."""
INTERRUPT = b"c"
"""From a caller: Ctrl-C."""
BEGUN = b"b"
"""From a holder: unless ``UNUSED`` comes, the command may have run from now on."""
UNUSED = b"n"
"""From a holder: nothing was run and nothing will be, and why."""
ROOM = b"w"
"""From a holder: room for so many more bytes of input; none is read before there is some."""
OUT, ERR = b"o", b"e"
"""From a holder: what the command writes."""
ENDED = b"x"
"""From a holder: the command's exit status."""
LOST = b"l"
"""From a holder: the line broke, and how."""

INPUT_ROOM = 1024 * 1024
"""So much input may be under way to a holder. It keeps all of it, and so can hear of Ctrl-C at any time."""
PIECE = 64 * 1024
_HEAD = struct.Struct("!cI")
_LONGEST = 64 * 1024 * 1024
_READ = 256 * 1024


def number(payload: bytes) -> int | None:
    """The number that a frame tells; ``None`` when it is none.

    Example:
        >>> number(b"65536"), number(b"x")
        (65536, None)
    """
    return int(payload) if payload.isdigit() and len(payload) < 20 else None


class Wire:
    """Frames over a connected socket, sent by any thread and received by one."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._sending = threading.Lock()
        self._received = bytearray()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        """Send one frame.

        Raises:
            OSError: nobody is there any more.
        """
        with self._sending:
            self._socket.sendall(_HEAD.pack(kind, len(payload)) + payload)

    def receive(self) -> tuple[bytes, bytes]:
        """The next frame's kind and bytes.

        Raises:
            EOFError: the other side has closed.
            OSError: it has vanished, or says what is no frame.
        """
        kind, size = _HEAD.unpack(self._take(_HEAD.size))
        if size > _LONGEST:
            raise ConnectionError("that is no frame")
        return kind, self._take(size)

    def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            piece = self._socket.recv(_READ)
            if not piece:
                raise EOFError("the other side has closed")
            self._received += piece
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def wait_at_most(self, seconds: float | None) -> None:
        """Give up waiting for the other side after so long, with ``TimeoutError``."""
        self._socket.settimeout(seconds)

    def refuse_more(self) -> None:
        """Have whatever the other side sends from now on fail there; what has arrived can still be received."""
        self._socket.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Hang up, also on a thread that is receiving."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Request:
    """What a caller wants of the holder of a name.

    Args:
        name: the machine's.
        seconds: how long to hold its line when nobody uses it.
        command: what to run; with ``None`` the line is only opened.
        is_farewell: nothing, but that the holder goes if the name means another machine, or none, by now.
        version: of the caller's program.

    Example:
        >>> Request.from_bytes(Request("vm1", 600, "true").to_bytes()).command
        'true'
    """

    def __init__(
        self,
        name: str,
        seconds: float = 0.0,
        command: str | None = None,
        *,
        is_farewell: bool = False,
        version: str = __version__,
    ) -> None:
        self.name = name
        self.seconds = seconds
        self.command = command
        self.is_farewell = is_farewell
        self.version = version

    def to_bytes(self) -> bytes:
        """The request as it travels."""
        verb = "part" if self.is_farewell else "open" if self.command is None else "run"
        text = f"{self.version} {verb} {self.seconds} {self.name}\0{self.command or ''}"
        return text.encode(errors="surrogateescape")

    @staticmethod
    def from_bytes(data: bytes) -> Request:
        """The request that ``to_bytes`` has written.

        Raises:
            ValueError: it is none that this version knows.
        """
        said, _, command = data.decode(errors="surrogateescape").partition("\0")
        version, verb, text, name = said.split(" ", 3)
        seconds = float(text)
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"{text} is no time")
        return Request(name, seconds, command if verb == "run" else None, is_farewell=verb == "part", version=version)
