"""A picture of how times grow with the work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.timing import Number

_COLUMNS = 2
_INCHES = (5.0, 3.6)


def draw(numbers: Sequence[Number], file: Path) -> None:
    """Draw those that have courses, one beside the other, with both axes logarithmic; needs the `[plot]` extra."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    drawn = [number for number in numbers if number.courses]
    rows = -(-len(drawn) // _COLUMNS)
    # The same numbers make the same file.
    mpl.rcParams["svg.hashsalt"] = "growth"
    figure = Figure(figsize=(_INCHES[0] * _COLUMNS, _INCHES[1] * rows), layout="constrained")
    for place, number in enumerate(drawn, 1):
        what, _, unit = number.what.rpartition(", by ")
        axes = figure.add_subplot(rows, _COLUMNS, place, xscale="log", yscale="log")
        axes.set(title=what, xlabel=unit, ylabel="seconds")
        for label, points in number.courses.items():
            axes.plot(*zip(*points, strict=True), marker="o", label=label)
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
    figure.savefig(file, metadata={"Date": None})
