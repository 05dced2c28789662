"""Commands and scripts on an instance: streamed as they run, ended when the caller is interrupted."""

from __future__ import annotations

import contextlib
import io
import os
import posixpath
import secrets
import shlex
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO, cast

from spot_connect.core.errors import SshError, UsageError
from spot_connect.core.waiting import SYSTEM_CLOCK
from spot_connect.ssh._pieces import Pieces
from spot_connect.ssh.connection import Connection
from spot_connect.ssh.files import from_home
from spot_connect.ssh.trouble import loss, lost

if TYPE_CHECKING:
    import paramiko

Hear = Callable[[bytes], None]

_NOTHING: Mapping[str, str] = MappingProxyType({})
LIVE_PYTHON: Mapping[str, str] = MappingProxyType({"PYTHONUNBUFFERED": "1"})
"""What makes the output of Python programs come as they write it."""
_PIECE = 256 * 1024
# Linux refuses a single argument of 128 KB; the rest is for the environment.
_LONGEST_ARGUMENT = 96 * 1024
_END_SECONDS = 6.0
_MARK = "SPOT_CONNECT_MARK"
# Bytes that are not UTF-8 reach us as surrogates, and some servers take no command that has them.
_STRAY = {chr(0xDC00 + byte): rf"\x{byte:02x}" for byte in range(0x80, 0x100)}
_ESCAPED = str.maketrans({"\\": r"\x5c", "\n": r"\n", "'": r"\x27", "!": r"\x21", **_STRAY})

