"""How strongly a box is held, and what each level does not protect."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum


class Level(str, Enum):
    """From strong to weak. ``value`` is the word in files and messages."""

    NS_UNSHARE = "ns-unshare"
    NS_BWRAP = "ns-bwrap"
    PLAIN = "plain"

    @property
    def isolated(self) -> bool:
        """Whether a box has namespaces of its own."""
        return self is not Level.PLAIN


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether a level works on this machine; ``reason`` says why not."""

    level: Level
    works: bool
    reason: str = ""


_NAMESPACES = (
    "Each instance has its own processes, host name, /home, /tmp, /run and /var/log; the rest of this machine's files "
    "is read-only to it, and your home directory is hidden"
)
_NOT_PROTECTED = (
    "Not protected: the network is this machine's own, so an instance reaches the internet and every service on "
    "loopback; files elsewhere that {reader} may read are readable; and CPU, memory and disk are not limited."
)


def describe(level: Level, *, as_root: bool | None = None) -> str:
    """One honest paragraph: the level in force, and what it does not protect.

    Args:
        level: the level.
        as_root: whether the daemon runs as root; by default, whether this process does.
    """
    root = os.geteuid() == 0 if as_root is None else as_root
    if level.isolated:
        maker = "bubblewrap" if level is Level.NS_BWRAP else "the kernel"
        who = " Instances run as an unprivileged user that owns nothing else here." if root else ""
        return (
            f"Isolation: namespaces, made by {maker}. {_NAMESPACES}.{who} "
            f"{_NOT_PROTECTED.format(reader='everybody' if root else 'you')}"
        )
    if root:
        return (
            "Isolation: none but a user id. Instances run as an unprivileged user that owns nothing else here. Not "
            "protected: they see all processes and every file that everybody may read, they share one user id, so "
            "one instance can read and end another's work, and the network, CPU, memory and disk are this machine's."
        )
    return (
        "Isolation: none. Instances are ordinary processes with your own rights, each in a directory of its own: "
        "whatever a script does with an absolute path, it does to your files. Run only what you would run directly."
    )
