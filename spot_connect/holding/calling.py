"""The side of a command: asks the holder of a name, and starts one where there is none.

It imports little, and neither boto3 nor paramiko: what it costs is added to every command.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys

from spot_connect.holding import frames
from spot_connect.holding.frames import Request, Wire
from spot_connect.holding.place import connected, socket_of
from spot_connect.holding.talking import Talk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from spot_connect.holding.talking import Streams

_PROGRAM = os.path.join(os.path.dirname(__file__), "__main__.py")
_BEGIN_SECONDS = 15.0
_FAREWELL_SECONDS = 2.0


def run(root: str, request: Request, streams: Streams, tell: Callable[[str], None]) -> int | None:
    """Run the request's command over a held line: its exit status, 128 + n when signal n ended it.

    ``None`` says that nothing was run and nothing of the input was read; ``tell`` has heard why. Ctrl-C ends the
    command there, and is raised again when its last words were heard.

    Args:
        root: the state directory of the realm that the name is in.
        request: the name and the command.
        streams: the command's.
        tell: hears why a holder did not do.

    Raises:
        SshLost: the line broke, or its holder ended; the command may still be running.

    Example:
        >>> run(realm_directory(local=False), Request("vm1", 600, "nvidia-smi"), streams, print)  # doctest: +SKIP
        0
    """
    for reached in (_running, _started):
        wire = reached(root, request.name)
        if wire is None:
            continue
        with wire:
            status = Talk(wire, request.name, streams, tell).finish() if _begun(wire, request, tell) else None
        if status is not None:
            return status
    return None


def begin(root: str, request: Request) -> None:
    """Have a holder open the line in the background, for the next command; what fails will fail there, too."""
    wire = _running(root, request.name) or _started(root, request.name)
    if wire is not None:
        with wire, contextlib.suppress(OSError):
            wire.send(frames.REQUEST, request.to_bytes())


def part(root: str, name: str) -> None:
    """Have the holder of a name close its line and go, if the name means another machine, or none, by now."""
    wire = _running(root, name)
    if wire is not None:
        with wire, contextlib.suppress(OSError, EOFError):
            wire.wait_at_most(_FAREWELL_SECONDS)
            wire.send(frames.REQUEST, Request(name, is_farewell=True).to_bytes())
            wire.receive()


def _running(root: str, name: str) -> Wire | None:
    path = socket_of(root, name)
    reached = connected(path) if path else None
    return Wire(reached) if reached else None


def _started(root: str, name: str) -> Wire | None:
    """A new holder, which serves us first and then all who come."""
    if sys.platform == "win32" or socket_of(root, name) is None:
        return None
    near, far = socket.socketpair()
    quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
    with far:
        try:
            os.posix_spawn(
                sys.executable,
                [sys.executable, _PROGRAM, root, name],
                _environment(),
                file_actions=[(os.POSIX_SPAWN_DUP2, far.fileno(), 0), *quiet],
            )
        except (OSError, TypeError):
            near.close()
            return None
    return Wire(near)


def _environment() -> dict[str, str]:
    """A holder has no business with AWS, and lives for long."""
    return {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}


def _begun(wire: Wire, request: Request, tell: Callable[[str], None]) -> bool:
    """Whether the holder takes the command on; if not, it will never run it."""
    wire.wait_at_most(_BEGIN_SECONDS)
    try:
        wire.send(frames.REQUEST, request.to_bytes())
        kind, said = _first_answer(wire)
    except (OSError, EOFError) as error:
        # A holder says that it takes the command on before it sends it anywhere.
        tell(str(error) or type(error).__name__)
        return False
    wire.wait_at_most(None)
    if kind != frames.BEGUN:
        tell(said.decode(errors="replace"))
    return kind == frames.BEGUN


def _first_answer(wire: Wire) -> tuple[bytes, bytes]:
    try:
        return wire.receive()
    except TimeoutError:
        # Who wakes up later and wants to take it on will find that out.
        wire.refuse_more()
    return wire.receive()
