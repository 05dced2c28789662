"""Values of EC2's filters."""

from __future__ import annotations

import re
from collections.abc import Iterable


def exactly(values: Iterable[str]) -> list[str]:
    r"""The values as patterns of a filter, in which ``*`` and ``?`` stand for anything.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html

    Example:
        >>> exactly(["SG-vm*"])
        ['SG-vm\\*']
    """
    return [re.sub(r"[\\*?]", r"\\\g<0>", value) for value in values]
