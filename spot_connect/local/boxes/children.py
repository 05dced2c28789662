"""The processes a box starts: begun in its environment, ended with their status known."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Streams:
    """Descriptors for a child's standard streams."""

    stdin: int
    stdout: int
    stderr: int


class Children:
    """Starts children, buries them and every orphan that falls to this process."""

    def __init__(self) -> None:
        self._ends: dict[int, asyncio.Future[int]] = {}

    def watch(self) -> None:
        """Begin to bury; call from inside the running loop."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._bury)

    def start(
        self,
        arguments: Sequence[str],
        program: str,
        environment: Mapping[str, str],
        folder: str,
        streams: Streams,
        prepare: Callable[[], None] | None = None,
    ) -> tuple[int, asyncio.Future[int]]:
        """Start a child in a session of its own; its pid, and its wait status to come.

        Raises:
            OSError: the program or the folder cannot be used.
        """
        child = subprocess.Popen(  # noqa: S603 - a process of the instance, asked for by its own user
            arguments, executable=program, env=dict(environment), cwd=folder, start_new_session=True,
            stdin=streams.stdin, stdout=streams.stdout, stderr=streams.stderr, preexec_fn=prepare,  # noqa: PLW1509
        )  # fmt: skip
        end: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._ends[child.pid] = end
        # Waited for here and nowhere else: Popen must not try, and must not complain that nobody did.
        child.returncode = 0
        return child.pid, end

    def _bury(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            end = self._ends.pop(pid, None)
            if end is not None and not end.done():
                end.set_result(status)


async def read_some(descriptor: int) -> bytes:
    """What there is to read, up to 64 KiB; empty at the end. The descriptor must be non-blocking."""
    while True:
        try:
            return os.read(descriptor, _CHUNK)
        except BlockingIOError:
            await _ready(descriptor, asyncio.get_running_loop().add_reader, asyncio.get_running_loop().remove_reader)
        except OSError:  # EIO: the last process on a terminal has gone
            return b""


async def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it to a non-blocking descriptor.

    Raises:
        BrokenPipeError: nobody reads any more.
    """
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            await _ready(descriptor, asyncio.get_running_loop().add_writer, asyncio.get_running_loop().remove_writer)


async def _ready(descriptor: int, add: Callable[..., object], remove: Callable[[int], object]) -> None:
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    add(descriptor, wake)
    try:
        await ready
    finally:
        remove(descriptor)
