"""The names of a fleet's instances, told to all of them by the same few tags.

EC2 tags a thousand instances in one call if all get the same tags. So each has the ends of the ids of all, in the order
of their names, and its own name is known by the place of its own id. One that comes later has a name tag of its own.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import count as counting
from itertools import takewhile

MEMBERS_TAG = "spot-connect:members"
_LONGEST_VALUE = 256
_SHORTEST_END = 4
# A sign that no name has, so that nobody takes an instance that has no number yet for the machine of a name.
_UNNUMBERED = "%"
_NUMBERED = re.compile(r"(?P<prefix>.+)_(?:0|[1-9][0-9]*)")


def shared_name(prefix: str) -> str:
    """The name tag that all instances of the fleet have.

    Example:
        >>> shared_name("worker")
        'worker_%'
    """
    return f"{prefix}_{_UNNUMBERED}"


def name_tags(name: str) -> tuple[str, ...]:
    """The name tags that the machine called ``name`` may have: its own name, or that of its fleet.

    Example:
        >>> name_tags("worker_3"), name_tags("vm1")
        (('worker_3', 'worker_%'), ('vm1',))
    """
    found = _NUMBERED.fullmatch(name)
    return (name, shared_name(found["prefix"])) if found else (name,)


def own_or_shared(name_tag: str) -> str:
    """The name in a name tag: that of the machine, or that of its fleet where the tag is shared.

    Example:
        >>> own_or_shared("worker_%"), own_or_shared("vm1")
        ('worker', 'vm1')
    """
    return name_tag.removesuffix(f"_{_UNNUMBERED}")


def member_tags(ids: Sequence[str]) -> dict[str, str]:
    """The tags by which each of up to a thousand instances is known by the place of its id.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions

    Example:
        >>> member_tags(["i-0123456789abcdef0", "i-0fedcba9876543210"])
        {'spot-connect:members-0': 'def0 3210'}
    """
    width = next(width for width in counting(_SHORTEST_END) if len({one[-width:] for one in ids}) == len(set(ids)))
    lines = textwrap.wrap(" ".join(one[-width:] for one in ids), _LONGEST_VALUE)
    return {_key(number): line for number, line in enumerate(lines)}


def member_name(instance_id: str, name_tag: str, tags: Mapping[str, str]) -> str:
    """What the instance is called; empty when it belongs to a fleet and has no number yet.

    Example:
        >>> member_name("i-0fedcba9876543210", "worker_%", {"spot-connect:members-0": "def0 3210"})
        'worker_1'
        >>> member_name("i-0fedcba9876543210", "vm1", {})
        'vm1'
    """
    if not name_tag.endswith(f"_{_UNNUMBERED}"):
        return name_tag
    told = takewhile(bool, (tags.get(_key(number), "") for number in counting()))
    places = _places(" ".join(told))
    widths = {len(end) for end in places}
    number = next((places[instance_id[-width:]] for width in widths if instance_id[-width:] in places), None)
    return "" if number is None else f"{name_tag.removesuffix(_UNNUMBERED)}{number}"


@lru_cache(maxsize=8)
def _places(ends: str) -> dict[str, int]:
    return {end: number for number, end in enumerate(ends.split())}


def _key(number: int) -> str:
    return f"{MEMBERS_TAG}-{number}"
