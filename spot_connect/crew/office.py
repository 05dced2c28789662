"""The head in a process of the caller's own, beside whatever else that does."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable

from spot_connect.crew import links
from spot_connect.crew.batch import Batch
from spot_connect.crew.head import hold_office

HERE = "this computer"
"""The name of the head among the instances."""
_LOOPBACK = "127.0.0.1"


class Office:
    """A thread that is the head until the jobs have ended. It listens on the loopback, and ends with the process."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._thread: threading.Thread | None = None
        self.failure: BaseException | None = None

    def open(self, at_the_end: Callable[[], object]) -> None:
        """Begin; call ``at_the_end`` when it has ended."""
        self._thread = threading.Thread(target=self._serve, args=(at_the_end,), daemon=True, name="jobs-head")
        self._thread.start()

    @property
    def address(self) -> str:
        """Where it listens; empty before it does."""
        term = self._batch.term()
        return str(term.start().get("address") or "") if term else ""

    def wait(self, seconds: float) -> None:
        """Wait until it has ended, if that comes in time."""
        if self._thread:
            self._thread.join(seconds)

    def _serve(self, at_the_end: Callable[[], object]) -> None:
        # What dask and the head have to say is in the table of the jobs, too; the screen is not theirs.
        dask = logging.getLogger("distributed")
        level = dask.level
        dask.setLevel(logging.CRITICAL)
        logging.getLogger("spot_connect.crew").addHandler(logging.NullHandler())
        who = {"instance": HERE, "pid": os.getpid()}
        try:
            with links.settle():
                asyncio.run(hold_office(self._batch, HERE, _LOOPBACK, who))
        except BaseException as error:  # noqa: BLE001 - whoever waits for the jobs is to hear of it
            self.failure = error
        finally:
            dask.setLevel(level)
            at_the_end()
