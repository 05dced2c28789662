"""Instance profiles, which lend an instance the rights of an IAM role."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches

from spot_connect.core.errors import UsageError

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
_NAME = re.compile(r"[A-Za-z0-9+=,.@_-]{1,128}")
_ROLE_PREFIX = "spot-connect-"
_LONGEST_ROLE = 64


@dataclass(frozen=True, slots=True)
class InstanceProfile:
    """An instance profile; it holds one role at the most."""

    name: str
    arn: str
    roles: tuple[str, ...]
    created: datetime


@dataclass(frozen=True, slots=True)
class Role:
    """An IAM role."""

    name: str
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Policy:
    """A managed policy."""

    name: str
    arn: str


def bare_name(name_or_arn: str) -> str:
    """The name in an ARN; a name is one already.

    Example:
        >>> bare_name("arn:aws:iam::123456789012:instance-profile/team/web")
        'web'
    """
    return name_or_arn.rpartition("/")[2] if name_or_arn.startswith("arn:") else name_or_arn


def checked_name(name: str) -> str:
    """``name`` as the name of an instance profile.

    Raises:
        UsageError: empty, longer than 128 characters, or a character that IAM refuses.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a name for an instance profile", advice="Use up to 128 letters, digits and +=,.@_-"
        )
    return name


def own_role_name(profile_name: str) -> str:
    """The role made for an instance profile that was given a policy.

    Raises:
        UsageError: it would be longer than the 64 characters that IAM allows.
    """
    name = f"{_ROLE_PREFIX}{profile_name}"
    if len(name) > _LONGEST_ROLE:
        raise UsageError(
            f"cannot make a role for the instance profile {profile_name}",
            f"its name {name} has more than {_LONGEST_ROLE} characters",
            "Choose a shorter name.",
        )
    return name


def nearest(name: str, known: Iterable[str]) -> str:
    """Advice that names what was probably meant; empty when nothing is like it.

    Example:
        >>> nearest("s3-acces", ["s3-access", "web"])
        'Did you mean s3-access?'
    """
    found = get_close_matches(name, list(dict.fromkeys(known)), n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(found)}?" if found else ""
