"""Which of an instance's tags may be used, and which tags users may give to what is made for them.

Whoever may tag instances of the account can write into them, and an instance's own role may be allowed to. So they are
checked once, where they are read, and nothing is ever made of one that does not fit.

What AWS allows in tags: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address

from spot_connect.core import values
from spot_connect.core.errors import UsageError
from spot_connect.core.fleets import FLEET_TAG
from spot_connect.core.instance_profiles import checked_name
from spot_connect.core.members import MEMBERS_TAG, own_or_shared
from spot_connect.core.names import (
    FILE_SYSTEM_TAG,
    GROUP_TAG,
    INSTANCE_PROFILE_TAG,
    LOGIN_TAG,
    MANAGED_TAG,
    NAME_TAG,
    PROFILE_TAG,
    SSH_TAG,
    SUBNET_TAG,
    SUCCESSOR_TAG,
    USER_TAG,
    file_system_token,
    fits_file_system,
    instance_name,
)
from spot_connect.core.untrusted import Refused, host, login_name, port, printable

_ENDS = re.compile(r"[0-9a-f]{4,17}(?: [0-9a-f]{4,17})*")
_OWN_PREFIX = "spot-connect:"
_RESERVED = ("aws:", _OWN_PREFIX)
_MOST = 50
"""Tags of one resource, without those of AWS itself."""
_LONGEST_KEY, _LONGEST_VALUE = 128, 256
_OWN_TAGS = (
    *("Name", NAME_TAG, MANAGED_TAG, USER_TAG, PROFILE_TAG, LOGIN_TAG, FILE_SYSTEM_TAG, GROUP_TAG, SUBNET_TAG),
    *(INSTANCE_PROFILE_TAG, SUCCESSOR_TAG, SSH_TAG, FLEET_TAG),
)
"""Those that a machine may have of us, beside what tells the numbers of a fleet."""
_MEMBERS_IN_A_TAG = 32
"""In 256 characters, when the ends of ids are as long as a thousand of them need."""
_UNTOLD = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters, line ends, and halves of characters, which no answer could tell."""


