"""Names of EC2 instance types: what one looks like, known or not."""

from __future__ import annotations

import re

_SIZES = r"nano|micro|small|medium|large|\d{0,3}xlarge|metal(?:-\d{1,3}xl)?"
_TYPE = re.compile(rf"[a-z][a-z0-9]*(?:-[a-z0-9]+)?\.(?:{_SIZES})")


def looks_like_a_type(text: str) -> bool:
    """Whether ``text`` has the form of a type's name, so that AWS may know it although no table does.

    Source: EC2 User Guide, "Amazon EC2 instance type naming conventions".

    Example:
        >>> looks_like_a_type("u7i-12tb.224xlarge"), looks_like_a_type("t2.mirco")
        (True, False)
    """
    return _TYPE.fullmatch(text) is not None
