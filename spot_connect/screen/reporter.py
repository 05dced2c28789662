"""Notes, waits and progress bars, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from spot_connect.core.reporting import Transfer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


class Screen:
    """A reporter that writes lines, and draws spinners and bars where a terminal can show them.

    Args:
        local: every line says LOCAL, so that nobody takes a rehearsal for the real thing.
        stream: where to write; standard error by default, so that standard output carries data alone.
    """

    def __init__(self, *, local: bool = False, stream: TextIO | None = None) -> None:
        self._mark = "LOCAL " if local else ""
        self._stream = stream
        self._console: Console | None = None

    @property
    def stream(self) -> TextIO:
        """Where lines go; looked up late, because notebooks and tests replace it."""
        return self._stream or sys.stderr

    def note(self, text: str) -> None:
        """Write one line."""
        self.stream.write(f"{self._mark}{text}\n")
        self.stream.flush()

    def warn(self, text: str) -> None:
        """Write one line that stands out."""
        self.note(f"warning: {text}")

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Show ``text`` with a spinner for as long as the context is open; one line without a terminal."""
        if not self._draws:
            self.note(f"{text} ...")
            yield
            return
        with self._rich().status(f"{self._mark}{text}"):
            yield

    @contextmanager
    def transfer(self, name: str, total: int) -> Iterator[Transfer]:
        """Show a bar for ``total`` bytes; one line without a terminal."""
        if not self._draws:
            self.note(f"{name}: {total:,} bytes")
            yield _Unseen()
            return
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (TextColumn(f"{self._mark}{{task.description}}", markup=False), BarColumn(), DownloadColumn())
        with Progress(*columns, TransferSpeedColumn(), console=self._rich()) as progress:
            yield _Bar(progress, progress.add_task(name, total=total))

    @property
    def _draws(self) -> bool:
        return self.stream.isatty()

    def _rich(self) -> Console:
        if self._console is None:
            from rich.console import Console

            self._console = Console(file=self.stream, markup=False, highlight=False)
        return self._console


class _Unseen:
    def advance(self, done: int) -> None:
        pass


class _Bar:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def advance(self, done: int) -> None:
        self._progress.advance(self._task, done)
