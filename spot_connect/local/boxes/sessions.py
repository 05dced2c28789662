"""One SSH session: a shell or a command, with pipes or a terminal, as sshd would run it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import struct
import sys
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncssh

from spot_connect.local.boxes.children import Children, Streams, read_some, write_all

_SIGNALS = ("ABRT", "ALRM", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "TERM", "USR1", "USR2")


@dataclass(frozen=True, slots=True)
class Account:
    """What every session starts from."""

    children: Children
    environment: Mapping[str, str]
    home: str
    shell: str


class BoxProcess(asyncssh.SSHServerProcess[bytes]):
    """An SSH session that hears signals and window sizes when they come, also after the end of its input."""

    foreground: Foreground | None = None

    def signal_received(self, signal: str) -> None:
        """The client sent a signal."""
        if self.foreground is not None:
            self.foreground.send_signal(signal)

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        """The client's window has another size."""
        if self.foreground is not None:
            self.foreground.resize((width, height, pixwidth, pixheight))

    def break_received(self, msec: int) -> bool:
        """A break is not passed on, as sshd does not."""
        return False


class Foreground:
    """The process that a session runs, and the ends of its streams that we hold."""

    def __init__(self, process: BoxProcess, account: Account) -> None:
        self._process = process
        self._account = account
        self._pid = 0
        self._end: asyncio.Future[int]
        self._input = self._output = self._errors = -1
        self._terminal = bool(process.term_type)

    def start(self) -> None:
        """Start the shell or the command.

        Raises:
            OSError: it cannot be started.
        """
        theirs = self._open_terminal() if self._terminal else self._open_pipes()
        try:
            self._pid, self._end = self._account.children.start(
                self._arguments(), self._account.shell, self._environment(theirs.stdin), self._account.home, theirs,
                _take_terminal if self._terminal else None,
            )  # fmt: skip
        finally:
            for descriptor in {theirs.stdin, theirs.stdout, theirs.stderr}:
                os.close(descriptor)
        for descriptor in {self._input, self._output, self._errors} - {-1}:
            os.set_blocking(descriptor, False)

    def _open_pipes(self) -> Streams:
        stdin, self._input = os.pipe()
        self._output, stdout = os.pipe()
        self._errors, stderr = os.pipe()
        return Streams(stdin, stdout, stderr)

    def _open_terminal(self) -> Streams:
        master, slave = os.openpty()
        self._input = self._output = master
        self.resize(self._process.term_size)
        return Streams(slave, slave, slave)

    def _arguments(self) -> list[str]:
        command = self._process.command
        name = os.path.basename(self._account.shell)  # noqa: PTH119
        return [name, "-c", command] if command is not None else [f"-{name}"]

    def _environment(self, stdin: int) -> dict[str, str]:
        conn = self._process.channel.get_connection()
        peer, own = conn.get_extra_info("peername"), conn.get_extra_info("sockname")
        sent = {name: value for name, value in self._process.env.items() if name == "LANG" or name.startswith("LC_")}
        client = f"{peer[0]} {peer[1]}"
        extra = {"SSH_CONNECTION": f"{client} {own[0]} {own[1]}", "SSH_CLIENT": f"{client} {own[1]}"}
        if self._process.term_type:
            extra |= {"TERM": self._process.term_type, "SSH_TTY": os.ttyname(stdin)}
        return {**self._account.environment, **sent, **extra}

    def send_signal(self, name: str) -> None:
        """Send a signal to the process and its group, as sshd does."""
        if self._pid and not self._end.done() and name in _SIGNALS:
            os.killpg(self._pid, getattr(signal, f"SIG{name}"))

    def resize(self, size: tuple[int, int, int, int]) -> None:
        """Give the terminal another size; the kernel tells the programs."""
        if self._terminal and self._input >= 0:
            width, height, pixel_width, pixel_height = size
            fcntl.ioctl(self._input, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, pixel_width, pixel_height))

    async def finish(self) -> None:
        """Carry the streams until the process is done, then report how it ended and close the session."""
        feed = asyncio.ensure_future(self._feed())
        gone = asyncio.ensure_future(self._process.channel.wait_closed())
        pumps = [asyncio.ensure_future(self._drain(self._output, self._process.stdout))]
        if self._errors >= 0:
            pumps.append(asyncio.ensure_future(self._drain(self._errors, self._process.stderr)))
        try:
            # When the client goes first, what runs lives on, without its streams.
            await _first(self._end, gone)
            if not gone.done():
                await (self._end_terminal if self._terminal else self._end_pipes)(pumps, gone)
        finally:
            await _cancel(feed, gone, *pumps)
            self._close()
            self._process.channel.close()

    async def _end_terminal(self, pumps: Sequence[asyncio.Future[None]], gone: asyncio.Future[None]) -> None:
        """The shell has ended: send what is on the terminal, then take it from whoever stayed behind."""
        await _first(*pumps, gone, seconds=0.1)
        while not pumps[0].done() and not gone.done() and _unread(self._output):
            await _first(*pumps, gone, seconds=0.01)
        if not gone.done():
            _exit(self._process, self._end.result())

    async def _end_pipes(self, pumps: Sequence[asyncio.Future[None]], gone: asyncio.Future[None]) -> None:
        """The command has ended: its status at once, the session's end when the last holder of its output lets go."""
        drained = asyncio.gather(*pumps)
        await _first(drained, gone, seconds=0.05)
        if not drained.done() and not gone.done():
            _send_status(self._process, self._end.result())
            await _first(drained, gone)
        elif not gone.done():
            _exit(self._process, self._end.result())

    async def _feed(self) -> None:
        try:
            while data := await self._process.stdin.read(65536):
                await write_all(self._input, data)
        except (OSError, asyncssh.Error):
            pass
        if not self._terminal:
            os.close(self._input)
            self._input = -1

    async def _drain(self, source: int, sink: asyncssh.SSHWriter[bytes]) -> None:
        try:
            while data := await read_some(source):
                sink.write(data)
                await sink.drain()
        except (OSError, asyncssh.Error):
            return

    def _close(self) -> None:
        for descriptor in {self._input, self._output, self._errors} - {-1}:
            os.close(descriptor)
        self._input = self._output = self._errors = -1


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _unread(terminal: int) -> int:
    fcntl.ioctl(terminal, termios.FIONREAD, count := bytearray(4))
    return int.from_bytes(count, sys.byteorder)