def fitting(tags: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    r"""The tags that may be used, and a line for each of ours that does not fit and is left out.

    A name that does not fit stays, in a form that is fit to show and that no name has. One that somebody else has
    given (``Name``) is none of ours to refuse; it is left out in silence. Empty tags say nothing.

    Example:
        >>> fitting({"spot-connect:name": "vm1", "spot-connect:login": "ubuntu"})
        ({'spot-connect:name': 'vm1', 'spot-connect:login': 'ubuntu'}, ())
        >>> fitting({"spot-connect:login": "me\nMatch all"})
        ({}, ("its tag spot-connect:login is refused: 'me\\nMatch all' is not a login name",))
    """
    kept: dict[str, str] = {}
    refused: list[str] = []
    for key, value in tags.items():
        why = _why_not(key, value)
        if not why:
            kept[key] = value
            continue
        if key == NAME_TAG:
            kept[key] = printable(value)
        if key != "Name":
            refused.append(f"its tag {key} is refused: {why}")
    return kept, tuple(refused)


def given_tags(tags: Mapping[str, str] | Iterable[str] | None) -> dict[str, str]:
    """The tags that a user gives, as a mapping or as texts like ``team=ml``, checked.

    Raises:
        UsageError: one of them is not ``key=value``, is given twice, or is none that a user may give.

    Example:
        >>> given_tags(["team=ml", "cost-center=42"])
        {'team': 'ml', 'cost-center': '42'}
        >>> given_tags(["team"])
        Traceback (most recent call last):
        ...
        spot_connect.core.errors.UsageError: 'team' is not a tag. Write key=value, e.g. team=ml.
    """
    if isinstance(tags, str):
        tags = [tags]
    pairs = tags.items() if isinstance(tags, Mapping) else map(_pair, tags or ())
    found: dict[str, str] = {}
    for key, value in pairs:
        _check(key, value)
        if found.setdefault(key, value) != value:
            raise _refused(key, "it is given twice, with two values", "Give it once.")
    return found


def listed_tags(text: str) -> dict[str, str]:
    """The tags in a setting, with commas between them.

    Raises:
        UsageError: as :func:`given_tags` has it.

    Example:
        >>> listed_tags("team=ml, cost-center=42")
        {'team': 'ml', 'cost-center': '42'}
    """
    return given_tags([part.strip() for part in text.split(",") if part.strip()])


def require_room(tags: Mapping[str, str], members: int = 0) -> None:
    """Return if all of the user's tags fit onto a machine beside ours; ``members`` is the number of its fleet.

    Raises:
        UsageError: there are too many.
    """
    if len(tags) > room(members):
        raise UsageError(
            f"cannot give {len(tags)} tags",
            f"AWS allows {_MOST} on a resource, and spot-connect needs {_MOST - room(members)} of them",
            f"Give {room(members)} at the most.",
        )


def room(members: int = 0) -> int:
    """How many tags a user may give to a machine, or to each of a fleet of so many.

    Example:
        >>> room(), room(1000)
        (37, 5)
    """
    return _MOST - len(_OWN_TAGS) - -(-members // _MEMBERS_IN_A_TAG)


def file_system_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The user's tags, as they go on a file system.

    Raises:
        UsageError: EFS does not take one of them.
    """
    for key, value in tags.items():
        if not (fits_file_system(key) and fits_file_system(value)):
            why = "the file system gets it, too, and EFS takes only letters, digits, blanks and any of _.:/=+-@"
            raise _refused(key, why, "Use those alone, or launch without a file system.")
    return dict(tags)


def inherited_tags(tags: Mapping[str, str], *, file_system: bool = False, taken: int = 0) -> dict[str, str]:
    """Of a machine's tags those that are not ours: what the machine in its place, or its file system, gets of them.

    What does not fit there is left out, so that a run goes on whatever somebody has written on its machine.

    Args:
        tags: those of the machine.
        file_system: leave out what EFS does not take.
        taken: so many tags are given already.

    Example:
        >>> inherited_tags({"Name": "vm1", "spot-connect:name": "vm1", "aws:ec2:fleet-id": "fleet-1", "team": "ml"})
        {'team': 'ml'}
    """
    kept = {
        key: value
        for key, value in tags.items()
        if not _why_not_given(key, value) and (not file_system or fits_file_system(key + value))
    }
    return dict(list(kept.items())[: max(0, room() - taken)])


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"'{printable(text[:100])}' is not a tag", advice="Write key=value, e.g. team=ml.")
    return key, value


def _check(key: object, value: object) -> None:
    if not isinstance(key, str) or not isinstance(value, str):
        raise _refused(str(key), "keys and values of tags are texts", "Write the value as a text.")
    why = _why_not_given(key, value)
    if why:
        raise _refused(key, *why)


def _why_not_given(key: str, value: str) -> tuple[str, str] | None:
    """Why a user may not give the tag, and what to do instead; ``None`` where he may."""
    if key == "Name":
        return "it is the name of the instance", "Give that with -n."
    if not key or key != key.strip():
        return "its key is empty, or has a blank at an end", "Write key=value, without blanks around the ="
    reserved = next((prefix for prefix in _RESERVED if key.lower().startswith(prefix)), "")
    if reserved:
        return f"keys that begin with {reserved} are reserved", "Choose another key."
    if _length(key) > _LONGEST_KEY or _length(value) > _LONGEST_VALUE:
        limits = f"AWS allows {_LONGEST_KEY} characters in a key and {_LONGEST_VALUE} in a value"
        return limits, "Shorten it."
    if any(unicodedata.category(letter) in _UNTOLD or letter in "\ufffe\uffff" for letter in key + value):
        return "it has a control character in it", "Leave that out."
    return None


def _length(text: str) -> int:
    """As AWS counts: in units of UTF-16."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _refused(key: str, why: str, advice: str) -> UsageError:
    return UsageError(f"cannot use the tag {printable(key[:_LONGEST_KEY])}", why, advice)


def _why_not(key: str, value: str) -> str:
    """Why the value does not fit the tag; empty when it does, or when the tag is none that we read."""
    check = _CHECKS.get(MEMBERS_TAG if _MEMBERS.fullmatch(key) else key)
    if check is None or not value:
        return ""
    try:
        check(value)
    except UsageError as error:
        return error.what
    except Refused as error:
        return str(error)
    return ""


def _name(text: str) -> object:
    return instance_name(own_or_shared(text))


def _place(text: str) -> object:
    """Where a local cloud's instance is. An instance of AWS is at the address that EC2 tells, and nowhere else."""
    there, _, number = text.rpartition(":")
    try:
        is_here = ip_address(host(there)).is_loopback
    except ValueError as error:
        raise Refused(f"{text[:100]!a} is not an address") from error
    if not is_here:
        raise Refused(f"{text[:100]!a} leads to another computer")
    return there, port(number)


def _profile(text: str) -> object:
    if not text.isprintable():
        raise Refused(f"{text[:100]!a} is not the name of a profile")
    return text


def _members(text: str) -> object:
    if not _ENDS.fullmatch(text):
        raise Refused(f"{text[:100]!a} are not ends of instance ids")
    return text


_CHECKS: Mapping[str, Callable[[str], object]] = {
    NAME_TAG: _name,
    "Name": instance_name,
    LOGIN_TAG: login_name,
    SSH_TAG: _place,
    FILE_SYSTEM_TAG: file_system_token,
    SUCCESSOR_TAG: values.instance_id,
    PROFILE_TAG: _profile,
    FLEET_TAG: instance_name,
    GROUP_TAG: values.group_id,
    SUBNET_TAG: values.subnet_id,
    INSTANCE_PROFILE_TAG: checked_name,
    MEMBERS_TAG: _members,
}
_MEMBERS = re.compile(re.escape(MEMBERS_TAG) + "-[0-9]+")
