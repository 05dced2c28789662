"""A real SSH server on the loopback interface whose owner means harm: it lists whatever a test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import stat
import threading
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
from asyncssh.sftp import SFTPAttrs, SFTPName

from spot_connect.core.models import Address
from spot_connect.transfers.helper.frames import READY, frame
from spot_connect.transfers.helper.packs import SIZE, joined, squeezed
from tests.boundary.ssh.servers import Server, make_key

KINDS = {"f": stat.S_IFREG, "d": stat.S_IFDIR, "l": stat.S_IFLNK, "?": stat.S_IFIFO}
TIME = 1_600_000_000


@dataclass(frozen=True)
class Named:
    """What the server says of one name; a mode may have any bits."""

    name: bytes
    kind: str = "f"
    mode: int = 0o644
    size: int = 5
    link: bytes = b""
    time: int = TIME


def listing(top: bytes, folders: Mapping[bytes, list[Named]], end: bytes = b".\0\0\0") -> bytes:
    """What the helper would tell of a tree, by the directories in it; the top is called ``b""``."""
    text = b"/home/nobody\0"
    for folder, names in folders.items():
        text += record(Named(top + (b"/" + folder if folder else b""), "d", 0o755))
        text += b"".join(record(one) for one in names if one.kind != "d")
    return text + end


def record(one: Named) -> bytes:
    """One record of such a listing."""
    about = f"{one.kind}{one.mode} {one.size} {one.time * 10**9}".encode()
    return b"\0".join((about, one.name, one.link, b""))


@dataclass
class Hostile:
    """A server that runs, and what it does with whoever comes.

    Attributes:
        listing: what its helper tells when it is asked what there is; it has none where there is nothing.
        raw: what its helper says in the place of all answers.
        folders: what SFTP lists, by path.
        content: what is in files: by default as many ``x`` as were listed.
        pack: what its helper sends in the place of small files.
        fetch: what its helper sends in the place of a part of a big file.
    """

    server: Server
    listing: bytes = b""
    raw: bytes = b""
    folders: dict[bytes, list[Named]] = field(default_factory=dict)
    content: Callable[[bytes], bytes] = lambda _: b"x" * 5
    pack: bytes = b""
    fetch: bytes = b""
    endless: Callable[[], Iterator[bytes]] | None = None

    def forget(self) -> None:
        """Be as it was at first."""
        self.listing = self.raw = self.pack = self.fetch = b""
        self.folders, self.endless = {}, None
        self.content = lambda _: b"x" * 5


@contextlib.contextmanager
def hostile_server(folder: Path) -> Iterator[Hostile]:
    """Such a server in a thread of its own."""
    make_key(folder / "user")
    host_key = make_key(folder / "host")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="hostile")
    thread.start()
    found = Hostile(Server("hostile", Address("127.0.0.1", 0), "somebody", folder / "user", host_key))

    def on(work: Awaitable[Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(20)  # type: ignore[arg-type]

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[str(folder / "host")],
            authorized_client_keys=str(folder / "user.pub"),
            process_factory=lambda process: _run(found, process),
            sftp_factory=lambda channel: _Sftp(channel, found),
            encoding=None,
            line_editor=False,
        )

    async def stop() -> None:
        acceptor.close()
        await acceptor.wait_closed()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    acceptor = on(listen())
    try:
        address = Address("127.0.0.1", acceptor.get_port())
        found.server = Server("hostile", address, "somebody", folder / "user", host_key)
        yield found
    finally:
        on(stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


async def _run(hostile: Hostile, process: asyncssh.SSHServerProcess[bytes]) -> None:
    if not (hostile.listing or hostile.raw or hostile.endless):
        process.stderr.write(b"sh: python3: not found\n")
        process.exit(127)
        return
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncssh.Error):
        process.stdout.write(READY + b"\n" + hostile.raw)
        if hostile.endless:
            for piece in hostile.endless():
                if process.stdout.is_closing():
                    return
                process.stdout.write(piece)
                await process.stdout.drain()
                await asyncio.sleep(0)
        if hostile.listing:
            packed = zlib.compress(hostile.listing)
            process.stdout.write(frame(b"ok", len(packed)) + packed)
        while hostile.listing:
            length = await process.stdin.readuntil(b"\n")
            verb, *fields = (await process.stdin.readexactly(int(length))).split(b"\0")
            words = []
            if verb in (b"pack", b"digest"):
                words = zlib.decompress(await process.stdin.readexactly(int(fields[0]))).split(b"\0")
            process.stdout.write(_answer(hostile, verb, fields, words))
    process.exit(0)


def _answer(hostile: Hostile, verb: bytes, fields: list[bytes], words: list[bytes]) -> bytes:
    if verb == b"pack":
        pieces = [piece for word in words for piece in _with_size(hostile.content(word))]
        sent = b"".join(map(squeezed, joined(pieces))) if int(fields[1]) else b"".join(pieces)
        return hostile.pack or sent + frame(b"ok")
    if verb == b"digest":
        found = b"\0".join(hashlib.sha256(hostile.content(word)).hexdigest().encode() for word in words)
        packed = zlib.compress(found)
        return frame(b"ok", len(packed)) + packed
    path, start, size = fields[0], int(fields[1]), int(fields[2])
    data = hostile.content(path)[start : start + size]
    return hostile.fetch or frame(b"data", start, size) + data + frame(b"ok", 7, TIME * 10**9, start + size)


def _with_size(content: bytes) -> list[bytes]:
    return [len(content).to_bytes(SIZE, "big"), content]


class _Sftp(asyncssh.SFTPServer):
    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], hostile: Hostile) -> None:
        super().__init__(channel)
        self._hostile = hostile

    def stat(self, path: bytes) -> SFTPAttrs:
        if path in self._hostile.folders:
            return _attrs(Named(path, "d", 0o755))
        return _attrs(self._find(path))

    lstat = stat

    async def scandir(self, path: bytes) -> Any:
        for one in (Named(b".", "d"), Named(b"..", "d"), *self._hostile.folders.get(path, [])):
            yield SFTPName(one.name, b"", _attrs(one))

    def readlink(self, path: bytes) -> bytes:
        return self._find(path).link

    def open(self, path: bytes, _flags: int, _attributes: SFTPAttrs) -> object:
        content = self._hostile.content(path)
        return content.ljust(self._find(path).size, b"x")[: self._find(path).size]

    def read(self, file: object, offset: int, size: int) -> bytes:
        assert isinstance(file, bytes)
        return file[offset : offset + size]

    def close(self, _file: object) -> None:
        pass

    def _find(self, path: bytes) -> Named:
        for folder, names in self._hostile.folders.items():
            for one in names:
                if folder + b"/" + one.name == path:
                    return one
        raise asyncssh.SFTPNoSuchFile("there is none")


def _attrs(one: Named) -> SFTPAttrs:
    return SFTPAttrs(permissions=KINDS[one.kind] | one.mode, size=one.size, atime=one.time, mtime=one.time)
