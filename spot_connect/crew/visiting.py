"""A dask client on somebody's own computer, on the scheduler of a run."""

from __future__ import annotations

import contextlib
from concurrent.futures import CancelledError

from distributed import Client

from spot_connect.crew.links import secured

__all__ = ["Client", "connect", "leave", "was_cut_off"]

_CONNECT_SECONDS = 15


def connect(address: str, key: str) -> Client:
    """A client of the scheduler there, which knows us by the run's key.

    Raises:
        OSError: nobody listens there, or it is somebody else.
    """
    given = {"security": secured(key), "timeout": _CONNECT_SECONDS, "name": "visitor", "set_as_default": False}
    try:
        return Client(address, **given)
    except ValueError as error:
        # What tornado says of a connection that was closed before it could ask for TLS.
        raise OSError(str(error)) from error


def was_cut_off(client: Client, error: BaseException) -> bool:
    """Whether ``error`` came of a scheduler that the client has lost."""
    # dask's own words for it: https://distributed.dask.org/en/stable/resilience.html
    is_told = isinstance(error, CancelledError) and "scheduler-connection-lost" in str(getattr(error, "reason", ""))
    return is_told or client.status in ("connecting", "closed")


def leave(client: Client) -> None:
    """Let go of it; one that has lost its scheduler has nobody to say goodbye to."""
    with contextlib.suppress(Exception):
        client.close(timeout=_CONNECT_SECONDS)
