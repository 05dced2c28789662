"""Commands on the line itself: they cost one round trip, and end with the line."""

from __future__ import annotations

from collections.abc import Iterable

from spot_connect.core.errors import ScriptFailed
from spot_connect.core.masking import masked
from spot_connect.ssh.command import Hear, run_commands
from spot_connect.ssh.connection import Connection


def run_live(
    connection: Connection,
    name: str,
    texts: Iterable[str],
    *,
    on_stdout: Hear | None,
    on_stderr: Hear,
    directory: str = "",
) -> bytes:
    r"""Run commands one after the other on the instance ``name``.

    Args:
        connection: the line to it.
        name: of the instance, for errors.
        texts: each one or several lines of bash.
        on_stdout: hears what they write to standard output; without it, that is returned.
        on_stderr: hears what they write to standard error.
        directory: where each begins, absolute or below the home directory.

    Raises:
        ScriptFailed: one ended with a status other than 0; those after it were not run.
        SshLost: the line broke.

    Example:
        >>> run_live(connection, "vm1", ["uname -m"], on_stdout=None, on_stderr=to_stderr())  # doctest: +SKIP
        b'x86_64\n'
    """
    output = b""
    for text in texts:
        done = run_commands(
            *(connection, text),
            on_stdout=on_stdout, on_stderr=on_stderr, capture=on_stdout is None, directory=directory,
        )  # fmt: skip
        output += done.stdout
        if done.exit_status:
            said = output.decode("utf-8", "replace")
            raise ScriptFailed(f"{first_line(text)} failed on {name}", done.exit_status, said)
    return output


def first_line(text: str) -> str:
    """What a command is called where it is spoken of: its first line, or as much as fits, and no password in a link."""
    line = masked(text.strip().partition("\n")[0])
    return f"`{line[:60]}`"
