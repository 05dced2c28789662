from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from spot_connect.ssh._line import Line
from spot_connect.ssh._pipeline import PIECE, Pipeline


def test_a_line_gives_no_more_than_was_asked_for_and_loses_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = Line(socket.create_connection(listener.getsockname()))
        far, _ = listener.accept()
        with near, far:
            far.sendall(b"0123456789")
            far.shutdown(socket.SHUT_WR)
            assert near.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            got = [near.recv(1), near.recv(4)]
            while piece := near.recv(3):
                got.append(piece)
            assert b"".join(got) == b"0123456789"
            assert max(map(len, got)) <= 4


def test_the_end_of_a_line_wakes_up_whoever_waits_for_what_comes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = Line(socket.create_connection(listener.getsockname()))
        far, _ = listener.accept()
        near.settimeout(None)

        def wait() -> None:
            with contextlib.suppress(OSError):
                near.recv(1)

        waiting = threading.Thread(target=wait, daemon=True)
        with far:
            waiting.start()
            # Long enough to be waiting by then; a shorter time makes the test weaker, not wrong.
            waiting.join(0.2)
            near.close()
            waiting.join(30)
            assert not waiting.is_alive()
            assert far.recv(1) == b""


class OddServer:
    """Answers reads late, in reverse, and with less than was asked for."""

    def __init__(self, content: bytes, most: int) -> None:
        self.content = content
        self.most = most
        self.waiting: list[tuple[int, int, int]] = []
        self.number = 0

    def _async_request(self, owner: object, kind: int, handle: object, offset: int, length: int) -> int:
        self.owner = owner
        self.number += 1
        self.waiting.append((self.number, int(offset), length))
        return self.number

    def _read_response(self) -> None:
        from paramiko.message import Message
        from paramiko.sftp import CMD_DATA, CMD_STATUS

        number, offset, length = self.waiting.pop()
        message = Message()
        piece = self.content[offset : offset + min(length, self.most)]
        message.add_string(piece)
        message.rewind()
        self.owner._async_response(CMD_DATA if piece else CMD_STATUS, message, number)  # type: ignore[attr-defined]

    def _convert_status(self, message: object) -> None:
        raise EOFError


class File:
    handle = b"h"


@pytest.mark.parametrize("most", [PIECE, 1000, 70000])
@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, 5 * PIECE - 1])
def test_a_pipeline_puts_odd_answers_in_order(most: int, size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    pipeline = Pipeline(OddServer(content[:size], most), File())  # type: ignore[arg-type]
    assert b"".join(pipeline.pieces(size)) == content[:size]


def test_a_file_that_shrank_ends_early() -> None:
    pipeline = Pipeline(OddServer(b"x" * PIECE + b"y", PIECE), File())  # type: ignore[arg-type]
    assert b"".join(pipeline.pieces(10 * PIECE)) == b"x" * PIECE + b"y"
