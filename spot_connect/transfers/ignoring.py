"""Which files are left out: git's own rules, from ``.gitignore`` and then ``.spotignore`` in each directory.

The rules are those of git's ``dir.c`` and ``wildmatch.c``, oddities included. The library pathspec refuses patterns
that git takes, and knows no ``[[:alpha:]]``.
"""

from __future__ import annotations

import functools
import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spot_connect.transfers.helper.files import CAREFULLY

FILES = (".gitignore", ".spotignore")
REPOSITORY = b".git"
"""Left out wherever it is, as git does."""

_SPECIAL = b"*?[\\"
_CLASSES: dict[bytes, Callable[[int], bool]] = {
    b"alnum": lambda c: bytes([c]).isalnum(),
    b"alpha": lambda c: bytes([c]).isalpha(),
    b"blank": lambda c: c in b" \t",
    b"cntrl": lambda c: c < 32 or c == 127,
    b"digit": lambda c: c in b"0123456789",
    b"graph": lambda c: 32 < c < 127,
    b"lower": lambda c: bytes([c]).islower(),
    b"print": lambda c: 32 <= c < 127,
    b"punct": lambda c: 32 < c < 127 and not bytes([c]).isalnum(),
    b"space": lambda c: c in b" \t\n\v\f\r",
    b"upper": lambda c: bytes([c]).isupper(),
    b"xdigit": lambda c: c in b"0123456789abcdefABCDEF",
}


class _Malformed(Exception):
    """A pattern that matches nothing."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: what it matches, and whether that is left out or, after ``!``, is not."""

    matches: re.Pattern[bytes]
    leaves_out: bool
    is_for_directories: bool
    is_for_names: bool
    """Whether it is held against the last part of a path alone."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that hold in one directory: those above it come first, and the last that matches decides.

    Each set is held against the path from the directory that it was found in: the path from the top of the tree
    without its first bytes, or with others before them.
    """

    sets: tuple[tuple[bytes, int, tuple[Rule, ...]], ...] = ()

    def below(self, folder: Path, name: bytes) -> Rules:
        """The rules inside the directory ``folder``, whose path from the top is ``name``."""
        found = tuple(rule for file in FILES for rule in parsed(_read(folder / file)))
        return Rules((*self.sets, (b"", len(name) + 1 if name else 0, found))) if found else self

    def leave_out(self, path: bytes, *, is_directory: bool) -> bool:
        """Whether the file or directory at ``path`` is left out, when what it lies in is not."""
        last = path.rpartition(b"/")[2]
        if last == REPOSITORY:
            return True
        for before, without, rules in reversed(self.sets):
            for rule in reversed(rules):
                if rule.is_for_directories and not is_directory:
                    continue
                if rule.matches.fullmatch(last if rule.is_for_names else before + path[without:]):
                    return rule.leaves_out
        return False


def above(folder: Path) -> Rules:
    """The rules for ``folder`` from the directories above it, as far as its git repository reaches."""
    top = folder.resolve()
    higher = [top, *top.parents]
    repository = next((number for number, path in enumerate(higher) if (path / ".git").exists()), 0)
    rules = Rules()
    for path in reversed(higher[1 : repository + 1]):
        before = os.fsencode(top.relative_to(path).as_posix()) + b"/"
        found = tuple(rule for file in FILES for rule in parsed(_read(path / file)))
        rules = Rules((*rules.sets, (before, 0, found)))
    return rules


def left_out(names: Mapping[bytes, bool], rules: Mapping[bytes, Rules]) -> set[bytes]:
    """Which paths are left out by the rules of each directory; a directory stands before what is in it.

    Args:
        names: paths, and whether each is a directory.
        rules: those that hold in each directory; one that is not named has those of the one above it.
    """
    out: set[bytes] = set()
    known = dict(rules)
    for name, is_directory in names.items():
        parent = name.rpartition(b"/")[0]
        holding = known.get(parent, Rules())
        if is_directory:
            known.setdefault(name, holding)
        if name and (parent in out or holding.leave_out(name, is_directory=is_directory)):
            out.add(name)
    return out


