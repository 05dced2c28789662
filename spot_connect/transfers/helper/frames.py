"""How both sides talk to each other."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

READY = b"spot-connect: ready"


def frame(*fields: bytes | int) -> bytes:
    r"""The fields as one frame.

    Example:
        >>> frame(b"ok", 1)
        b'4\nok\x001'
    """
    text = b"\0".join(b"%d" % field if isinstance(field, int) else field for field in fields)
    return b"%d\n%s" % (len(text), text)


def by(count: int, words: list[bytes]) -> Iterator[tuple[bytes, ...]]:
    """The words in groups of so many."""
    return zip(*[iter(words)] * count)  # noqa: B905 - `strict` is younger than the oldest Python out there


def write_all(file: int, data: bytes | memoryview) -> None:
    """Write all of it."""
    written = os.write(file, data)
    if written < len(data):
        view = memoryview(data)[written:]
        while view:
            view = view[os.write(file, view) :]


def tell(data: bytes) -> None:
    """Send to the other side."""
    write_all(1, data)


def answer(body: bytes, word: bytes = b"ok") -> None:
    """Answer with more than a frame should hold."""
    tell(frame(word, len(body)))
    tell(body)
