"""What is under way at once, at the foot of a terminal: a line for each wait, a bar for each transfer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, Task, TaskID, TransferSpeedColumn
from rich.segment import Segments
from rich.spinner import Spinner
from rich.text import Text

from spot_connect.core import terminal

_TICK_SECONDS = 0.1
# Each takes most of a millisecond to draw, from the time of those who work.
_MOST_LINES = 10


class Display:
    """Draws on ``stream``, which is a terminal, for any number of threads.

    rich draws one display at a time, so all that is under way shares one, until the last of it has ended. Lines go
    through here, too: rich lets the line of one thread mix with the drawing of another.
    """

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, markup=False, highlight=False, emoji=False)
        self._lock = threading.RLock()
        self._above: list[RenderableType] = []
        # It counts, and is drawn as a part of the frame.
        columns = (_Words(), *map(_OfTransfers, (BarColumn(), DownloadColumn(), TransferSpeedColumn())))
        self._progress = Progress(*columns, console=self._console)
        self._live: Live | None = None
        self._ended = threading.Event()
        terminal.register(self)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Draw nothing for as long as the context is open; others who have something to show wait."""
        with self._lock:
            drew = self._live is not None
            if drew:
                self._close()
            try:
                yield
            finally:
                if drew:
                    self._open()

    def note(self, text: str) -> None:
        """Write one line above what is under way."""
        with self._lock:
            self._above.append(Text(text))
            if self._live is None:
                self._draw()

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Show ``text`` and a spinner for as long as the context is open."""
        number = self._begin(text, None)
        try:
            yield
        finally:
            self._end(number)

    @contextmanager
    def transfer(self, text: str, total: int) -> Iterator[Bar]:
        """Show a bar for ``total`` bytes, which stays when the context is left."""
        number = self._begin(text, total)
        try:
            yield Bar(self._progress, number)
        finally:
            self._end(number)

    def _begin(self, text: str, total: int | None) -> TaskID:
        with self._lock:
            number = self._progress.add_task(text, total=total)
            if self._live is None:
                self._open()
            return number

    def _end(self, number: TaskID) -> None:
        with self._lock:
            [task] = (task for task in self._progress.tasks if task.id == number)
            self._progress.remove_task(number)
            if task.total is not None:
                self._above.append(Segments(self._console.render(self._progress.make_tasks_table([task]))))
            if not self._progress.tasks:
                self._close()

    def _open(self) -> None:
        self._live = Live(get_renderable=self._frame, console=self._console, transient=True, auto_refresh=False)
        self._ended = ended = threading.Event()
        self._live.start(refresh=True)
        threading.Thread(target=self._keep_drawing, args=(ended,), daemon=True).start()

    def _close(self) -> None:
        self._ended.set()
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._draw()

    def _keep_drawing(self, ended: threading.Event) -> None:
        while not ended.wait(_TICK_SECONDS):
            with self._lock:
                if not ended.is_set():
                    self._draw()

    def _draw(self) -> None:
        """Write what waits to be written, all at once: each time the frame is drawn anew below it."""
        above, self._above = self._above, []
        if self._live is not None:
            self._live.refresh()
        if above:
            self._console.print(Group(*above), soft_wrap=True)

    def _frame(self) -> RenderableType:
        tasks = self._progress.tasks
        table = self._progress.make_tasks_table(tasks[:_MOST_LINES])
        more = len(tasks) - _MOST_LINES
        return Group(table, Text(f"... and {more} more")) if more > 0 else table


class Bar:
    """A transfer on the display."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def advance(self, done: int) -> None:
        """``done`` more bytes have arrived."""
        self._progress.advance(self._task, done)


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
