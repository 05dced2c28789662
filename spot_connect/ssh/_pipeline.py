"""Reading and writing over SFTP without waiting for each answer."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import paramiko

PIECE = 128 * 1024
_AHEAD = 64


class Pipeline:
    """Requests under way on one open file, and the answers to them in whatever order they come.

    paramiko's own pipelined writes lose the last refusals and hang when answers overtake each other; its
    prefetch leaves a thread that dies noisily when the transfer is given up.
    """

    def __init__(self, sftp: paramiko.SFTPClient, file: paramiko.SFTPFile) -> None:
        self._sftp: Any = sftp
        self._handle = file.handle
        self._asked: deque[tuple[int, int, int]] = deque()
        self._answers: dict[int, tuple[int, paramiko.Message]] = {}

    def write(self, offset: int, piece: bytes) -> None:
        """Ask to write; a refusal is raised by this or a later call."""
        from paramiko.sftp import CMD_WRITE

        if len(self._asked) >= _AHEAD:
            self._written()
        self._ask(CMD_WRITE, offset, len(piece), piece)

    def settle(self) -> None:
        """Return when everything is written."""
        while self._asked:
            self._written()

    def pieces(self, size: int, start: int = 0) -> Iterator[bytes]:
        """The file's first ``size`` bytes from ``start`` on, or fewer when it has fewer."""
        spans = ((offset, min(PIECE, size - offset)) for offset in range(start, size, PIECE))
        for span in islice(spans, _AHEAD):
            self._ask_read(*span)
        while self._asked:
            _, offset, length = self._asked[0]
            piece = self._whole(offset, length)
            yield piece
            if len(piece) < length:
                return
            for span in islice(spans, 1):
                self._ask_read(*span)

    def _whole(self, offset: int, length: int) -> bytes:
        """The answer awaited next, asking again where the server gave less than it was asked for."""
        piece = self._data()
        while piece and len(piece) < length:
            later, self._asked = self._asked, deque()
            self._ask_read(offset + len(piece), length - len(piece))
            more = self._data()
            self._asked = later
            if not more:
                break
            piece += more
        return piece

    def _ask_read(self, offset: int, length: int) -> None:
        from paramiko.sftp import CMD_READ

        self._ask(CMD_READ, offset, length, length)

    def _ask(self, command: int, offset: int, length: int, argument: int | bytes) -> None:
        from paramiko.sftp import int64

        number = self._sftp._async_request(self, command, self._handle, int64(offset), argument)
        self._asked.append((number, offset, length))

    def _written(self) -> None:
        self._sftp._convert_status(self._next()[1])

    def _data(self) -> bytes:
        from paramiko.sftp import CMD_DATA

        kind, message = self._next()
        if kind == CMD_DATA:
            return message.get_binary()
        with contextlib.suppress(EOFError):
            self._sftp._convert_status(message)
        return b""

    def _next(self) -> tuple[int, paramiko.Message]:
        number = self._asked.popleft()[0]
        while number not in self._answers:
            self._sftp._read_response()
        return self._answers.pop(number)

    def _async_response(self, kind: int, message: paramiko.Message, number: int) -> None:
        # Called by paramiko with every answer to a request of ours.
        self._answers[number] = (kind, message)
