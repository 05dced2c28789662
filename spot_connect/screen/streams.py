"""Standard output for data: bytes of a remote script, and text."""

from __future__ import annotations

import codecs
import sys
from contextlib import nullcontext

from spot_connect.core.untrusted import printable

_LONGEST_LINE = 1 << 16

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
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


class _WholeLines:
    """Shows lines when they have ended.

    What is no whole line when it ends becomes one; so does what goes on for very long.
    """

    def __init__(self) -> None:
        self._rest = b""

    def __enter__(self) -> _WholeLines:
        return self

    def __exit__(self, *_: object) -> None:
        if self._rest:
            self._show([self._rest])

    def __call__(self, data: bytes) -> None:
        """Show the lines that ``data`` ends."""
        *ended, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            ended.append(self._rest)
            self._rest = b""
        if ended:
            self._show(ended)

    def _show(self, lines: list[bytes]) -> None:
        raise NotImplementedError


class Labelled(_WholeLines):
    """Hands on whole lines with a name in front, for one of several that write at once; their bytes stay as they are.

    What is no whole line when it ends becomes one; so does what goes on for very long.
    """

    def __init__(self, passage: Passage, name: str) -> None:
        super().__init__()
        self._passage = passage
        self._label = f"{printable(name)}: ".encode()

    def _show(self, lines: list[bytes]) -> None:
        # All at once: between two calls others write theirs.
        self._passage(b"".join(self._label + line + b"\n" for line in lines))


class Readable(_WholeLines):
    """Hands on whole lines of what nobody here vouches for, each fit to show; tabs become blanks.

    What is no whole line when it ends becomes one; so does what goes on for very long.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def _show(self, lines: list[bytes]) -> None:
        texts = (line.decode("utf-8", "replace").removesuffix("\r").expandtabs() for line in lines)
        self._stream.write("".join(f"{printable(text)}\n" for text in texts))
        self._stream.flush()


def foreign_to_stdout() -> AbstractContextManager[Callable[[bytes], None]]:
    """Where to hand what an instance has printed on its own behalf, such as its console.

    A terminal gets lines that are fit to show, since anybody who may write to the console could else write to the
    terminal. A pipe or a file gets every byte as it is, as ``ls`` has it with names: what reads there may want them.
    """
    return Readable(sys.stdout) if sys.stdout.isatty() else nullcontext(to_stdout())


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
    sys.stderr.write(f"{printable(question)} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def say(*lines: str) -> None:
    """Write lines of data to standard output: as many as are given, whatever is in them."""
    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))
    sys.stdout.flush()


def say_json(data: object) -> None:
    """Write data as JSON to standard output, in which all that is not ASCII is escaped."""
    # It would be loaded before each command over a held line.
    import json

    sys.stdout.write(f"{json.dumps(data, indent=2)}\n")
    sys.stdout.flush()
