"""A row of numbers as a row of small bars."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

BARS = "▁▂▃▄▅▆▇█"


def sparkline(numbers: Sequence[Decimal]) -> str:
    """One bar a number, from the lowest bar for the least to the highest for the greatest.

    Numbers that are all equal are all the lowest bar: nothing has risen.

    Example:
        >>> sparkline([Decimal(1), Decimal(2), Decimal(8)])
        '▁▂█'
    """
    if not numbers:
        return ""
    least = min(numbers)
    spread = max(numbers) - least
    if not spread:
        return BARS[0] * len(numbers)
    return "".join(BARS[int((number - least) * (len(BARS) - 1) / spread)] for number in numbers)
