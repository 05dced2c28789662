"""Whether Python functions can go from this computer to the instances."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from spot_connect.core.answers import Answer
from spot_connect.core.errors import UsageError, VersionsDiffer
from spot_connect.core.side_by_side import side_by_side
from spot_connect.jobs.crew import agent
from spot_connect.jobs.yard import Line

PYTHON = sys.version_info[:2]
"""The version of Python that functions of this process are made with."""


def dask_here() -> str:
    """The version of dask.distributed on this computer.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return version("distributed")
    except PackageNotFoundError as error:
        raise UsageError(
            "this computer has no dask.distributed", advice="pip install 'spot-connect[jobs]' brings it."
        ) from error


@dataclass(frozen=True, slots=True)
class Versions:
    """What an instance works with; empty where it has not told."""

    python: tuple[int, ...] = ()
    dask: str = ""


def versions_of(told: Answer) -> Versions:
    """What an instance says of itself.

    Raises:
        UnreadableAnswer: it says something else.
    """
    return Versions(told.wholes("python"), told.text("dask", ""))


def told_by(lines: Sequence[Line]) -> list[Versions]:
    """The versions that machines will work with, before they do; nothing of one that has to install a Python first."""
    answers = side_by_side(lambda line: agent(line).ask_one("jobs-python", {}), {line.id: line for line in lines})
    return [versions_of(Answer(told)) for told in answers.values()]


def same_python(told: Iterable[Versions]) -> None:
    """Refuse instances that have another Python; what one of them has not told cannot be compared.

    Raises:
        VersionsDiffer: its minor version is another one, so functions would fail there, or hang.
    """
    theirs = sorted({one.python for one in told if one.python} - {PYTHON})
    if theirs:
        raise VersionsDiffer(
            "cannot send Python functions",
            f"this is Python {_dotted(PYTHON)}, the instances have {' and '.join(map(_dotted, theirs))}",
            f"Use Python {_dotted(theirs[0])} here, an image with {_dotted(PYTHON)}, or scripts.",
        )


def same_dask(told: Iterable[Versions]) -> None:
    """Refuse instances that have another dask.

    Raises:
        VersionsDiffer: its version is another one; dask promises nothing between two.
        UsageError: there is none here.
    """
    ours = dask_here()
    theirs = sorted({one.dask for one in told if one.dask} - {ours})
    if theirs:
        raise VersionsDiffer(
            "cannot be a client of the instances",
            f"this computer has distributed {ours}, they have {' and '.join(theirs)}",
            f"pip install 'distributed=={theirs[0]}' makes them the same.",
        )


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
