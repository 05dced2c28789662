"""Standard output for data: bytes of a remote script, and text."""

from __future__ import annotations

import codecs
import sys

_LONGEST_LINE = 1 << 16

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO


class Passage:
    """Hands a remote stream to a local one as it comes, whatever kind of stream that is.

    A notebook's streams take text only, and a character may arrive in two parts.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def __call__(self, data: bytes) -> None:
        """Show ``data`` at once."""
        raw = getattr(self._stream, "buffer", None)
        if raw is None:
            self._stream.write(self._decoder.decode(data))
        else:
            self._stream.flush()
            raw.write(data)
            raw.flush()
        self._stream.flush()


class Labelled:
    """Hands on whole lines with a name in front, for one of several that write at once.

    What is no whole line when it ends becomes one; so does what goes on for very long.
    """

    def __init__(self, passage: Passage, name: str) -> None:
        self._passage = passage
        self._label = f"{name}: ".encode()
        self._rest = b""

    def __enter__(self) -> Labelled:
        return self

    def __exit__(self, *_: object) -> None:
        self._show(self._rest)

    def __call__(self, data: bytes) -> None:
        """Show the lines that ``data`` ends."""
        ended, _, self._rest = (self._rest + data).rpartition(b"\n")
        self._show(ended)
        if len(self._rest) > _LONGEST_LINE:
            self._show(self._rest)
            self._rest = b""

    def _show(self, text: bytes) -> None:
        if text:
            # All at once: between two calls others write theirs.
            self._passage(b"".join(self._label + line + b"\n" for line in text.split(b"\n")))


def to_stdout() -> Passage:
    """A passage to whatever standard output is now."""
    return Passage(sys.stdout)


def to_stderr() -> Passage:
    """A passage to whatever standard error is now."""
    return Passage(sys.stderr)


def confirmed(question: str) -> bool:
    """Whether a person at a terminal says yes to the question; nobody there means no."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def say(text: str) -> None:
    """Write a line of data to standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
