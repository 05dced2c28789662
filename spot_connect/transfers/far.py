"""The helper on the instance, as this side talks to it."""

from __future__ import annotations

import binascii
import functools
import os
import shlex
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from spot_connect.core.untrusted import printable
from spot_connect.ssh.connection import Connection
from spot_connect.ssh.pipe import Pipe
from spot_connect.ssh.trouble import nonsense
from spot_connect.transfers.helper import program
from spot_connect.transfers.helper.frames import READY, frame

_NOISE = 1000
# Linux refuses a single argument of 128 KB.
_LONGEST_OPENING = 32 * 1024
_LONGEST_NUMBER = 19
_LONGEST_FRAME = 64 * 1024
_LONGEST_ANSWER = 1 << 30
_DIGEST = 65
_PIECE = 1024 * 1024
_WORDS = frozenset({b"ok", b"more", b"data"})


class NoHelper(Exception):
    """The instance lacks what the helper needs, or lets nobody run programs."""


class Far:
    """One helper process on the instance.

    Requests may be sent ahead of their answers, which come in the same order.

    Args:
        connection: the instance.
        opening: the first requests, which travel with the command that starts it.

    Raises:
        NoHelper: at the first answer, where the instance cannot run the helper.
        OSError: at an answer, what the system there said, with its error number.
        TransferFailed: at an answer that is none.
        SshLost: the line broke.
    """

    def __init__(self, connection: Connection, opening: bytes) -> None:
        self._greeted = False
        self.pipe = Pipe(connection, starting(opening))
        if len(opening) > _LONGEST_OPENING:
            self.write(opening)

    def ask(self, verb: bytes, *fields: bytes | int, words: Iterable[bytes] | None = None) -> None:
        """Send a request; ``words`` is a list that may be long."""
        self.write(request(verb, *fields, words=words))

    def write(self, data: bytes) -> None:
        """Send the body of a request."""
        try:
            self.pipe.write(data)
        except EOFError:
            while True:
                self.hear()

    def hear(self, count: int | None = None) -> list[bytes]:
        """The next answer; ``count`` is how many words it has, where that is known."""
        self._greet()
        try:
            length = _number(self.pipe.read_line(_LONGEST_NUMBER), _LONGEST_FRAME)
            word, *fields = self.pipe.read(length).split(b"\0")
        except EOFError as error:
            raise OSError(5, f"the helper ended: {printable(str(error))}") from error
        if word == b"error" and len(fields) == 3:
            number, path, said = fields
            text = printable(said.decode(errors="replace"))
            raise OSError(_number(number, _LONGEST_FRAME), text, printable(os.fsdecode(path)))
        if word not in _WORDS or (count is not None and len(fields) + 1 != count):
            raise nonsense("an answer of its helper is none")
        return [word, *fields]

    def hear_more(self, most: int = _LONGEST_ANSWER) -> bytes:
        """The next answer, of the kind that is long, but not longer than ``most``."""
        pieces, told = [], 0
        for piece in self._long(b"ok"):
            pieces.append(piece)
            told += len(piece)
            if told > most:
                raise nonsense("an answer of its helper does not end")
        return b"".join(pieces)

    def hear_all(self) -> Iterator[bytes]:
        """The next answer, of the kind that comes in pieces."""
        return self._long(b"more", b"ok")

    def _long(self, *words: bytes) -> Iterator[bytes]:
        unpacker, word = zlib.decompressobj(), b"more"
        while word == b"more":
            word, size = self.hear(2)
            if word not in words:
                raise nonsense("an answer of its helper is none")
            text, is_empty = self.pipe.read(_number(size, _LONGEST_ANSWER)), True
            # A little may unpack to very much, which is looked at as it comes.
            while piece := _unpacked(unpacker, text):
                yield piece
                text, is_empty = unpacker.unconsumed_tail, False
            if word == b"more" and is_empty:
                raise nonsense("an answer of its helper does not end")

    def reader(self) -> Callable[[int], bytes]:
        """What reads exactly so many bytes of an answer that is no frame."""
        self._greet()
        return self.pipe.read

    def digests(self, paths: Sequence[bytes]) -> list[bytes]:
        """SHA-256 of files there, in hexadecimal digits."""
        self.ask(b"digest", words=paths)
        found = self.hear_more(_DIGEST * len(paths)).split(b"\0")
        if len(found) != len(paths):
            raise nonsense("it tells the contents of other files than it was asked for")
        return found

    def close(self) -> None:
        """Let it end."""
        self.pipe.close()

    def _greet(self) -> None:
        if self._greeted:
            return
        try:
            # A start-up file of the user's shell may have its say first.
            if READY not in self._lines():
                raise NoHelper("something else answers")
        except EOFError as error:
            raise NoHelper(printable(str(error))) from error
        self._greeted = True

    def _lines(self) -> Iterator[bytes]:
        for _ in range(_NOISE):
            yield self.pipe.read_line()


def _number(word: bytes, most: int) -> int:
    if not (word.isdigit() and len(word) <= _LONGEST_NUMBER and int(word) <= most):
        raise nonsense("an answer of its helper has no length that could be")
    return int(word)


def _unpacked(unpacker: zlib._Decompress, text: bytes) -> bytes:
    try:
        return unpacker.decompress(text, _PIECE)
    except zlib.error:
        raise nonsense("an answer of its helper is not packed as it should be") from None


def request(verb: bytes, *fields: bytes | int, words: Iterable[bytes] | None = None) -> bytes:
    """A request, as the helper reads it."""
    if words is None:
        return frame(verb, *fields)
    squeezed = zlib.compress(b"\0".join(words), 1)
    return frame(verb, len(squeezed), *fields) + squeezed


def entering(folder: bytes) -> bytes:
    """The request to work below ``folder``, relative to the home directory, and to make it; nothing is answered."""
    return request(b"enter", folder)


def starting(opening: bytes) -> str:
    """The command that starts a helper, which begins with the requests in ``opening``."""
    first = opening if len(opening) <= _LONGEST_OPENING else b""
    text = (
        "import zlib,binascii;b=lambda s:zlib.decompress(binascii.a2b_base64(s));"
        f'exec(b("{_packed_program()}"));main(b("{_packed(first)}"))'
    )
    # The system's own interpreter starts at once; what comes first in a user's path may be a wrapper.
    find = 'for p in /usr/bin/python3 python3; do command -v "$p" >/dev/null && exec "$p" -IS -c "$1"; done; exit 127'
    return f"exec sh -c {shlex.quote(find)} sh {shlex.quote(text)}"


@functools.cache
def _packed_program() -> str:
    return _packed(program())


def _packed(data: bytes) -> str:
    # Text and nothing but: a command may not hold a zero byte, and the remote shell may be any.
    return binascii.b2a_base64(zlib.compress(data, 9), newline=False).decode()
