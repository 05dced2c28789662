"""Which of an instance's tags may be used.

Whoever may tag instances of the account can write into them, and an instance's own role may be allowed to. So they are
checked once, where they are read, and nothing is ever made of one that does not fit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address

from spot_connect.core import values
from spot_connect.core.errors import UsageError
from spot_connect.core.fleets import FLEET_TAG
from spot_connect.core.members import MEMBERS_TAG, own_or_shared
from spot_connect.core.names import (
    FILE_SYSTEM_TAG,
    LOGIN_TAG,
    NAME_TAG,
    PROFILE_TAG,
    SSH_TAG,
    SUCCESSOR_TAG,
    file_system_token,
    instance_name,
)
from spot_connect.core.untrusted import Refused, host, login_name, port, printable

_ENDS = re.compile(r"[0-9a-f]{4,17}(?: [0-9a-f]{4,17})*")


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
    MEMBERS_TAG: _members,
}
_MEMBERS = re.compile(re.escape(MEMBERS_TAG) + "-[0-9]+")
