"""What went wrong on the way to a server, as errors for a user."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from spot_connect.core.errors import SshLost, SshUnreachable, TransferFailed
from spot_connect.core.models import Address
from spot_connect.core.untrusted import printable


@contextlib.contextmanager
def lost(connection: object, what: str) -> Iterator[None]:
    """Turn whatever paramiko and the socket raise when a line breaks into ``SshLost``."""
    from paramiko import SSHException

    try:
        yield
    except (SSHException, EOFError, OSError) as error:
        said = reason(error)
        raise SshLost(f"{what} on {connection} was lost", said, "Run the command again to reconnect.") from error


def unreachable(address: Address, said: str) -> SshUnreachable:
    """The error for an address where no SSH server answers, with what to look at."""
    return SshUnreachable(
        f"no SSH server answers at {address}",
        said,
        "Check that the instance is running and that its security group lets your address reach the port.",
    )


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
    return printable(_reason(error))


def _reason(error: BaseException) -> str:
    if isinstance(error, EOFError):
        return str(error) or "the server closed the connection"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return str(error) or type(error).__name__
