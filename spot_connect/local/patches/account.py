"""The one account of this cloud: it has enabled every Region, and has launched spot instances before."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend
from moto.iam import models
from moto.iam.exceptions import NotFoundException
from moto.iam.models import IAMBackend

from spot_connect.core.regions import must_be_enabled
from spot_connect.local.cloud import ACCOUNT
from spot_connect.local.patches.patch import Patch

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud

_LINKED = {
    "AWSServiceRoleForEC2Spot": "spot.amazonaws.com",
    "AWSServiceRoleForEC2Fleet": "ec2fleet.amazonaws.com",
}


def account_of(_: Cloud, __: Any, ___: str) -> str:
    """The account of every key; moto would build the IAM of every partition to find it."""
    return ACCOUNT


def get_role(_: Cloud, original: Any, backend: Any, role_name: str) -> Any:
    """The role, also one of those that EC2 has made for itself at the first spot request."""
    try:
        return original(backend, role_name)
    except NotFoundException:
        if role_name not in _LINKED:
            raise
    service = _LINKED[role_name]
    trust = {"Effect": "Allow", "Action": ["sts:AssumeRole"], "Principal": {"Service": [service]}}
    return backend.create_role(
        role_name,
        json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        f"/aws-service-role/{service}/",
        permissions_boundary=None,
        description="",
        tags=[],
        max_session_duration="3600",
        linked_service=service,
    )


def enable_regions() -> None:
    """Have every Region be one that the account may use, as it may."""
    for region in RegionsAndZonesBackend.regions:
        region.opt_in_status = "opted-in" if must_be_enabled(region.name) else "opt-in-not-required"


PATCHES = (
    Patch(models, "get_account_id_from", account_of, "finds the account of a key at once"),
    Patch(IAMBackend, "get_role", get_role, "has the roles of EC2 in an account that has launched spot instances"),
)
