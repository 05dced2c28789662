"""Names of the things made for an instance, and what AWS allows in them."""

from __future__ import annotations

import re

from spot_connect.core.errors import UsageError

NAME_TAG = "spot-connect:name"
MANAGED_TAG = "spot-connect:managed"
USER_TAG = "spot-connect:user"
PROFILE_TAG = "spot-connect:profile"
LOGIN_TAG = "spot-connect:login"
SSH_TAG = "spot-connect:ssh"
"""``host:port`` of an SSH server that is not at the public address, port 22."""

# Security group names are the narrowest of the names we derive; the length leaves room for "SG-".
_ALLOWED = re.compile(r"[A-Za-z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,240}")


def instance_name(text: str) -> str:
    """``text`` as an instance name, checked against what EC2 accepts for tags, groups and key pairs.

    Raises:
        UsageError: empty, too long, or a character that EC2 refuses.

    Example:
        >>> instance_name("my vm")
        'my vm'
    """
    if not _ALLOWED.fullmatch(text) or text != text.strip():
        raise UsageError(
            f"{text!r} is not an instance name",
            advice="Use up to 240 letters, digits, blanks and any of ._-:/()#,@[]+=&;{}!$*",
        )
    return text


def key_pair_name(name: str) -> str:
    """The key pair made for the instance ``name``."""
    return f"KP-{name}"


def security_group_name(name: str) -> str:
    """The security group made for the instance ``name``."""
    return f"SG-{name}"


def file_system_token(text: str) -> str:
    """``text`` as the creation token of a file system: 1 to 64 characters that also make a group name.

    Raises:
        UsageError: too long, or a character that AWS refuses.

    Example:
        >>> file_system_token("data")
        'data'
    """
    if len(text) > 64 or not _ALLOWED.fullmatch(text):
        raise UsageError(f"{text!r} is not a file system name", advice="Use up to 64 letters, digits and ._-:/")
    return text


def file_system_group_name(token: str) -> str:
    """The security group made for the mount targets of the file system ``token``."""
    return f"SG-EFS-{token}"


def file_name(name: str) -> str:
    """``name`` as a file name on every system, still readable and without clashes.

    Example:
        >>> file_name("KP-a/b")
        'KP-a%2Fb'
    """
    return re.sub(r"[^A-Za-z0-9 ._\-@+=]", lambda match: f"%{ord(match.group()):02X}", name)