def parsed(text: bytes) -> list[Rule]:
    r"""The rules in the text of an ignore file.

    Example:
        >>> [rule.leaves_out for rule in parsed(b"*.log\n# all but\n!keep.log\n")]
        [True, False]
    """
    lines = (line.removesuffix(b"\r") for line in text.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
    rules = (_rule(_trimmed(line)) for line in lines if line and not line.startswith(b"#"))
    return [rule for rule in rules if rule]


def _read(path: Path) -> bytes:
    # As git does: a link there may lead to what never ends.
    try:
        with open(os.open(path, os.O_RDONLY | CAREFULLY), "rb") as file:
            return file.read() if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""
    except OSError:
        return b""


def _trimmed(line: bytes) -> bytes:
    """Without the spaces at its end, but for one that follows a backslash."""
    kept = line.rstrip(b" ")
    slashes = len(kept) - len(kept.rstrip(b"\\"))
    return line[: len(kept) + 1] if slashes % 2 else kept


@functools.lru_cache(maxsize=4096)
def _rule(line: bytes) -> Rule | None:
    pattern = line.removeprefix(b"!")
    is_for_directories = pattern.endswith(b"/")
    pattern = pattern[:-1] if is_for_directories else pattern
    is_for_names = b"/" not in pattern
    pattern = pattern.removeprefix(b"/")
    if not pattern:
        return None
    try:
        matches = re.compile(b"".join(_Translation(pattern).parts()), re.DOTALL)
    except _Malformed:
        return None
    return Rule(matches, not line.startswith(b"!"), is_for_directories, is_for_names)


class _Translation:
    """A pattern as a regular expression."""

    def __init__(self, pattern: bytes) -> None:
        self._pattern = pattern
        self._at = 0
        self._first = next((at for at, byte in enumerate(pattern) if byte in _SPECIAL), len(pattern))

    def parts(self) -> Sequence[bytes]:
        """The expression, piece by piece."""
        found = []
        while self._at < len(self._pattern):
            found.append(self._part())
        return found

    def _part(self) -> bytes:
        byte = self._next()
        if byte == b"*":
            return self._stars()
        if byte == b"?":
            return b"[^/]"
        if byte == b"[":
            return self._set()
        return re.escape(self._escaped() if byte == b"\\" else byte)

    def _next(self) -> bytes:
        byte = self._pattern[self._at : self._at + 1]
        self._at += 1
        return byte

    def _escaped(self) -> bytes:
        byte = self._next()
        if not byte:
            raise _Malformed
        return byte

    def _stars(self) -> bytes:
        start = self._at - 1
        while self._pattern[self._at : self._at + 1] == b"*":
            self._at += 1
        # git compares what comes before the first special character by itself, and then sees two stars at the start.
        alone = start == self._first or self._pattern[start - 1 : start] == b"/"
        rest = self._pattern[self._at :]
        if self._at - start < 2 or not alone or not (not rest or rest.startswith((b"/", b"\\/"))):
            return b"[^/]*"
        if rest.startswith(b"/"):
            self._at += 1
            return b"(?:.*/)?"
        return b".*"

    def _set(self) -> bytes:
        negated = self._pattern[self._at : self._at + 1] in (b"!", b"^")
        self._at += negated
        members: set[int] = set()
        previous = b""
        byte = self._escaped()
        while True:
            previous = self._member(byte, previous, members)
            byte = self._escaped()
            if byte == b"]":
                break
        wanted = (set(range(256)) - members if negated else members) - {ord("/")}
        return b"[" + b"".join(re.escape(bytes([each])) for each in sorted(wanted)) + b"]" if wanted else b"(?!)"

    def _member(self, byte: bytes, previous: bytes, members: set[int]) -> bytes:
        """Add one member or range to a set; what a range that follows would begin with."""
        following = self._pattern[self._at : self._at + 1]
        if byte == b"\\":
            byte = self._escaped()
        elif byte == b"-" and previous and following not in (b"", b"]"):
            last = self._escaped()
            last = self._escaped() if last == b"\\" else last
            members.update(range(previous[0], last[0] + 1))
            return b""
        elif byte == b"[" and following == b":" and (named := self._class()) is not None:
            members.update(named)
            return b""
        members.add(byte[0])
        return byte

    def _class(self) -> set[int] | None:
        """The bytes of a class like ``[:alpha:]``; nothing when it is none."""
        end = self._pattern.find(b"]", self._at + 1)
        if end < 0:
            raise _Malformed
        name = self._pattern[self._at + 1 : end]
        if not name.endswith(b":"):
            return None
        if name[:-1] not in _CLASSES:
            raise _Malformed
        self._at = end + 1
        return {byte for byte in range(128) if _CLASSES[name[:-1]](byte)}
