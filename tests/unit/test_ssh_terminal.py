from __future__ import annotations

import io
import os
import queue
import select
import sys

import pytest

from spot_connect.ssh.shell import Escapes
from spot_connect.ssh.terminal import KeyReader, is_terminal, raw_terminal, size_of, windows_key

needs_termios = pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals on Windows")


@pytest.mark.parametrize(
    ("pieces", "sent", "met"),
    [
        ([b"~."], b"", "."),
        ([b"~", b"."], b"", "."),
        ([b"ls\r~."], b"ls\r", "."),
        ([b"ls\r", b"~", b"."], b"ls\r", "."),
        ([b"a~."], b"a~.", ""),
        ([b"a", b"~."], b"a~.", ""),
        ([b"~~."], b"~.", ""),
        ([b"~~~."], b"~~.", ""),
        ([b"~x"], b"~x", ""),
        ([b"~\r~."], b"~\r", "."),
        ([b"~?", b"~."], b"", "?."),
        ([b"\xc3\xbc~.\r"], b"\xc3\xbc~.\r", ""),
        ([b"", b"~."], b"", "."),
        ([b"x", b"", b"~."], b"x~.", ""),
    ],
)
def test_escapes_are_met_at_the_start_of_a_line_only(pieces: list[bytes], sent: bytes, met: str) -> None:
    escapes = Escapes()
    answers = [escapes.feed(piece) for piece in pieces]
    assert b"".join(answer[0] for answer in answers) == sent
    assert "".join(answer[1] for answer in answers) == met


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("a", b"a"),
        ("\x03", b"\x03"),
        ("\r", b"\r"),
        ("\b", b"\x7f"),
        ("é", "é".encode()),
        ("\ud83d\ude00", "😀".encode()),
        ("\xe0K", b"\x1b[D"),
        ("\0;", b"\x1bOP"),
        ("\xe0\xff", b""),
        ("à", "à".encode()),
    ],
)
def test_windows_keys_become_a_terminals_bytes(typed: str, sent: bytes) -> None:
    keys = list(typed)
    assert windows_key(lambda: bool(keys), lambda: keys.pop(0)) == sent
    assert keys == []


def test_the_key_reader_passes_keys_to_select() -> None:
    keys: queue.SimpleQueue[str] = queue.SimpleQueue()
    reader = KeyReader(lambda: not keys.empty(), keys.get)
    reader.start()
    keys.put("x")
    assert select.select([reader], [], [], 10)[0] == [reader]
    assert reader.read() == b"x"
    reader.stop()


def test_files_and_pipes_are_no_terminals() -> None:
    assert not is_terminal(io.BytesIO())
    ours, theirs = os.pipe()
    with os.fdopen(ours) as stream:
        assert not is_terminal(stream)
        assert size_of(theirs) == (80, 24)
    os.close(theirs)
    assert not is_terminal(stream)


@needs_termios
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_the_terminal_is_restored_whatever_happens(error: type[BaseException]) -> None:
    import termios

    master, slave = os.openpty()
    with os.fdopen(slave, "rb+", buffering=0) as stream, os.fdopen(master, "rb+", buffering=0) as other:
        before = termios.tcgetattr(stream)

        def use() -> None:
            with raw_terminal(stream, stream) as terminal:
                assert termios.tcgetattr(stream) != before
                other.write(b"\x03")
                assert terminal.read() == b"\x03"
                terminal.write(b"\n")
                assert other.read(10) == b"\n"
                raise error

        with pytest.raises(error):
            use()
        assert termios.tcgetattr(stream) == before
