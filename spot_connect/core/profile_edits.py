"""Changing the text of a profile file without losing what its user wrote around the values."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from spot_connect.core.errors import UsageError
from spot_connect.core.profiles import Settings, format_block, format_profiles, outline, parse_profiles, plain_settings


class _Edit(NamedTuple):
    """Bytes from ``start`` to ``end`` become ``text``; offsets are bytes because those of ``ast`` are."""

    start: int
    end: int
    text: str


def rewrite_profiles(text: str, source: str, profiles: Mapping[str, Mapping[str, Any]]) -> str:
    """The text of a profile file changed so that it holds ``profiles``; comments and layout stay where they can.

    A value that differs is replaced in its place. A profile whose keys differ is written anew, a new one is added at
    the end, one that is gone is cut out. Text that is broken, or laid out so that this cannot work, gives way to the
    usual layout.

    Args:
        text: the file as it is.
        source: its name for error messages.
        profiles: name to settings.

    Raises:
        UsageError: a profile that could not be read back.

    Example:
        >>> old = "{'a': {'instance_type': 't3.nano'}}  # mine"
        >>> print(rewrite_profiles(old, "f", {"a": {"instance_type": "t2.nano"}}))
        {'a': {'instance_type': 't2.nano'}}  # mine
    """
    wanted = {name: plain_settings(settings) for name, settings in profiles.items()}
    usual = format_profiles(wanted)
    try:
        edited = _edited(text, source, wanted)
        return edited if parse_profiles(edited, source) == wanted else usual
    except UsageError:
        return usual


def _edited(text: str, source: str, wanted: Mapping[str, Settings]) -> str:
    data = text.encode()
    found = outline(text, source)
    place = _Places(data)
    edits: list[_Edit] = []
    for name, node in found.entries.items():
        if name not in wanted:
            edits.append(place.whole_lines(node))
            continue
        old, new = found.settings(name), wanted[name]
        if old.keys() == new.keys():
            edits.extend(_changed_values(place, node, old, new))
        else:
            edits.append(_Edit(*place.span(node), _bare_block(name, new)))
    blocks = [format_block(name, settings) for name, settings in wanted.items() if name not in found.entries]
    edits.extend(_additions(place, found.root, blocks))
    return _applied(data, edits)


def _changed_values(place: _Places, node: ast.Dict, old: Settings, new: Settings) -> Iterator[_Edit]:
    for (key, before), value in zip(old.items(), node.values, strict=True):
        if before != new[key]:
            yield _Edit(*place.span(value), repr(new[key]))


def _additions(place: _Places, root: ast.Dict, blocks: list[str]) -> Iterator[_Edit]:
    if not blocks:
        return
    closing = place.span(root)[1] - 1
    if root.values:
        last = place.span(root.values[-1])[1]
        if b"," not in re.sub(rb"#.*", b"", place.data[last:closing]):
            yield _Edit(last, last, ",")
    line_is_begun = place.data[closing - 1 : closing] != b"\n"
    yield _Edit(closing, closing, ("\n" if line_is_begun else "") + "".join(blocks))


def _bare_block(name: str, settings: Settings) -> str:
    """The block of a profile from its opening brace to its closing one."""
    block = format_block(name, settings)
    return block[block.index(": {") + 2 :].rstrip("\n,")


def _applied(data: bytes, edits: list[_Edit]) -> str:
    parts, position = [], 0
    for edit in sorted(edits):
        parts += [data[position : edit.start], edit.text.encode()]
        position = edit.end
    return b"".join([*parts, data[position:]]).decode()


class _Places:
    """Where nodes stand in the text, in bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._lines = [0]
        for line in data.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def span(self, node: ast.expr) -> tuple[int, int]:
        """The first byte of a node and the one after its last."""
        end = self._lines[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        return self._lines[node.lineno - 1] + node.col_offset, end

    def whole_lines(self, node: ast.expr) -> _Edit:
        """Cut the lines of an entry out, with the name before it and the comma after it."""
        start, end = self.span(node)
        first = self.data.rfind(b"\n", 0, start) + 1
        after = self.data.find(b"\n", end) + 1 or len(self.data)
        return _Edit(first, after, "")
