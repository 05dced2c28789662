"""A dask client on somebody's own computer, on the scheduler of a run."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from concurrent.futures import CancelledError

from distributed import Client

from spot_connect.crew.links import secured

__all__ = ["Client", "connect", "leave", "quiet", "was_cut_off"]

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


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Meanwhile dask does not log where in its code a connection was lost: who sees to it says that one was."""
    log = logging.getLogger("distributed.client")
    log.addFilter(_is_of_note)
    try:
        yield
    finally:
        log.removeFilter(_is_of_note)


def _is_of_note(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, (OSError, ValueError, asyncio.CancelledError))


def was_cut_off(client: Client, error: BaseException) -> bool:
    """Whether ``error`` came of a scheduler that the client has lost."""
    # dask's own words for it: https://distributed.dask.org/en/stable/resilience.html
    is_told = isinstance(error, CancelledError) and "scheduler-connection-lost" in str(getattr(error, "reason", ""))
    return is_told or client.status in ("connecting", "closed")


def leave(client: Client) -> None:
    """Let go of it; one that has lost its scheduler has nobody to say goodbye to."""
    try:
        client.close(timeout=_CONNECT_SECONDS)
    except Exception:  # noqa: BLE001 - it raises what its search for the scheduler ended with, and would do so again
        client.status = "closed"
        if client.loop:
            client.loop.add_callback(client.loop.stop)
