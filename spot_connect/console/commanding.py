"""The flag ``-c``: one command, over a line that is held open where there is one.

Neither boto3 nor paramiko is imported here, and AWS is not asked: who names a machine that was reached before from this
computer means that machine, and its pinned host key tells whether it still is the one.
"""

from __future__ import annotations

import io
import os
import sys

from spot_connect.console.flags import FLAGS
from spot_connect.holding.calling import begin, run
from spot_connect.holding.frames import Request
from spot_connect.holding.place import hold_seconds
from spot_connect.holding.talking import Streams
from spot_connect.screen.streams import to_stderr, to_stdout
from spot_connect.store.where import local_is_chosen, realm_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from spot_connect.spotted import SpotInstance

_SAY_NOTHING_OF_THE_MACHINE = frozenset({"name", "command", "use_local", "debug", "activeprompt"})


def run_at_once(arguments: argparse.Namespace) -> int | None:
    """Run the command if nothing has to be done before, its exit status; ``None`` when nothing was run.

    Raises:
        UsageError: ``SPOT_CONNECT_HOLD`` makes no sense.
        SshLost: the line broke; the command may still be running.
    """
    seconds = hold_seconds()
    name = arguments.name or arguments.bare_name
    if not (seconds and name and _says_only_a_name(arguments)):
        return None

    def tell(why: str) -> None:
        if arguments.debug:
            to_stderr()(f"spot_connect: a held line was not used: {why}\n".encode())

    return run(_root(arguments), Request(name, seconds, arguments.command), _streams(), tell)


def run_last(arguments: argparse.Namespace, machine: SpotInstance, directory: str) -> int:
    """Run the command on a machine that was reached, in ``directory``, and have a line held for the next one."""
    from spot_connect.holding.alone import run_alone

    seconds = hold_seconds()
    if seconds:
        begin(_root(arguments), Request(machine.name, seconds))
    # What is typed belongs to the prompt that follows, if one does: a reader could not be called off.
    streams = _streams(reads=not arguments.activeprompt)
    return run_alone(machine.connection, arguments.command, streams, directory)


def _streams(*, reads: bool = True) -> Streams:
    """The streams of this process as ssh passes them on: standard input, too, also when it is a terminal."""
    return Streams(_stdin() if reads else None, to_stdout(), to_stderr())


def _stdin() -> io.FileIO | None:
    if sys.stdin is None:
        return None
    number = sys.stdin.fileno()
    return None if _is_in_background(number) else io.FileIO(number, closefd=False)


def _is_in_background(terminal: int) -> bool:
    """Whether this process would be stopped if it read from its terminal, if it is one."""
    if sys.platform == "win32":
        return False
    try:
        return os.tcgetpgrp(terminal) != os.getpgrp()
    except OSError:
        # No terminal, or not the one that this process belongs to.
        return False


def _root(arguments: argparse.Namespace) -> str:
    return realm_directory(local=local_is_chosen(arguments.use_local))


def _says_only_a_name(arguments: argparse.Namespace) -> bool:
    if arguments.activeprompt or (arguments.name and arguments.bare_name):
        return False
    return all(
        getattr(arguments, name, default) == default
        for flags in FLAGS.values()
        for _, long, _, default, _, _ in flags
        if (name := _attribute(long)) not in _SAY_NOTHING_OF_THE_MACHINE
    )


def _attribute(long: str) -> str:
    return "use_local" if long == "--local" else long.removeprefix("--").replace("-", "_")
