"""The helper on the instance, as this side talks to it."""

from __future__ import annotations

import binascii
import functools
import os
import shlex
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from spot_connect.ssh.connection import Connection
from spot_connect.ssh.pipe import Pipe
from spot_connect.transfers import helper

_NOISE = 1000


class NoHelper(Exception):
    """The instance lacks what the helper needs, or lets nobody run programs."""


class Far:
    """One helper process on the instance.

    Requests may be sent ahead of their answers, which come in the same order.

    Raises:
        NoHelper: at the first answer, where the instance cannot run the helper.
        OSError: at an answer, what the system there said, with its error number.
        SshLost: the line broke.
    """

    def __init__(self, connection: Connection) -> None:
        self._greeted = False
        self.pipe = Pipe(connection, _command())

    def ask(self, verb: bytes, *fields: bytes | int, words: Iterable[bytes] | None = None) -> None:
        """Send a request; ``words`` is a list that may be long."""
        if words is None:
            self.write(helper.frame(verb, *fields))
            return
        squeezed = zlib.compress(b"\0".join(words), 1)
        self.write(helper.frame(verb, len(squeezed), *fields) + squeezed)

    def write(self, data: bytes) -> None:
        """Send the body of a request."""
        try:
            self.pipe.write(data)
        except EOFError:
            while True:
                self.hear()

    def hear(self) -> list[bytes]:
        """The next answer."""
        self._greet()
        try:
            word, *fields = self.pipe.read(int(self.pipe.read_line())).split(b"\0")
        except EOFError as error:
            raise OSError(5, f"the helper ended: {error}") from error
        if word == b"error":
            number, path, said = fields
            raise OSError(int(number), said.decode(errors="replace"), os.fsdecode(path))
        return [word, *fields]

    def hear_more(self) -> bytes:
        """The next answer, of the kind that is long."""
        _, size = self.hear()
        return zlib.decompress(self.pipe.read(int(size)))

    def digests(self, paths: Sequence[bytes]) -> list[bytes]:
        """SHA-256 of files there, in hexadecimal digits."""
        self.ask(b"digest", words=paths)
        return self.hear_more().split(b"\0")

    def close(self) -> None:
        """Let it end."""
        self.pipe.close()

    def enter(self, folder: bytes, *, make: bool) -> None:
        """Ask it to work below ``folder``, relative to the home directory; the answer tells the whole path."""
        self.ask(b"enter", folder, int(make))

    def _greet(self) -> None:
        if self._greeted:
            return
        try:
            # A start-up file of the user's shell may have its say first.
            word = next((line for line in self._lines() if line in (helper.READY, helper.USELESS)), b"")
        except EOFError as error:
            raise NoHelper(str(error)) from error
        if word != helper.READY:
            raise NoHelper(word.decode())
        self._greeted = True

    def _lines(self) -> Iterator[bytes]:
        for _ in range(_NOISE):
            yield self.pipe.read_line()


@functools.cache
def _command() -> str:
    # Text and nothing but: a command may not hold a zero byte, and the remote shell may be any.
    packed = binascii.b2a_base64(zlib.compress(Path(helper.__file__).read_bytes(), 9), newline=False).decode()
    program = f"import zlib,binascii\nexec(zlib.decompress(binascii.a2b_base64('{packed}')))\nmain()"
    # The system's own interpreter starts at once; what comes first in a user's path may be a wrapper.
    find = 'for p in /usr/bin/python3 python3; do command -v "$p" >/dev/null && exec "$p" -IS -c "$1"; done; exit 127'
    return f"exec sh -c {shlex.quote(find)} sh {shlex.quote(program)}"
