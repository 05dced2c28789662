"""Answers of the program on an instance, read strictly: what runs there may have put itself in its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation
from typing import Any

from spot_connect.core.errors import AnswerRefused
from spot_connect.core.untrusted import printable

Told = Mapping[str, Any]
_MOST = 2**53
"""What every program that writes JSON means by a whole number (RFC 8259, section 6)."""
_SECONDS_TO_SPEAK_OF = 4_000_000_000
_DOLLARS_TO_SPEAK_OF = 1_000_000_000


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Whatever in the answer is not what it may be is told as an error of ours.

    Raises:
        AnswerRefused: it is not.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, InvalidOperation, RecursionError) as error:
        said = f"the answer has no {error}" if isinstance(error, KeyError) else str(error)
        advice = "Look at what runs on the instance: it is not what spot-connect runs there."
        raise AnswerRefused(f"cannot understand what the instance says of {what}", said[:200], advice) from error


def only(answers: Sequence[Told]) -> Told:
    """The answer where there has to be one.

    Raises:
        AnswerRefused: there is none, or another.
    """
    with reading("what it was asked"):
        [told] = answers
        return told


def text(told: Told, key: str) -> str:
    """The words there, in one line that is fit to show; empty where there are none."""
    value = told.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"{key!r} is not text")
    return printable(value)


def whole(told: Told, key: str) -> int | None:
    """The whole number there, if there is one."""
    value = told.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _MOST:
        raise TypeError(f"{key!r} is not a whole number")
    return value


def natural(value: object) -> int:
    """The value as a number of things, or of one of them."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise TypeError("what should be a number is none")
    return value


def count(told: Told, key: str) -> int:
    """How many there are; 0 where it is not said."""
    return natural(told.get(key) or 0)


def when(told: Told, key: str) -> datetime | None:
    """The moment there, told as seconds since the epoch."""
    value = told.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _SECONDS_TO_SPEAK_OF:
        raise TypeError(f"{key!r} is not a moment")
    return datetime.fromtimestamp(value, timezone.utc)


def dollars(told: Told, key: str) -> Decimal | None:
    """The amount of money there, told as text; ``None`` where there is none."""
    value = text(told, key)
    amount = Decimal(value) if value else None
    if amount is not None and not (amount.is_finite() and 0 <= amount < _DOLLARS_TO_SPEAK_OF):
        raise ValueError(f"{key!r} is not an amount of money")
    return amount


def parts(told: Told, key: str) -> list[Told]:
    """The answers in a list there; none where there is no list."""
    value = told.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise TypeError(f"{key!r} is not a list of answers")
    return value
