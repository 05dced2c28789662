"""Reading what a user typed: strict, and with the right form in every refusal."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from spot_connect.core.errors import UsageError

_TRUE = frozenset({"true", "yes", "1"})
_FALSE = frozenset({"false", "no", "0"})
_INSTANCE_ID = re.compile(r"i-[0-9a-f]{8}(?:[0-9a-f]{9})?")


def boolean(text: str | bool) -> bool:
    """``True yes 1`` and ``False no 0`` in any case; a bool passes through.

    Raises:
        UsageError: any other word.

    Example:
        >>> boolean("No")
        False
    """
    word = str(text).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise UsageError(f"{text!r} is not a yes or no", advice="Use one of: True False yes no 1 0.")


def price(text: str | float | Decimal) -> Decimal:
    """US dollars per hour as a positive number above 0.001, the least EC2 accepts as a maximum price.

    Raises:
        UsageError: not a number, or too small.

    Example:
        >>> price("0.05")
        Decimal('0.05')
    """
    try:
        value = Decimal(str(text).strip())
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value <= Decimal("0.001"):
        raise UsageError(
            f"{str(text)!r} is not a price",
            advice="Give US dollars per hour above 0.001, for example 0.05.",
        )
    return value


def comma_list(text: str) -> tuple[str, ...]:
    """The parts of ``a,b,c``, without blanks around them; empty parts are refused.

    Raises:
        UsageError: an empty part.

    Example:
        >>> comma_list("a.txt, b.txt")
        ('a.txt', 'b.txt')
    """
    parts = tuple(part.strip() for part in text.split(","))
    if not all(parts):
        raise UsageError(f"{text!r} has an empty part", advice="Separate paths with single commas.")
    return parts


def instance_id(text: str) -> str:
    """An EC2 instance id, ``i-`` and 8 or 17 hexadecimal digits.

    Raises:
        UsageError: anything else.

    Example:
        >>> instance_id("i-0123456789abcdef0")
        'i-0123456789abcdef0'
    """
    if not _INSTANCE_ID.fullmatch(text):
        raise UsageError(f"{text!r} is not an instance id", advice="It looks like i-0123456789abcdef0.")
    return text
