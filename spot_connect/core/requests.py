"""What a user asks for: a named machine, and what it is to be like when it has to be launched."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from spot_connect.core.errors import UsageError
from spot_connect.core.firewall import Rule
from spot_connect.core.profiles import Profile
from spot_connect.core.tags import file_system_tags, require_room

USER_DATA_LIMIT = 16 * 1024
"""Bytes EC2 takes, before base64 (EC2 User Guide, "Run commands at launch")."""
_BEGINNINGS = ("#!", "#cloud-", "#include", "#part-handler", "Content-Type:", "MIME-Version:", "## template:")
"""By which cloud-init tells the kinds of user data: https://cloudinit.readthedocs.io/en/latest/explanation/format.html"""


def plain_user_data(text: str) -> str:
    r"""User data as text, also where it comes in base64, which botocore would encode once more.

    Example:
        >>> plain_user_data("IyEvYmluL2Jhc2gK")
        '#!/bin/bash\n'
    """
    if text.startswith(_BEGINNINGS):
        return text
    try:
        decoded = base64.b64decode("".join(text.split()), validate=True).decode()
    except ValueError:
        return text
    return decoded if decoded.startswith(_BEGINNINGS) else text


def is_run_at_boot(user_data: str) -> bool:
    r"""Whether cloud-init does anything with the text; it leaves alone what it does not know, without a word.

    Example:
        >>> is_run_at_boot("echo hello\n")
        False
    """
    return user_data.startswith(_BEGINNINGS)


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """A machine by name; ``profile`` is ``None`` when only a running one will do.

    ``user_data`` may be given in base64 too, and is plain text from then on.
    """

    name: str
    profile: Profile | None = None
    region: str = ""
    instance_type: str = ""
    image_id: str = ""
    price: Decimal | None = None
    username: str = ""
    key_pair: str = ""
    security_group: str = ""
    firewall: tuple[Rule, ...] = ()
    instance_profile: str = ""
    monitoring: bool = False
    user_data: str = ""
    on_demand: bool = False
    filesystem: str = ""
    """Creation token of the file system that is going to be mounted, so that whoever finds the machine can tell."""
    last_zone: str = ""
    """The zone to try last: AWS has just taken a machine away there."""
    subnet: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    standing_tags: Mapping[str, str] = field(default_factory=dict)
    """Tags that a setting gives to all that is made."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "user_data", plain_user_data(self.user_data))
        if len(self.user_data.encode()) > USER_DATA_LIMIT:
            raise UsageError(
                f"cannot launch {self.name}",
                f"its user data is over {USER_DATA_LIMIT} bytes",
                "Keep it short and upload the rest with -u or -s.",
            )
        require_room(self.all_tags)
        if self.filesystem:
            file_system_tags(self.all_tags)

    @property
    def all_tags(self) -> dict[str, str]:
        """The user's tags on all that the launch makes."""
        return {**self.standing_tags, **self.tags}

    @property
    def launch_only(self) -> tuple[str, ...]:
        """The settings given that mean nothing to a machine that already runs, by the names users know."""
        given = {
            "profile": self.profile is not None,
            "instance type": bool(self.instance_type),
            "image": bool(self.image_id),
            "price": self.price is not None,
            "instance profile": bool(self.instance_profile),
            "subnet": bool(self.subnet),
            "tags": bool(self.tags),
            "monitoring": self.monitoring,
            "user data": bool(self.user_data),
        }
        return tuple(name for name, is_given in given.items() if is_given)
