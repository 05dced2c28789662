"""A command over a line that is the caller's own, with the same results as over one that is held."""

from __future__ import annotations

from typing import BinaryIO, cast

from spot_connect.holding.talking import Streams
from spot_connect.ssh.command import run_commands
from spot_connect.ssh.connection import Connection


def run_alone(connection: Connection, command: str, streams: Streams, directory: str = "") -> int:
    """Run ``command`` over the connection, in ``directory`` or else the home directory; its exit status.

    It is 128 + n when signal n ended it.

    Raises:
        SshLost: the line broke; the command may still be running.

    Example:
        >>> run_alone(connection, "nvidia-smi", streams)  # doctest: +SKIP
        0
    """
    done = run_commands(
        connection,
        command,
        directory=directory,
        stdin=cast("BinaryIO | None", streams.stdin),
        on_stdout=streams.stdout,
        on_stderr=streams.stderr,
        capture=False,
    )
    return done.exit_status
