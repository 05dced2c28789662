"""Which of EC2's quotas limit an instance type; each counts the vCPUs of some families in a Region.

EC2 User Guide, "Spot Instance quotas" and "On-Demand Instance quotas"; codes as Service Quotas lists them for ``ec2``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_STANDARD = frozenset((*"acdhimrtz", "im", "is"))
_FAMILY = re.compile("([a-z]+)[0-9]?")


@dataclass(frozen=True, slots=True)
class QuotaCodes:
    """The codes of the two quotas of a family; empty where there is none of the kind, or none is known."""

    spot: str
    on_demand: str


_CODES = {
    "dl": QuotaCodes("L-85EED4F7", "L-6E869C2A"),
    "f": QuotaCodes("L-88CF9481", "L-74FC7D96"),
    "g": QuotaCodes("L-3819A6DF", "L-DB2E81BA"),
    "gr": QuotaCodes("L-3819A6DF", "L-DB2E81BA"),
    "hpc": QuotaCodes("", "L-F7808C92"),
    "inf": QuotaCodes("L-B5D1601B", "L-1945791B"),
    "p": QuotaCodes("L-7212CCBC", "L-417A185B"),
    "p5": QuotaCodes("L-C4BD4855", "L-417A185B"),
    "p6": QuotaCodes("", "L-417A185B"),
    "standard": QuotaCodes("L-34B43A08", "L-1216C47A"),
    "trn": QuotaCodes("L-6B0D517C", "L-2C3B7624"),
    "u": QuotaCodes("", "L-43DA4232"),
    "vt": QuotaCodes("L-3819A6DF", "L-DB2E81BA"),
    "x": QuotaCodes("L-E3A00192", "L-7295265B"),
}


def quotas_of(instance_type: str) -> QuotaCodes:
    """The quotas that limit a type.

    Example:
        >>> quotas_of("t3.micro").spot, quotas_of("g5.xlarge").spot, quotas_of("im4gn.large") == quotas_of("m5.large")
        ('L-34B43A08', 'L-3819A6DF', True)
        >>> quotas_of("mac2.metal").spot
        ''
    """
    found = _FAMILY.match(instance_type)
    if not found:
        return QuotaCodes("", "")
    letters = found[1]
    return _CODES.get(found[0]) or _CODES.get("standard" if letters in _STANDARD else letters) or QuotaCodes("", "")
