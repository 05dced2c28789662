"""Facts about machine images."""

from __future__ import annotations

from typing import Any

_LOGINS = (("ubuntu", "ubuntu"), ("debian", "admin"), ("rocky", "rocky"), ("centos", "centos"), ("fedora", "fedora"))
_OWNERS = {"099720109477": "ubuntu", "136693071363": "admin"}


def login_name(instance: Any) -> str:
    """The user that the image of the instance makes at first boot."""
    image = instance.ec2_backend.amis.get(instance.image_id)
    if image is None:
        return "ec2-user"
    if image.owner_id in _OWNERS:
        return _OWNERS[image.owner_id]
    name = (image.name or "").lower()
    return next((login for word, login in _LOGINS if word in name), "ec2-user")
