"""AWS services that moto lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spot_connect.local.replies import Wsgi

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud


def handlers(_: Cloud) -> dict[str, Wsgi]:
    """By the name that requests are signed for."""
    return {}
