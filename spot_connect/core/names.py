"""Names of the things made for an instance, and what AWS allows in them."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from spot_connect.core.errors import UsageError

NAME_TAG = "spot-connect:name"
MANAGED_TAG = "spot-connect:managed"
USER_TAG = "spot-connect:user"
PROFILE_TAG = "spot-connect:profile"
LOGIN_TAG = "spot-connect:login"
FILE_SYSTEM_TAG = "spot-connect:filesystem"
"""Creation token of the file system that is mounted at ``~/efs``."""
SUCCESSOR_TAG = "spot-connect:successor"
"""On an instance that AWS takes away: the id of the one that has its name from now on."""
GROUP_TAG = "spot-connect:group"
"""Id of the security group that was named at the launch; EC2 forgets the groups of an ended instance."""
SUBNET_TAG = "spot-connect:subnet"
"""Id of the subnet that was named at the launch."""
INSTANCE_PROFILE_TAG = "spot-connect:instance-profile"
"""Name of the instance profile that was named at the launch."""
SSH_TAG = "spot-connect:ssh"
"""``host:port`` of an SSH server that is not at the public address, port 22."""

# Security group names are the narrowest of the names we derive; the length leaves room for "SG-" and a variant.
_ALLOWED = re.compile(r"[A-Za-z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,240}")
_OF_FILE_SYSTEMS = "SG-EFS-"
_IN_FILE_SYSTEM_TAGS = frozenset("_.:/=+-@")
_INSTANCE_ID = re.compile(r"i-[0-9a-f]{8}(?:[0-9a-f]{9})?")
_LONGEST_FILE_NAME = 220
"""File systems take 255 bytes; the rest is for ``KP-``, ``.pem`` and what SSH and a safe write put after them."""


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
            advice="Use up to 220 letters, digits, blanks and any of ._-:/()#,@[]+=&;{}!$*",
        )
    if len(file_name(text)) > _LONGEST_FILE_NAME:
        raise UsageError(
            f"{text!r} is not an instance name",
            "it is too long for the name of a key file",
            "Use up to 220 letters; signs other than ._-@+= count as three.",
        )
    return text


def is_instance_id(text: str) -> bool:
    """Whether ``text`` is an EC2 instance id, and so cannot be meant as a name.

    Example:
        >>> is_instance_id("i-0123456789abcdef0"), is_instance_id("i-notebook")
        (True, False)
    """
    return bool(_INSTANCE_ID.fullmatch(text))


def key_pair_name(name: str) -> str:
    """The key pair made for the instance ``name``."""
    return f"KP-{name}"


def security_group_name(name: str) -> str:
    """The security group made for the instance ``name``; never that of a file system."""
    group = f"SG-{name}"
    return own_variant(group) if group.lower().startswith(_OF_FILE_SYSTEMS.lower()) else group


def own_variant(name: str) -> str:
    """A name like ``name`` that nothing else has, where ``name`` itself is taken.

    Example:
        >>> own_variant("SG-VM1")
        'SG-VM1.0cb566c0'
    """
    return f"{name}.{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def file_system_token(text: str) -> str:
    """``text`` as the creation token of a file system: 1 to 64 characters that also make a group name.

    Raises:
        UsageError: too long, or a character that AWS refuses.

    Example:
        >>> file_system_token("data")
        'data'
    """
    if len(text) > 64 or not _ALLOWED.fullmatch(text) or text != text.strip():
        raise UsageError(f"{text!r} is not a file system name", advice="Use up to 64 letters, digits and ._-:/")
    return text


def file_system_label(token: str) -> str:
    """The Name tag of the file system ``token``: EFS takes fewer signs in its tags than in creation tokens.

    https://docs.aws.amazon.com/efs/latest/ug/API_Tag.html

    Example:
        >>> file_system_label("data (old)")
        'data _old_'
    """
    return "".join(letter if fits_file_system(letter) else "_" for letter in token)


def fits_file_system(text: str) -> bool:
    """Whether EFS takes the text as the key or the value of a tag: letters, digits, blanks and any of ``_.:/=+-@``.

    https://docs.aws.amazon.com/efs/latest/ug/API_Tag.html

    Example:
        >>> fits_file_system("Zürich 1"), fits_file_system("a#b")
        (True, False)
    """
    return all(letter in _IN_FILE_SYSTEM_TAGS or unicodedata.category(letter)[0] in "LNZ" for letter in text)


def file_system_group_name(token: str) -> str:
    """The security group made for the mount targets of the file system ``token``."""
    return f"{_OF_FILE_SYSTEMS}{token}"


def file_name(name: str) -> str:
    """``name`` as a file name on every system, still readable and without clashes.

    Example:
        >>> file_name("KP-a/b")
        'KP-a%2Fb'
        >>> file_name("..")
        '%2E%2E'
    """
    unfit = r"[^A-Za-z0-9 ._\-@+=]" if name.strip(".") else r"\."
    return re.sub(unfit, lambda match: f"%{ord(match.group()):02X}", name)
