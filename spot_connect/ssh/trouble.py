"""What went wrong on the way to a server, as errors for a user."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from spot_connect.core.errors import SshError, SshLost, SshUnreachable, TransferFailed
from spot_connect.core.models import Address
from spot_connect.core.untrusted import printable

_LONGEST = 300
_LOOK_AT = "Check that the instance is running and that its security group lets your address reach the port."
_NOT_NOW = "Not allowed at this time"
"""What OpenSSH says to an address that it penalises: sshd_config(5), PerSourcePenalties."""
_SHUT_OUT = (
    "The server shuts your address out for at most ten minutes, because logins from it failed or were given up; "
    "wait, and see that no other program there goes on trying."
)

if TYPE_CHECKING:
    from spot_connect.ssh.connection import Connection


def loss(connection: Connection, what: str, said: str, advice: str = "") -> SshError:
    """The error for a line that is no more: why we dropped it ourselves, if we did, else ``SshLost``."""
    return connection.doubt.found or SshLost(what, said, advice)


@contextlib.contextmanager
def lost(connection: Connection, what: str) -> Iterator[None]:
    """Turn whatever paramiko and the socket raise when a line breaks into the error of :func:`loss`."""
    from paramiko import SSHException

    try:
        yield
    except (SSHException, EOFError, OSError) as error:
        said = reason(error)
        raise loss(
            connection, f"{what} on {connection} was lost", said, "Run the command again to reconnect."
        ) from error


def unreachable(address: Address, said: str) -> SshUnreachable:
    """The error for an address where no SSH server answers, with what to look at."""
    return SshUnreachable(f"no SSH server answers at {address}", said, _SHUT_OUT if _NOT_NOW in said else _LOOK_AT)


def nonsense(said: str) -> TransferFailed:
    """The error for an instance that does not keep to what was agreed on for moving files; ``said`` is fit to show."""
    return TransferFailed(
        "cannot make sense of what the instance says of its files",
        said,
        "Look at what runs there: it is not what an instance runs by itself.",
    )


def reason(error: BaseException) -> str:
    """What an exception says, in words for a user.

    Example:
        >>> reason(ConnectionRefusedError(111, "Connection refused"))
        'connection refused'
    """
    said = printable(_reason(error))
    # A server may say as much as it likes.
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."


def _reason(error: BaseException) -> str:
    if isinstance(error, EOFError):
        return str(error) or "the server closed the connection"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return str(error) or type(error).__name__
