"""Long lists in words, cut short."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def few(words: Sequence[str], most: int = 5, between: str = ", ") -> str:
    """The first ``most`` of the words, and how many more there are.

    Example:
        >>> few(["a", "b", "c"], most=2)
        'a, b and 1 more'
    """
    more = len(words) - most
    return between.join(words[:most]) + (f" and {more} more" if more > 0 else "")
