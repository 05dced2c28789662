"""Asking whether something is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.core.utils import camelcase_to_underscores
from moto.ec2.responses._base_response import EC2BaseResponse

from spot_connect.local.patches.patch import Patch

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud


def call_action(_: Cloud, original: Any, response: Any) -> Any:
    """What EC2 answers to any call with DryRun, after whatever else stands in its way; moto does most of them."""
    if response._get_param("DryRun"):
        setattr(response, camelcase_to_underscores(response._get_action()), response.error_on_dryrun)
    return original(response)


PATCHES = (Patch(EC2BaseResponse, "call_action", call_action, "does nothing in a dry run, whatever the call"),)
