"""What is under way at once, at the foot of a terminal: a line for each wait, a bar for each transfer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, Task, TaskID, TransferSpeedColumn
from rich.spinner import Spinner
from rich.text import Text


class Display:
    """Draws on ``stream``, which is a terminal, for any number of threads.

    rich draws one display at a time, so all that is under way shares one, from the first until the last has ended.
    """

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, markup=False, highlight=False)
        self._lock = threading.Lock()
        self._progress: Progress | None = None

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Show ``text`` and a spinner for as long as the context is open."""
        progress, task = self._begin(text, None)
        try:
            yield
        finally:
            self._end(progress, task)

    @contextmanager
    def transfer(self, text: str, total: int) -> Iterator[Bar]:
        """Show a bar for ``total`` bytes, which stays when the context is left."""
        progress, task = self._begin(text, total)
        try:
            yield Bar(progress, task)
        finally:
            self._end(progress, task, stays=True)

    def _begin(self, text: str, total: int | None) -> tuple[Progress, TaskID]:
        with self._lock:
            if self._progress is None:
                self._progress = Progress(*_columns(), console=self._console, transient=True)
            task = self._progress.add_task(text, total=total)
            self._progress.start()
            return self._progress, task

    def _end(self, progress: Progress, number: TaskID, *, stays: bool = False) -> None:
        with self._lock:
            [task] = (task for task in progress.tasks if task.id == number)
            progress.remove_task(number)
            progress.refresh()
            if not progress.tasks:
                self._progress = None
                progress.stop()
            if stays:
                self._console.print(progress.make_tasks_table([task]))


class Bar:
    """A transfer on the display."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def advance(self, done: int) -> None:
        """``done`` more bytes have arrived."""
        self._progress.advance(self._task, done)


def _columns() -> tuple[ProgressColumn, ...]:
    return (_Words(), *map(_OfTransfers, (BarColumn(), DownloadColumn(), TransferSpeedColumn())))


class _Words(ProgressColumn):
    """What a task is called; a spinner before it tells that it moves where no bar does."""

    def __init__(self) -> None:
        super().__init__()
        self._spinner = Spinner("dots", style="status.spinner")

    def render(self, task: Task) -> Text:
        if task.total is not None:
            return Text(task.description)
        return Text.assemble(str(self._spinner.render(task.get_time())), " ", task.description)


class _OfTransfers(ProgressColumn):
    """A column that is empty beside a wait."""

    def __init__(self, column: ProgressColumn) -> None:
        super().__init__()
        self._column = column

    def render(self, task: Task) -> RenderableType:
        return "" if task.total is None else self._column(task)
