"""Answers requests, each with the function of its name."""

from __future__ import annotations

import io
import os
import sys
import zlib

from spot_connect.transfers.helper.files import PIECE, make, partial_of, remove, settle
from spot_connect.transfers.helper.frames import READY, answer, by, frame, shorter, tell, tell_part
from spot_connect.transfers.helper.listing import listed
from spot_connect.transfers.helper.packs import Stage, Unsqueezing, joined, squeezed, taken, with_sizes
from spot_connect.transfers.helper.partial import Partial, complete, discard, leftovers, ranges, segments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO


_LISTING = 64 * 1024


class Helper:
    """Answers requests until its input ends."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source

    def serve(self) -> None:
        """Answer one request after the other."""
        verbs: dict[bytes, Callable[..., None]] = {
            b"enter": self._enter,
            b"list": self._list,
            b"begun": self._begun,
            b"stripe": self._stripe,
            b"complete": self._complete,
            b"discard": self._discard,
            b"unpack": self._unpack,
            b"make": self._make,
            b"settle": self._settle,
            b"remove": self._remove,
            b"fetch": self._fetch,
            b"pack": self._pack,
            b"digest": self._digest,
        }
        while True:
            length = self._source.readline()
            if not length.endswith(b"\n"):
                return
            verb, *fields = self._exactly(int(length)).split(b"\0")
            verbs[verb](*fields)

    def _exactly(self, size: int) -> bytes:
        data = self._source.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def _words(self, size: bytes) -> list[bytes]:
        """A long list of fields, which is sent compressed behind its request."""
        text = zlib.decompress(self._exactly(int(size)))
        return text.split(b"\0") if text else []

    def _enter(self, folder: bytes) -> None:
        make(folder)
        os.chdir(folder)

    def _list(self, size: bytes) -> None:
        packer = zlib.compressobj(1)
        waiting = os.getcwdb() + b"\0"
        for text in (text for name in self._words(size) for text in listed(name)):
            waiting += text
            # The other side reads what there is while this one still looks.
            if len(waiting) >= _LISTING:
                answer(packer.compress(waiting) + packer.flush(zlib.Z_SYNC_FLUSH), b"more")
                waiting = b""
        answer(packer.compress(waiting) + packer.flush())

    def _begun(self, size: bytes) -> None:
        words = self._words(size)
        found = []
        for target, token in by(2, words):
            for left in leftovers(target, token):
                remove(left)
            path = partial_of(target, token)
            there = b"%d" % os.path.exists(path)
            found.append(b" ".join((there, *(b"%d %d" % one for one in ranges(path)))))
        answer(zlib.compress(b"\0".join(found), 1))

    def _stripe(self, *fields: bytes) -> None:
        target, token = fields[:2]
        size, mode, time, offset, length, filled = map(int, fields[2:])
        partial = Partial(target, token, size, mode, time)
        at = offset
        try:
            for piece in taken(self._exactly, length if filled else 0):
                partial.write(at, piece)
                at += len(piece)
            at = offset + length
        finally:
            # What came before the line broke need not come again.
            how = partial.end(offset, at - offset)
        tell(frame(b"ok", how))

    def _complete(self, size: bytes) -> None:
        for target, token, length, mode, time in by(5, self._words(size)):
            complete(target, token, int(length), int(mode), int(time))
        tell(frame(b"ok"))

    def _discard(self, size: bytes) -> None:
        for target, token in by(2, self._words(size)):
            discard(target, token)
        tell(frame(b"ok"))

    def _unpack(self, size: bytes, is_slow: bytes) -> None:
        files = by(5, self._words(size))
        body = Unsqueezing(self._exactly).read if int(is_slow) else self._exactly
        stage = Stage(b".")
        try:
            for name, mode, length, time, target in files:
                if target:
                    stage.link(name, target, int(time))
                else:
                    stage.file(name, int(mode), int(time), taken(body, int(length)))
            stage.merge()
        finally:
            stage.remove()
        tell(frame(b"ok"))

    def _make(self, size: bytes) -> None:
        for path in self._words(size):
            make(path)
        tell(frame(b"ok"))

    def _settle(self, size: bytes) -> None:
        words = self._words(size)
        for path, mode, time in by(3, words):
            settle(path, int(mode), int(time))
        tell(frame(b"ok"))

    def _remove(self, size: bytes) -> None:
        for path in self._words(size):
            remove(path)
        tell(frame(b"ok"))

    def _fetch(self, path: bytes, start: bytes, size: bytes) -> None:
        end = int(start) + int(size)
        file = os.open(path, os.O_RDONLY)
        try:
            if os.fstat(file).st_size < end:
                raise shorter()
            for offset, stop in segments(file, int(start), end):
                tell(frame(b"data", offset, stop - offset))
                tell_part(file, offset, stop - offset)
            found = os.fstat(file)
        finally:
            os.close(file)
        tell(frame(b"ok", found.st_ino, found.st_mtime_ns, found.st_size))

    def _pack(self, size: bytes, is_slow: bytes) -> None:
        for piece in joined(with_sizes(self._words(size))):
            tell(squeezed(piece) if int(is_slow) else piece)
        tell(frame(b"ok"))

    def _digest(self, size: bytes) -> None:
        import hashlib

        found = []
        for path in self._words(size):
            total = hashlib.sha256()
            with open(path, "rb") as file:
                for piece in iter(lambda: file.read(PIECE), b""):
                    total.update(piece)
            found.append(total.hexdigest().encode())
        answer(zlib.compress(b"\0".join(found), 1))


def main(opening: bytes) -> None:
    """Serve what is asked in ``opening`` and then by the other side, and say what went wrong before ending."""
    tell(READY + b"\n")
    try:
        Helper(io.BytesIO(opening)).serve()
        Helper(os.fdopen(0, "rb", PIECE)).serve()
    except EOFError:
        pass
    except OSError as error:
        path = error.filename if isinstance(error.filename, bytes) else os.fsencode(error.filename or "")
        try:
            tell(frame(b"error", error.errno or 0, path, os.fsencode(error.strerror or str(error))))
        except OSError:
            sys.exit(1)