async def _first(*futures: asyncio.Future[Any], seconds: float | None = None) -> None:
    """Wait until one of them is done, ``seconds`` at most."""
    await asyncio.wait(futures, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)


async def _cancel(*tasks: asyncio.Future[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _exit(process: BoxProcess, status: int) -> None:
    if os.WIFSIGNALED(status):
        process.exit_with_signal(_signal_name(status), os.WCOREDUMP(status))
    else:
        process.exit(os.waitstatus_to_exitcode(status))


def _signal_name(status: int) -> str:
    return signal.Signals(os.WTERMSIG(status)).name[3:]


def _send_status(process: BoxProcess, status: int) -> None:
    """Report the status and leave the session open, for which asyncssh has no public way."""
    packets = asyncssh.packet
    if os.WIFSIGNALED(status):
        rest = packets.Boolean(value=False) + packets.String("") + packets.String("")
        body = packets.String(_signal_name(status)) + rest
        process.channel._send_request(b"exit-signal", body)
    else:
        process.channel._send_request(b"exit-status", packets.UInt32(os.waitstatus_to_exitcode(status)))


async def serve_session(process: BoxProcess, account: Account) -> None:
    """Run what the client asked for, to its end."""
    if process.subsystem is not None:
        process.exit(1)
        return
    foreground = Foreground(process, account)
    try:
        foreground.start()
    except OSError as error:
        process.stderr.write(f"{error}\n".encode())
        process.exit(126)
        return
    process.foreground = foreground
    await foreground.finish()
