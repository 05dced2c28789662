"""The clock of this computer against that of AWS.

A signature tells the time it was made at; AWS takes none that is more than five minutes off ("Elements of an AWS API
request signature", https://docs.aws.amazon.com/IAM/latest/UserGuide/signing-elements.html).
"""

from __future__ import annotations

_STEP = 1.0
"""The header Date has no fractions."""
LIMIT_SECONDS = 300.0
WARNING_SECONDS = 60.0


def seconds_ahead(before: float, after: float, told: float) -> float:
    """How far this clock is ahead of the one that said ``told`` at some time from ``before`` to ``after``.

    0 where the two agree as far as can be told; negative where this one is behind.

    Example:
        >>> seconds_ahead(100.2, 100.9, 100), seconds_ahead(700.0, 701.0, 100), seconds_ahead(10.0, 11.0, 40)
        (0.0, 599.0, -29.0)
    """
    if before > told + _STEP:
        return before - told - _STEP
    return min(after - told, 0.0)
