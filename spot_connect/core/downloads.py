"""What a download is called here."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from spot_connect.core.errors import UsageError

_NAMELESS = ("", "~")


def name_of(source: str) -> str:
    """The name that the file or directory at ``source`` on an instance has here; empty where it has none, as ``..``.

    Example:
        >>> name_of("~/efs/results/"), name_of("../..")
        ('results', '')
    """
    name = posixpath.basename(posixpath.normpath(source))
    return "" if name in (".", "..") else name


def require_names(sources: Sequence[str]) -> None:
    """Refuse what has no name of its own, as ``.``.

    It does not come into a directory that is its alone, but among what lies here already, which must not be deleted.

    Raises:
        UsageError: one of ``sources`` has no name.

    Example:
        >>> require_names(["work", "~/efs/results/"])
    """
    for source in sources:
        if name_of(source) in _NAMELESS:
            advice = "Name a directory in it, or leave out to delete."
            raise UsageError(f"cannot download {source} and delete the rest", "your own files are here", advice)
