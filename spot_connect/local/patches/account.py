"""The one account of this cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.iam import models

from spot_connect.local.cloud import ACCOUNT
from spot_connect.local.patches.patch import Patch

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud


def account_of(_: Cloud, __: Any, ___: str) -> str:
    """The account of every key; moto would build the IAM of every partition to find it."""
    return ACCOUNT


PATCHES = (Patch(models, "get_account_id_from", account_of, "finds the account of a key at once"),)
