"""Tables: drawn on a terminal, plain columns in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from spot_connect.screen.streams import say

_GAP = "  "


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
    """Write the rows under their column names to standard output.

    Example:
        >>> show_table(["name", "state"], [["vm1", "running"]])
        name  state
        vm1   running
    """
    if sys.stdout.isatty():
        _draw(columns, rows, title)
        return
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        say(_GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _draw(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column in ("name", "id"))
    for row in rows:
        table.add_row(*row)
    Console(highlight=False).print(table)
