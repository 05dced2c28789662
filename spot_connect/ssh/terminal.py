"""The terminal of this machine, raw while a remote shell has it and restored whatever happens."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import IO, Any, Protocol

_READ = 64 * 1024


class Terminal(Protocol):
    """What the shell needs of a terminal."""

    def fileno(self) -> int:
        """Something to ``select`` on: readable when ``read`` has something."""

    def read(self) -> bytes:
        """What was typed, empty when the terminal is gone."""

    def write(self, data: bytes) -> None:
        """Show ``data``."""

    def size(self) -> tuple[int, int]:
        """Columns and rows."""


def is_terminal(stream: IO[Any]) -> bool:
    """Whether a person types at ``stream``.

    Example:
        >>> import io
        >>> is_terminal(io.BytesIO())
        False
    """
    try:
        return os.isatty(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of ``data``, which a terminal may take in several pieces."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def size_of(descriptor: int) -> tuple[int, int]:
    """Columns and rows of a terminal; 80 and 24 when it does not tell."""
    try:
        columns, rows = os.get_terminal_size(descriptor)
    except OSError:
        return 80, 24
    # A serial line or a fresh pseudo-terminal reports nothing at all.
    return columns or 80, rows or 24


@contextlib.contextmanager
def raw_terminal(stdin: IO[Any], stdout: IO[Any]) -> Iterator[Terminal]:
    """The terminal behind two streams with every key passed on as it is; restored at the end.

    SIGTERM and SIGHUP, where nobody handles them, become ``SystemExit`` meanwhile so that they restore it too.
    """
    with _ending_by_exception():
        if sys.platform == "win32":
            with _windows(stdin, stdout) as terminal:
                yield terminal
        else:
            with _posix(stdin, stdout) as terminal:
                yield terminal


@contextlib.contextmanager
def on_resize(call: Callable[[], None]) -> Iterator[None]:
    """Have ``call`` made, from a signal handler, whenever the window changes its size."""
    number = getattr(signal, "SIGWINCH", None)
    if number is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, lambda *_: call())
    try:
        yield
    finally:
        signal.signal(number, before)


@contextlib.contextmanager
def _ending_by_exception() -> Iterator[None]:
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []
    taken = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _exit)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if sys.platform != "win32":
    import termios
    import tty

    class _PosixTerminal:
        def __init__(self, source: int, target: int) -> None:
            self._source = source
            self._target = target

        def fileno(self) -> int:
            return self._source

        def read(self) -> bytes:
            try:
                return os.read(self._source, _READ)
            except OSError:
                return b""

        def write(self, data: bytes) -> None:
            write_all(self._target, data)

        def size(self) -> tuple[int, int]:
            return size_of(self._source)

    @contextlib.contextmanager
    def _posix(stdin: IO[Any], stdout: IO[Any]) -> Iterator[Terminal]:
        source = stdin.fileno()
        stdout.flush()
        before = termios.tcgetattr(source)
        try:
            tty.setraw(source, termios.TCSADRAIN)
            yield _PosixTerminal(source, stdout.fileno())
        finally:
            # The terminal itself may be gone by now.
            with contextlib.suppress(termios.error):
                termios.tcsetattr(source, termios.TCSADRAIN, before)


# What msvcrt reports after a 0 or 0xE0 for keys that have no character, as a terminal sends them.
_WINDOWS_KEYS = {
    "H": b"\x1b[A",
    "P": b"\x1b[B",
    "M": b"\x1b[C",
    "K": b"\x1b[D",
    "G": b"\x1b[H",
    "O": b"\x1b[F",
    "R": b"\x1b[2~",
    "S": b"\x1b[3~",
    "I": b"\x1b[5~",
    "Q": b"\x1b[6~",
    "s": b"\x1b[1;5D",
    "t": b"\x1b[1;5C",
    "\x8d": b"\x1b[1;5A",
    "\x91": b"\x1b[1;5B",
    ";": b"\x1bOP",
    "<": b"\x1bOQ",
    "=": b"\x1bOR",
    ">": b"\x1bOS",
    "?": b"\x1b[15~",
    "@": b"\x1b[17~",
    "A": b"\x1b[18~",
    "B": b"\x1b[19~",
    "C": b"\x1b[20~",
    "D": b"\x1b[21~",
    "\x85": b"\x1b[23~",
    "\x86": b"\x1b[24~",
}


def windows_key(pressed: Callable[[], bool], read: Callable[[], str]) -> bytes:
    r"""The next key that ``read`` (``msvcrt.getwch``) tells, as the bytes a Unix terminal would send.

    Example:
        >>> keys = iter("\xe0H")
        >>> windows_key(lambda: True, lambda: next(keys))
        b'\x1b[A'
    """
    first = read()
    # A typed à is the same character as the prefix, but nothing comes at once after it.
    if first in ("\0", "\xe0") and pressed():
        return _WINDOWS_KEYS.get(read(), b"")
    if first == "\b":
        return b"\x7f"
    if "\ud800" <= first <= "\udbff":
        first = (first + read()).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return first.encode(errors="replace")


class KeyReader:
    """A thread that polls a console for keys, with a socket to ``select`` on.

    Windows can select on sockets only, and a blocking read there could not be given up at the end.
    """

    def __init__(self, pressed: Callable[[], bool], read: Callable[[], str]) -> None:
        self._pressed = pressed
        self._read = read
        self._done = threading.Event()
        self._here, self._there = socket.socketpair()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="console-keys")

    def start(self) -> None:
        """Begin to watch the console."""
        self._thread.start()

    def stop(self) -> None:
        """Leave the console's next keys to others."""
        self._done.set()
        self._thread.join()
        self._here.close()
        self._there.close()

    def fileno(self) -> int:
        """The socket to ``select`` on."""
        return self._here.fileno()

    def read(self) -> bytes:
        """The keys pressed since, as a Unix terminal would send them."""
        return self._here.recv(_READ)

    def _watch(self) -> None:
        while not self._done.is_set():
            if not self._pressed():
                self._done.wait(0.01)
            elif key := windows_key(self._pressed, self._read):
                self._there.sendall(key)


