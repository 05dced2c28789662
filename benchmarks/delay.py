"""A TCP line that is longer than it looks: bytes arrive half a round trip later, and no faster than TCP's ramp allows.

    python -m benchmarks.delay HOST PORT [HOST PORT ...] MILLISECONDS

prints the port that it listens on for each, and passes connections on until it is ended. What may be under way in one
direction of a connection starts at ten segments and doubles each round trip, as in TCP's slow start, up to what Linux
gives. It runs on uvloop, as whatever it takes of a busy computer is missing to both sides.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import Coroutine, Iterator, Sequence

from benchmarks.ground import require

_FIRST_WINDOW = 10 * 1460
_LAST_WINDOW = 4 * 1024 * 1024
_PIECE = 256 * 1024
MODULES = {"uvloop": "uvloop"}
"""What a line needs, and what it is imported as."""


class Direction:
    """One direction of one connection."""

    def __init__(self, source: socket.socket, target: socket.socket, round_trip: float) -> None:
        self._source, self._target = source, target
        self._round_trip = round_trip
        self._window = _FIRST_WINDOW
        self._under_way = 0
        self._room = asyncio.Event()
        self._queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def run(self) -> None:
        """Pass on until either end closes."""
        await _together(self._read(), self._deliver())

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        data = b"-"
        while data:
            while self._under_way >= self._window:
                self._room.clear()
                await self._room.wait()
            data = await loop.sock_recv(self._source, min(_PIECE, self._window - self._under_way))
            _acknowledge_at_once(self._source)
            self._under_way += len(data)
            self._queue.put_nowait((loop.time() + self._round_trip / 2, data))
            loop.call_later(self._round_trip, self._acknowledge, len(data))

    def _acknowledge(self, size: int) -> None:
        self._under_way -= size
        self._window = min(_LAST_WINDOW, self._window + size)
        self._room.set()

    async def _deliver(self) -> None:
        loop = asyncio.get_running_loop()
        data = b"-"
        while data:
            due, data = await self._queue.get()
            await asyncio.sleep(due - loop.time())
            if data:
                await loop.sock_sendall(self._target, data)
        self._target.shutdown(socket.SHUT_WR)


def _acknowledge_at_once(line: socket.socket) -> None:
    # Linux forgets the option after every use. The line's own waits are all that should be measured.
    if sys.platform == "linux":
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


async def serve(host: str, port: int, round_trip: float) -> None:
    """Listen, and pass every connection on."""
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0), backlog=200)
    listener.settimeout(0)
    print(listener.getsockname()[1], flush=True)
    kept = set()
    while True:
        near, _ = await loop.sock_accept(listener)
        kept.add(task := asyncio.create_task(_pass_on(near, host, port, round_trip)))
        task.add_done_callback(kept.discard)


async def _serve_all(places: Sequence[str], round_trip: float) -> None:
    pairs = zip(places[::2], places[1::2], strict=True)
    await asyncio.gather(*(serve(host, int(port), round_trip) for host, port in pairs))


async def _pass_on(near: socket.socket, host: str, port: int, round_trip: float) -> None:
    loop = asyncio.get_running_loop()
    # TCP's own handshake takes a round trip, too.
    await asyncio.sleep(round_trip)
    with near, socket.socket() as far:
        for end in (near, far):
            end.settimeout(0)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(far, (host, port))
        await _together(Direction(near, far, round_trip).run(), Direction(far, near, round_trip).run())


async def _together(*work: Coroutine[None, None, None]) -> None:
    """Do all until one fails; none goes on after that, when its sockets' numbers may be those of others."""
    tasks = [asyncio.create_task(each) for each in work]
    with contextlib.suppress(OSError):
        await asyncio.gather(*tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def delayed(host: str, port: int, milliseconds: float) -> Iterator[tuple[str, int]]:
    """Host and port of a line to ``host`` with that round trip; without any, the host itself."""
    if not milliseconds:
        yield host, port
        return
    require(MODULES, [])
    command = [sys.executable, "-m", "benchmarks.delay", host, str(port), str(milliseconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as proxy:
        assert proxy.stdout
        try:
            yield "127.0.0.1", int(proxy.stdout.readline())
        finally:
            proxy.terminate()


if __name__ == "__main__":
    import uvloop

    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_serve_all(sys.argv[1:-1], float(sys.argv[-1]) / 1000))
