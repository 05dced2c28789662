"""What runs on the instance during a transfer: one process for each channel, ended by the end of its input.

It is sent as text, its modules one after the other, so it knows Python 3.7's standard library alone, and imports as
little of it as it can: a small instance takes longer over imports than over most transfers. This side uses the same
functions for what it does with its own files.

Requests and answers are frames: the length as a line, then fields with a zero byte between them; names are bytes. What
is named in a request is a path below the directory entered first, or an absolute one.
"""

from __future__ import annotations

import re
from pathlib import Path

_MODULES = ("frames", "files", "listing", "partial", "packs", "serving")
_OWN_IMPORT = re.compile(r"^from (?:__future__|spot_connect\.[\w.]+) import (?:\([^)]*\)|.*)\n", re.MULTILINE)


def program() -> bytes:
    """The text of the helper, whole."""
    texts = (Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8") for name in _MODULES)
    return "".join(("from __future__ import annotations\n", *(_OWN_IMPORT.sub("", text) for text in texts))).encode()
