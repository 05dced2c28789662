"""The spot price of one type in one zone over a period: where it stands, how low and how high it went."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from spot_connect.core.models import SpotPrice


@dataclass(frozen=True, slots=True)
class Course:
    """The prices that held from ``start`` to ``end``, oldest first; there is at least one.

    The first may have been set before ``start``: it still held then. US dollars per hour.
    """

    instance_type: str
    zone: str
    start: datetime
    end: datetime
    prices: tuple[SpotPrice, ...]

    @property
    def now(self) -> Decimal:
        """The price at the end."""
        return self.prices[-1].price

    @property
    def low(self) -> Decimal:
        """The lowest price that held."""
        return min(price.price for price in self.prices)

    @property
    def high(self) -> Decimal:
        """The highest price that held."""
        return max(price.price for price in self.prices)

    def levels(self, count: int) -> tuple[Decimal, ...]:
        """The highest price in each of ``count`` equal parts of the period, so that no peak falls between two.

        A part before the first known price has that one.

        Example:
            >>> from datetime import timezone
            >>> day = datetime(2026, 1, 1, tzinfo=timezone.utc)
            >>> price = SpotPrice("t3.nano", "us-east-1a", Decimal("0.0016"), day)
            >>> Course("t3.nano", "us-east-1a", day, day.replace(day=2), (price,)).levels(2)
            (Decimal('0.0016'), Decimal('0.0016'))
        """
        step = (self.end - self.start) / count
        found = []
        for number in range(count):
            begin = self.start + number * step
            # The last part takes the end itself in: a division of times may have rounded it away.
            finish = begin + step if number + 1 < count else self.end
            found.append(self._highest(begin, finish, closed=number + 1 == count))
        return tuple(found)

    def _highest(self, begin: datetime, finish: datetime, *, closed: bool) -> Decimal:
        held = [price for price in self.prices if price.since <= begin][-1:] or list(self.prices[:1])
        set_within = [p for p in self.prices if begin < p.since < finish or (closed and begin < p.since <= finish)]
        return max(price.price for price in (*held, *set_within))


def courses(prices: Iterable[SpotPrice], start: datetime, end: datetime) -> tuple[Course, ...]:
    """The course of every type and zone in ``prices``, by type and zone.

    Prices set before ``start`` count only if they still held then; those after ``end`` not at all. A type and zone
    without any is left out.
    """
    groups: dict[tuple[str, str], list[SpotPrice]] = defaultdict(list)
    for price in prices:
        if price.since <= end:
            groups[price.instance_type, price.zone].append(price)
    return tuple(Course(*key, start, end, _within(groups[key], start)) for key in sorted(groups))


def _within(prices: list[SpotPrice], start: datetime) -> tuple[SpotPrice, ...]:
    ordered = sorted(prices, key=lambda price: price.since)
    before = [price for price in ordered if price.since <= start][-1:]
    return (*before, *(price for price in ordered if price.since > start))
