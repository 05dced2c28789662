"""What the scripts of an attempt write: on this machine's own disk first, and copied to where the run is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from spot_connect.interruption.ledger import Attempt, Run, home, spool
from spot_connect.interruption.mirror import Mirror


class Log:
    """The log of one attempt; standard error has a file of its own where somebody wants it ``apart``."""

    def __init__(self, run: Run, attempt: Attempt, *, apart: bool) -> None:
        kept = [attempt.log, attempt.errors][: 1 + apart]
        if home() in attempt.directory.parents:
            self._written = kept
        else:
            spool(run).mkdir(mode=0o700, parents=True, exist_ok=True)
            self._written = _spooled(run, attempt)[: 1 + apart]
        self._mirrors = list(map(Mirror, self._written, kept))

    @contextmanager
    def opened(self) -> Iterator[tuple[IO[Any], IO[Any]]]:
        """The files that standard output and standard error go to."""
        with ExitStack() as stack:
            files: list[IO[Any]] = [stack.enter_context(path.open("ab")) for path in self._written]
            yield files[0], files[-1]

    def copy(self) -> None:
        """Copy what is new, now and then."""
        for mirror in self._mirrors:
            mirror.copy()

    def finish(self) -> str:
        """Copy the rest; what stood in the way, if not all could be copied."""
        for mirror in self._mirrors:
            mirror.finish()
        return next((mirror.failure for mirror in self._mirrors if mirror.failure), "")


def newest(run: Run, attempt: Attempt) -> tuple[Path, Path]:
    """Where the two are newest: the disk of this machine, if the attempt is its own."""
    log, errors = _spooled(run, attempt)
    return (log, errors) if log.exists() else (attempt.log, attempt.errors)


def _spooled(run: Run, attempt: Attempt) -> list[Path]:
    return [spool(run) / attempt.directory.name, spool(run) / f"{attempt.directory.name}.errors"]
