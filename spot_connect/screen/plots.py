"""Pictures of prices, for who has the ``[plot]`` extra; the only place with matplotlib."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spot_connect.core.errors import SpotConnectError, UsageError
from spot_connect.core.price_course import Course
from spot_connect.core.untrusted import printable

_FORMATS = (".png", ".svg", ".pdf")
_MOST_NAMED = 24


def check_plot(file: str) -> Path:
    """The path of a picture that can be drawn here.

    Raises:
        UsageError: matplotlib is not installed, the ending is not .png, .svg or .pdf, or the directory is missing.
    """
    path = Path(file).expanduser()
    if path.suffix.lower() not in _FORMATS:
        raise UsageError(f"cannot draw {file}", "its ending tells no format", f"Use one of {' '.join(_FORMATS)}.")
    if not path.parent.is_dir():
        raise UsageError(f"cannot draw {file}", f"there is no directory {path.parent}", "Make it first.")
    if importlib.util.find_spec("matplotlib") is None:
        command = "Run: pip install 'spot-connect[plot]'"
        raise UsageError(f"cannot draw {file}", "matplotlib is not installed", command)
    return path


def draw_courses(path: Path, title: str, courses: Sequence[Course]) -> None:
    """Draw the courses as steps, one line for each type and zone, in US dollars per hour over UTC.

    The file appears whole or not at all.

    Raises:
        SpotConnectError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.add_subplot(title=_words(title), ylabel="US dollars per hour", xlabel="UTC")
    for course in courses:
        _line(axes, course)
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)
    if len(courses) <= _MOST_NAMED:
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize="small", frameon=False)
    figure.autofmt_xdate()
    _save(figure, path)


def _line(axes: Any, course: Course) -> None:
    moments = [max(price.since, course.start) for price in course.prices] + [course.end]
    amounts = [float(price.price) for price in course.prices] + [float(course.now)]
    axes.step(moments, amounts, where="post", label=_words(f"{course.instance_type} {course.zone}"))


def _words(text: str) -> str:
    """A text in which matplotlib finds no formula."""
    return printable(text).replace("$", r"\$")


def _save(figure: Any, path: Path) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        figure.savefig(part, format=path.suffix[1:].lower())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise SpotConnectError(f"cannot write {path}", error.strerror or str(error)) from error