# Run beside the command that it ends. It finds the command by its mark: in the environment of what it has started, or
# in its own arguments, which its subshells have too; there a dot follows the mark, as nowhere in ours. It signals the
# command's group when it leads one, and goes on when this side is gone.
_END = r"""
mark=$1
for _ in 1 2 3 4 5; do
  lead=$(grep -aohsE "$mark[.][0-9]+" /proc/[0-9]*/environ | head -n 1)
  lead=${lead##*.}
  [ -n "$lead" ] && break
  all=$(grep -als "$mark[.]" /proc/[0-9]*/cmdline | tr -dc '0-9\n')
  for lead in $all; do
    read -r line < "/proc/$lead/stat" && set -- ${line##*) } && ! printf '%s\n' $all | grep -qx "$2" && break
    lead=
  done
  [ -n "$lead" ] && break
  sleep 0.2
done
[ -n "$lead" ] || exit 0
trap 'rm -rf -- "${TMPDIR:-/tmp}/spot-connect.${mark#*=}.$lead"' EXIT
target=$lead
read -r line < "/proc/$lead/stat" && set -- ${line##*) } && [ "$3" = "$lead" ] && target=-$lead
kill -s INT -- "$target"
for signal in TERM KILL; do
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    kill -s 0 -- "$target" || exit 0
    sleep 0.1
  done
  kill -s "$signal" -- "$target"
  sudo -n kill -s "$signal" -- "$target"
done
"""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a remote command ended.

    ``exit_status`` is its own, or 128 + n when signal n ended it; the streams are empty when they were not captured.
    """

    exit_status: int
    stdout: bytes
    stderr: bytes


def run(
    connection: Connection,
    command: str,
    *,
    stdin: bytes | BinaryIO | None = None,
    on_stdout: Hear | None = None,
    on_stderr: Hear | None = None,
    capture: bool = True,
    environment: Mapping[str, str] = _NOTHING,
) -> Finished:
    r"""Run ``command`` with bash in the home directory and wait for its end.

    Args:
        connection: the instance.
        command: one or more lines of bash.
        stdin: what the command reads; by default nothing.
        on_stdout: called with each piece of the standard output as it arrives.
        on_stderr: the same for the standard error.
        capture: whether to keep both streams for the result.
        environment: variables for the command.

    As with ssh, the end is when the command has ended and nobody holds its output any more: a process that it
    leaves in the background should write elsewhere. On Ctrl-C the command gets SIGINT, then SIGTERM and SIGKILL,
    each two seconds later, and KeyboardInterrupt is raised again.

    Raises:
        SshLost: the line broke before the command's end was heard; it may still be running.
        UsageError: a name in ``environment`` is not a variable name.

    Example:
        >>> run(connection, "echo hello").stdout  # doctest: +SKIP
        b'hello\n'
    """
    running = Running(connection, command, on_stdout, on_stderr, stdin=stdin, capture=capture, environment=environment)
    try:
        running.start()
        return running.finish()
    except SshError:
        raise
    except BaseException:
        with contextlib.suppress(SshError):
            running.interrupt()
            # A caller who interrupts once more stops waiting here; the ender goes on by itself.
            running.hear_last_words()
        raise
    finally:
        running.close()


class Running:
    """A command with a session of its own: begun and heard to its end by one thread, interrupted by any.

    Raises:
        UsageError: a name in ``environment`` is not a variable name.

    Example:
        >>> running = Running(connection, "echo hello", print, None)  # doctest: +SKIP
        >>> running.start()  # doctest: +SKIP
        >>> running.finish().exit_status  # doctest: +SKIP
        0
    """

    def __init__(
        self,
        connection: Connection,
        command: str,
        on_stdout: Hear | None,
        on_stderr: Hear | None,
        *,
        stdin: bytes | BinaryIO | None = None,
        capture: bool = False,
        environment: Mapping[str, str] = _NOTHING,
    ) -> None:
        self._connection = connection
        self._stdin = stdin
        self._mark = f"{_MARK}={secrets.token_hex(8)}"
        self._line = _wrapped(command, self._mark, environment)
        self._listener = Listener(on_stdout, on_stderr, capture=capture)
        self._channel: paramiko.Channel | None = None

    @property
    def may_have_begun(self) -> bool:
        """Whether the server was asked to run it; if not, nothing was run and nothing will be."""
        return self._channel is not None

    def start(self) -> None:
        """Have it begun, in one flight with the login when the line is not open yet.

        Raises:
            SshError: the line cannot be opened; or it broke, see ``may_have_begun``.
        """
        self._connection.open(self._ask)
        if self._channel is None:
            self._ask(self._connection.channel())

    def _ask(self, channel: paramiko.Channel) -> None:
        from spot_connect.ssh._ahead import ask_to_run

        self._listener.attach(channel)
        self._channel = channel
        with lost(self._connection, "the command"):
            ask_to_run(channel, self._line)
            if not self._stdin:
                channel.shutdown_write()

    def finish(self) -> Finished:
        """Feed it and hear it to its end.

        Raises:
            SshLost: the line broke before the end was heard; it may still be running.
        """
        if self._channel is None:
            raise loss(self._connection, f"the line to {self._connection} broke", "nothing was run")
        if self._stdin:
            send_input(self._channel, self._stdin)
        self._listener.listen()
        return Finished(exit_status(self._connection, self._channel), self._listener.stdout, self._listener.stderr)

    def interrupt(self) -> None:
        """Have it ended as Ctrl-C would, beside whoever hears it; its last words and its status still come.

        Raises:
            SshLost: the line broke, or the server gives no other session.
        """
        with contextlib.closing(self._connection.channel()) as ender, lost(self._connection, "the interruption"):
            ender.exec_command(_by_bash(f"exec >/dev/null 2>&1; set -- {self._mark}; eval {_in_bash(_END)}"))

    def hear_last_words(self) -> None:
        """Hand on what still comes, until the end of an interrupted command."""
        self._listener.listen(seconds=_END_SECONDS)

    def close(self) -> None:
        """Let go of the session; a command that is not done loses its streams."""
        if self._channel is not None:
            self._channel.close()


def _wrapped(command: str, mark: str, environment: Mapping[str, str]) -> str:
    for name in environment:
        if not name.isidentifier() or not name.isascii():
            raise UsageError(f"{name!r} is not the name of an environment variable")
    variables = "".join(f" {name}={_in_bash(value)}" for name, value in environment.items())
    # The mark's number is the process that is bash in the end.
    return _by_bash(f"export {mark}.$${variables}; eval {_in_bash(command)}")


def _by_bash(line: str) -> str:
    """What has bash run ``line``, whatever the login shell is; sshd puts its path into SHELL.

    A login shell that is bash runs it itself: a second one takes longer than most commands, and knows no function of
    .bashrc. If not, the level keeps bash from reading .bashrc where the other has.
    """
    quoted = shlex.quote(line)
    is_bash = 'test "$SHELL" = /bin/bash -o "$SHELL" = /usr/bin/bash'
    return f"{is_bash} || exec env SHLVL=2 bash -c {quoted}; eval {quoted}"


def _in_bash(text: str) -> str:
    """``text`` as a word of bash that is on one line, and has nothing that csh or fish still heeds between quotes."""
    # Bash counts the lines of a command from where it is evaluated, and names them when it complains.
    return f"$'{text.translate(_ESCAPED)}'"


def exit_status(connection: Connection, channel: paramiko.Channel) -> int:
    """The status of a channel whose streams have ended.

    Raises:
        SshLost: the server never told it.
    """
    # The status comes before or just after the end of the streams.
    channel.status_event.wait(_END_SECONDS)
    if channel.exit_status < 0:
        advice = "It may still be running; look on the instance before you start it again."
        raise loss(connection, f"the line to {connection} broke", "the end of the command was not heard", advice)
    return channel.exit_status


class Listener:
    """Both streams of a channel in the order they arrive, without a thread of its own."""

    def __init__(self, on_stdout: Hear | None, on_stderr: Hear | None, *, capture: bool) -> None:
        self._changed = threading.Condition()
        self._kept: tuple[list[bytes], list[bytes]] = ([], [])
        self._capture = capture
        self._out, self._err = Pieces(self._changed), Pieces(self._changed)
        self._hear = (on_stdout, on_stderr)
        self._channel: paramiko.Channel | None = None

    @property
    def stdout(self) -> bytes:
        """What was captured of the standard output."""
        return b"".join(self._kept[0])

    @property
    def stderr(self) -> bytes:
        """What was captured of the standard error."""
        return b"".join(self._kept[1])

    def attach(self, channel: paramiko.Channel) -> None:
        """Take over the buffers of a channel on which nothing has been started yet."""
        channel.in_buffer, channel.in_stderr_buffer = self._out, self._err  # type: ignore[assignment]
        self._channel = channel

    def listen(self, seconds: float | None = None) -> bool:
        """Hand on what arrives until both streams end, or for ``seconds``; whether they ended."""
        deadline = None if seconds is None else SYSTEM_CLOCK.now() + seconds
        while True:
            ended = self._wait()
            self._deliver()
            if ended:
                return True
            if deadline is not None and SYSTEM_CLOCK.now() >= deadline:
                return False

    def _wait(self) -> bool:
        with self._changed:
            # The limit is for Windows, where nothing else lets Ctrl-C through.
            self._changed.wait_for(self._stirred, timeout=0.5)
            return self._out.closed and self._err.closed

    def _stirred(self) -> bool:
        ready = self._out.read_ready() or self._err.read_ready()
        return ready or (self._out.closed and self._err.closed)

    def _deliver(self) -> None:
        channel = self._channel
        if channel is None:
            return
        reads = (channel.recv, channel.recv_stderr)
        for stream, read, hear, kept in zip((self._out, self._err), reads, self._hear, self._kept, strict=True):
            while stream.read_ready():
                try:
                    piece = read(_PIECE)
                except (OSError, EOFError):
                    # Reading makes room, which is said to the server: the line broke, and the streams end now.
                    return
                if self._capture:
                    kept.append(piece)
                if hear:
                    hear(piece)


def send_input(channel: paramiko.Channel, stdin: bytes | BinaryIO) -> None:
    """Send ``stdin`` and its end, beside the caller when the server may keep it waiting."""
    source = io.BytesIO(stdin) if isinstance(stdin, bytes) else stdin
    if isinstance(stdin, bytes) and len(stdin) <= channel.out_window_size:
        _copy(source, channel)
    else:
        threading.Thread(target=_copy, args=(source, channel), daemon=True, name="ssh-stdin").start()


def _copy(source: BinaryIO, channel: paramiko.Channel) -> None:
    from paramiko import SSHException

    read = _reader(source)
    # A command need not read all of its input, and a line that broke is noticed where the output is read.
    with contextlib.suppress(OSError, EOFError, SSHException):
        while piece := read(_PIECE):
            channel.sendall(piece)
        channel.shutdown_write()


def _reader(source: BinaryIO | io.RawIOBase) -> Callable[[int], bytes]:
    """Reads what is there rather than wait for the whole piece."""
    try:
        waits, descriptor = not source.seekable(), source.fileno()
    except (OSError, AttributeError):
        waits, descriptor = False, -1
    if waits:
        # The thread may still wait here when Python ends, and would hold a lock of the stream's that Python needs.
        return lambda size: os.read(descriptor, size)
    read: Callable[[int], bytes] = getattr(source, "read1", source.read)
    return read


def run_commands(
    connection: Connection,
    text: str,
    *,
    stdin: bytes | BinaryIO | None = None,
    on_stdout: Hear | None = None,
    on_stderr: Hear | None = None,
    capture: bool = True,
    environment: Mapping[str, str] = _NOTHING,
    directory: str = "",
) -> Finished:
    r"""Run one or several lines as one bash script: what a line changes holds for the next.

    Takes the options of ``run``, and a ``directory`` to begin in, absolute or below the home directory. The status is
    the one bash gives: that of the last command.

    Raises:
        SshLost: as ``run``.

    Example:
        >>> run_commands(connection, "cd efs\npython x.py").exit_status  # doctest: +SKIP
        0
    """
    call, given = as_one(_begun_in(directory, text), stdin)
    return run(
        connection,
        call,
        stdin=given,
        on_stdout=on_stdout,
        on_stderr=on_stderr,
        capture=capture,
        environment={**LIVE_PYTHON, **environment},
    )


def _begun_in(directory: str, text: str) -> str:
    if not directory:
        return text
    # Without the dot, CDPATH may lead elsewhere, and "-" is where one was before.
    place = posixpath.join(".", from_home(directory).decode(errors="surrogateescape"))
    return f"cd -- {shlex.quote(place)} || exit\n{text}"


def as_one(text: str, stdin: bytes | BinaryIO | None) -> tuple[str, bytes | BinaryIO | None]:
    r"""One or several lines as one command, and the input to run it with: one that is too long travels there.

    Example:
        >>> as_one("cd efs\r\nls", None)
        ('cd efs\nls', None)
    """
    text = text.replace("\r\n", "\n")
    # The line says it twice.
    is_long = 2 * len(_bytes(_in_bash(text))) > _LONGEST_ARGUMENT
    return _from_input(_bytes(text), stdin) if is_long else (text, stdin)


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _from_input(script: bytes, stdin: bytes | BinaryIO | None) -> tuple[str, bytes | BinaryIO]:
    """A command that reads ``script`` from its input and runs it, and that input, with ``stdin`` at the end."""
    command = _SCRIPT.format(size=len(script))
    if stdin is None or isinstance(stdin, bytes):
        return command, script + (stdin or b"")
    return command, cast("BinaryIO", Joined(script, stdin))


# The directory's name holds the mark, so that the ender can remove it; mkdir refuses one that exists.
# The traps let the interrupted script end first: bash runs them only when its child is gone.
_SCRIPT = """
directory=${{TMPDIR:-/tmp}}/spot-connect.$SPOT_CONNECT_MARK
mkdir -m 700 -- "$directory" || exit 125
trap 'rm -rf -- "$directory"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
head -c {size} > "$directory/commands" || exit 125
[ "$(wc -c < "$directory/commands")" -eq {size} ] || exit 125
bash "$directory/commands"
"""


class Joined(io.RawIOBase):
    """``first``, then what ``rest`` has."""

    def __init__(self, first: bytes, rest: BinaryIO | None) -> None:
        super().__init__()
        self._first = first
        self._rest = rest

    def read1(self, size: int) -> bytes:
        """The next bytes that are there; empty at the end."""
        if self._first:
            piece, self._first = self._first, b""
            return piece
        if self._rest is None:
            return b""
        return _reader(self._rest)(size)


def unix_text(script: bytes) -> bytes:
    r"""``script`` with Unix line ends and without a byte order mark; unchanged when it is not text.

    Example:
        >>> unix_text(b"echo a\r\n")
        b'echo a\n'
    """
    if b"\0" in script:
        return script
    return script.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