if sys.platform == "win32":
    import ctypes
    import msvcrt

    _PROCESSED_OUTPUT, _TERMINAL_SEQUENCES, _NO_AUTO_RETURN = 0x1, 0x4, 0x8
    _PROCESSED_INPUT = 0x1

    class _WindowsTerminal:
        def __init__(self, keys: KeyReader, target: int) -> None:
            self._keys = keys
            self._target = target

        def fileno(self) -> int:
            return self._keys.fileno()

        def read(self) -> bytes:
            return self._keys.read()

        def write(self, data: bytes) -> None:
            write_all(self._target, data)

        def size(self) -> tuple[int, int]:
            return size_of(self._target)

    @contextlib.contextmanager
    def _console_mode(stream: IO[Any], on: int, off: int) -> Iterator[None]:
        kernel = ctypes.windll.kernel32
        handle = msvcrt.get_osfhandle(stream.fileno())
        before = ctypes.c_ulong()
        if not kernel.GetConsoleMode(handle, ctypes.byref(before)):
            yield
            return
        kernel.SetConsoleMode(handle, (before.value | on) & ~off)
        try:
            yield
        finally:
            kernel.SetConsoleMode(handle, before.value)

    @contextlib.contextmanager
    def _code_page() -> Iterator[None]:
        kernel = ctypes.windll.kernel32
        before = kernel.GetConsoleOutputCP()
        kernel.SetConsoleOutputCP(65001)
        try:
            yield
        finally:
            kernel.SetConsoleOutputCP(before)

    @contextlib.contextmanager
    def _windows(stdin: IO[Any], stdout: IO[Any]) -> Iterator[Terminal]:
        shown = _PROCESSED_OUTPUT | _TERMINAL_SEQUENCES | _NO_AUTO_RETURN
        stdout.flush()
        with _console_mode(stdin, 0, _PROCESSED_INPUT), _console_mode(stdout, shown, 0), _code_page():
            keys = KeyReader(msvcrt.kbhit, msvcrt.getwch)
            keys.start()
            try:
                yield _WindowsTerminal(keys, stdout.fileno())
            finally:
                keys.stop()
