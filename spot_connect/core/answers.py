"""What the program on an instance answers, read with the types that it must have.

The instance is not trusted: an answer with anything else in it is refused as a whole, in words that are fit to show.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation
from typing import Any

from spot_connect.core.errors import UnreadableAnswer
from spot_connect.core.untrusted import printable

_LARGEST = 2**53
"""JSON's numbers are exact up to here (RFC 8259, section 6)."""
_LATEST = datetime(9999, 1, 1, tzinfo=timezone.utc).timestamp()


class Answer:
    """A JSON object of which each field is read with its type.

    A field that is missing or ``null`` is the value given for that, where one is given.

    Raises:
        UnreadableAnswer: it is no object; from every method: the field is missing, or of another type.

    Example:
        >>> told = Answer({"job": 3, "state": "waiting", "why": None})
        >>> told.whole("job"), told.text("state"), told.text("why", "")
        (3, 'waiting', '')
        >>> told.text("job")
        Traceback (most recent call last):
        ...
        spot_connect.core.errors.UnreadableAnswer: cannot read what the instance answers: 'job' is 3, which is no text
    """

    def __init__(self, value: object) -> None:
        if not isinstance(value, dict):
            raise _unreadable(f"{_shown(value)} is no object")
        self._fields: dict[str, Any] = value

    def has(self, key: str) -> bool:
        """Whether the field is there and says something."""
        return self._fields.get(key) is not None

    def text(self, key: str, missing: str | None = None) -> str:
        """A text; none of ours has a NUL in it, which would end a path."""
        value = self._field(key, missing)
        if not isinstance(value, str) or "\0" in value:
            raise self._unfit(key, "text")
        return value

    def matching(self, key: str, pattern: re.Pattern[str]) -> re.Match[str]:
        """A text that has this form as a whole, taken apart."""
        found = pattern.fullmatch(self.text(key))
        if found is None:
            raise self._unfit(key, "text of the form that it should have")
        return found

    def whole(self, key: str, missing: int | None = None) -> int:
        """A whole number from 0."""
        value = self._field(key, missing)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _LARGEST:
            raise self._unfit(key, "whole number")
        return value

    def status(self, key: str) -> int | None:
        """An exit status, if there is one."""
        if not self.has(key):
            return None
        value = self.whole(key)
        if value > 255:
            raise self._unfit(key, "exit status")
        return value

    def flag(self, key: str) -> bool:
        """Yes or no; no when it is missing."""
        value = self._field(key, missing=False)
        if not isinstance(value, bool):
            raise self._unfit(key, "yes or no")
        return value

    def number(self, key: str) -> float:
        """A finite number."""
        value = self._field(key, None)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._unfit(key, "number")
        return float(value)

    def moment(self, key: str) -> datetime | None:
        """Seconds since the epoch as a moment, if there are any."""
        if not self.has(key):
            return None
        seconds = self.number(key)
        if not 0 <= seconds < _LATEST:
            raise self._unfit(key, "moment")
        return datetime.fromtimestamp(seconds, timezone.utc)

    def money(self, key: str) -> Decimal | None:
        """US dollars, if there are any."""
        if not self.has(key):
            return None
        try:
            value = Decimal(self.text(key))
        except InvalidOperation as error:
            raise self._unfit(key, "amount of money") from error
        if not value.is_finite() or value < 0:
            raise self._unfit(key, "amount of money")
        return value

    def part(self, key: str) -> Answer:
        """An object in it; an empty one when it is missing."""
        return Answer(self._field(key, {}))

    def texts(self) -> dict[str, str]:
        """All fields, which have to be texts."""
        return {key: self.text(key) for key in self._fields}

    def everything(self) -> dict[str, Any]:
        """All fields, as they are."""
        return dict(self._fields)

    def each(self, key: str) -> Iterator[Answer]:
        """The objects of a list; none when it is missing."""
        return map(Answer, self.listed(key))

    def listed(self, key: str) -> list[Any]:
        """A list of anything; an empty one when it is missing."""
        value = self._field(key, [])
        if not isinstance(value, list):
            raise self._unfit(key, "list")
        return value

    def wholes(self, key: str) -> tuple[int, ...]:
        """Whole numbers from 0; none when it is missing."""
        return tuple(Answer({key: value}).whole(key) for value in self.listed(key))

    def octets(self, key: str) -> bytes:
        """Bytes, as two hexadecimal digits each."""
        try:
            return bytes.fromhex(self.text(key))
        except ValueError as error:
            raise _unreadable(f"{key!r} is not made of hexadecimal digits") from error

    def numbered(self, key: str) -> list[tuple[int, str]]:
        """A list of whole numbers from 0, each with a text; an empty one when it is missing."""
        pairs = self.listed(key)
        if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            raise self._unfit(key, "list of pairs")
        read = (Answer({"number": number, "text": text}) for number, text in pairs)
        return [(one.whole("number"), one.text("text")) for one in read]

    def _field(self, key: str, missing: object) -> Any:
        value = self._fields.get(key)
        value = missing if value is None else value
        if value is None:
            raise _unreadable(f"it does not say {key!r}")
        return value

    def _unfit(self, key: str, what: str) -> UnreadableAnswer:
        return _unreadable(f"{key!r} is {_shown(self._fields.get(key))}, which is no {what}")


def answers(text: str) -> list[dict[str, Any]]:
    r"""The objects in what the program wrote: a line of JSON for each. Other lines are somebody else's.

    Raises:
        UnreadableAnswer: a line begins like an object and is none.

    Example:
        >>> answers('a motto of the day\n{"run": "r1"}\n')
        [{'run': 'r1'}]
    """
    found = []
    for line in text.split("\n"):
        if line.startswith("{"):
            try:
                found.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise _unreadable(f"{_shown(line)} is no JSON") from error
    return found


def only_one(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The answer to a question that has exactly one.

    Raises:
        UnreadableAnswer: there is none, or there are more.

    Example:
        >>> only_one([{"run": "r1"}])
        {'run': 'r1'}
    """
    if len(found) != 1:
        raise _unreadable(f"there are {len(found)} answers for one question")
    return found[0]


def _unreadable(said: str) -> UnreadableAnswer:
    return UnreadableAnswer("cannot read what the instance answers", said)


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)[:100]
    return printable(text if len(text) <= 60 else f"{text[:57]}...")
