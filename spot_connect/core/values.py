"""Reading what a user typed: strict, and with the right form in every refusal."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal, InvalidOperation

from spot_connect.core.errors import UsageError
from spot_connect.core.untrusted import Refused, login_name

_TRUE = frozenset({"true", "yes", "1"})
_FALSE = frozenset({"false", "no", "0"})
_PERIOD = re.compile(r"([0-9]{1,5})([hd])")
_LONGEST_DAYS = 90
"""How long EC2 keeps spot prices (DescribeSpotPriceHistory, EC2 API Reference)."""
_RUN_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{4}")
_INSTANCE_ID = re.compile(r"i-[0-9a-f]{8}(?:[0-9a-f]{9})?")
_SUBNET_ID = re.compile(r"subnet-[0-9a-f]{8}(?:[0-9a-f]{9})?")
_GROUP_ID = re.compile(r"sg-[0-9a-f]{8}(?:[0-9a-f]{9})?")


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


def efs_tls(text: str) -> str:
    """``require`` or ``prefer``: what is wanted where a file system cannot be encrypted in transit.

    Raises:
        UsageError: any other word.

    Example:
        >>> efs_tls("Require")
        'require'
    """
    word = text.strip().lower()
    if word not in ("require", "prefer"):
        raise UsageError(f"{text!r} is not a way to encrypt in transit", advice="It is require or prefer.")
    return word


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
    if not is_figure(value) or value <= Decimal("0.001"):
        raise UsageError(
            f"{str(text)!r} is not a price",
            advice="Give US dollars per hour above 0.001, for example 0.05.",
        )
    return value


def is_figure(value: Decimal) -> bool:
    """Whether it has no more digits than a price can have: those of ``1e99999999``, written out, would fill the memory.

    Example:
        >>> is_figure(Decimal("0.0031")), is_figure(Decimal("1e99999999"))
        (True, False)
    """
    return value.is_finite() and abs(value.adjusted()) < 20 and len(value.as_tuple().digits) < 40


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


def subnet_id(text: str) -> str:
    """The id of a subnet, ``subnet-`` and 8 or 17 hexadecimal digits.

    Raises:
        UsageError: anything else.

    Example:
        >>> subnet_id("subnet-0123456789abcdef0")
        'subnet-0123456789abcdef0'
    """
    if not _SUBNET_ID.fullmatch(text):
        advice = "It looks like subnet-0123456789abcdef0; `aws ec2 describe-subnets` lists them."
        raise UsageError(f"{text[:100]!a} is not the id of a subnet", advice=advice)
    return text


def group_id(text: str) -> str:
    """The id of a security group, ``sg-`` and 8 or 17 hexadecimal digits.

    Raises:
        UsageError: anything else.

    Example:
        >>> group_id("sg-0123456789abcdef0")
        'sg-0123456789abcdef0'
    """
    if not _GROUP_ID.fullmatch(text):
        raise UsageError(
            f"{text[:100]!a} is not the id of a security group", advice="It looks like sg-0123456789abcdef0."
        )
    return text


def username(text: str) -> str:
    """The name of a login user on an instance.

    Raises:
        UsageError: ``useradd`` would not take it.

    Example:
        >>> username("ec2-user")
        'ec2-user'
    """
    try:
        return login_name(text)
    except Refused as error:
        raise UsageError(str(error), advice="It looks like ec2-user or ubuntu.") from error


def period(text: str) -> timedelta:
    """A time back from now in hours or days, ``24h`` or ``7d``; at the most 90 days, which is what EC2 keeps.

    Raises:
        UsageError: any other form, nothing, or more than 90 days.

    Example:
        >>> period("36h")
        datetime.timedelta(days=1, seconds=43200)
    """
    found = _PERIOD.fullmatch(text.strip().lower())
    if not found or int(found[1]) == 0:
        raise UsageError(f"{text!r} is not a period", advice="Give hours or days, for example 24h or 7d.")
    length = timedelta(hours=int(found[1])) if found[2] == "h" else timedelta(days=int(found[1]))
    if length > timedelta(days=_LONGEST_DAYS):
        raise UsageError(f"{text!r} is too long", "EC2 keeps 90 days of spot prices", "Give 90d or less.")
    return length


def seconds(text: str) -> float:
    """A time in seconds, from ``90``, ``90s``, ``2m`` or ``1h``.

    Raises:
        UsageError: anything else.

    Example:
        >>> seconds("2m")
        120.0
    """
    found = re.fullmatch(r"([0-9]{1,7}(?:[.][0-9]+)?)([smh]?)", text.strip().lower())
    if not found:
        raise UsageError(f"{text!r} is not a time", advice="Give seconds, for example 90, or 2m, or 1h.")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


def run_id(text: str) -> str:
    """The id of a detached run, as ``spot_connect runs`` shows it.

    Raises:
        UsageError: it cannot be one.

    Example:
        >>> run_id("20261125-074501-9f3a")
        '20261125-074501-9f3a'
    """
    if not _RUN_ID.fullmatch(text):
        raise UsageError(f"{text!r} is not the id of a run", advice="It looks like 20261125-074501-9f3a; see `runs`.")
    return text


def dollars(text: str) -> Decimal:
    """A positive amount of US dollars.

    Raises:
        UsageError: anything else.

    Example:
        >>> dollars("2.50")
        Decimal('2.50')
    """
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value <= 0:
        raise UsageError(f"{text!r} is not an amount of money", advice="Give US dollars, for example 2.50.")
    return value


def count(text: str) -> int:
    """A whole number from 1.

    Raises:
        UsageError: anything else.

    Example:
        >>> count("8")
        8
    """
    if not re.fullmatch(r"[0-9]{1,9}", text.strip()) or int(text) == 0:
        raise UsageError(f"{text!r} is not a number from 1", advice="Give a whole number, for example 8.")
    return int(text)


def gibibytes(text: str) -> Decimal:
    """A positive amount of memory in GiB.

    Raises:
        UsageError: anything else, a unit included.

    Example:
        >>> gibibytes("0.5")
        Decimal('0.5')
    """
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value <= 0:
        raise UsageError(f"{text!r} is not an amount of memory", advice="Give GiB without a unit, for example 32.")
    return value
