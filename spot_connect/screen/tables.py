"""Tables: drawn on a terminal, plain columns in a pipe."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

from spot_connect.core.untrusted import printable
from spot_connect.screen.streams import say

_GAP = "  "
_WHOLE = frozenset(
    {
        *("run", "job", "name", "id", "state", "type", "zone", "region", "age", "cost"),
        *("now", "low", "high", "price/h", "on-demand", "saving"),
    }
)
"""Columns that are of no use when their cells are cut or broken."""


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
    """Write the rows under their column names to standard output; whatever a cell says, it is one that is fit to show.

    Example:
        >>> show_table(["name", "state"], [["vm1", "running"]])
        name  state
        vm1   running
    """
    rows = [list(map(printable, row)) for row in rows]
    if sys.stdout.isatty():
        _draw(columns, rows, printable(title))
        return
    widths = _widths(columns, rows)
    for row in (columns, *rows):
        say(_GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def room_beside(columns: Sequence[str], rows: Sequence[Sequence[str]], signs: str) -> int:
    """How wide one more column of ``signs`` can be on this terminal; 0 without one, or if it cannot show them."""
    try:
        signs.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return 0
    if not sys.stdout.isatty():
        return 0
    widths = _widths(columns, rows)
    return max(shutil.get_terminal_size().columns - sum(widths) - len(_GAP) * len(widths), 0)


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]


def _draw(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Text, because rich reads markup, links and emoji in whatever is a str.
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(Text(column), no_wrap=column in _WHOLE)
    for row in rows:
        table.add_row(*map(Text, row))
    # Where the whole columns do not fit, lines that the terminal breaks are better than figures that are cut.
    terminal = Console(highlight=False)
    terminal.width = max(terminal.width, _least_width(columns, rows))
    if title:
        # A title of the table would be broken at its width, and what is in it could pass for rows.
        terminal.print(Text(title, style="table.title"), soft_wrap=True)
    terminal.print(table)


def _least_width(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    # A letter of Chinese takes two columns of a terminal.
    from rich.cells import cell_len

    widths = [
        max(cell_len(part) for cell in cells for part in ([cell] if column in _WHOLE else cell.split() or [""]))
        for column, cells in zip(columns, zip(columns, *rows, strict=True), strict=True)
    ]
    return sum(widths) + len(_GAP) * len(widths)
