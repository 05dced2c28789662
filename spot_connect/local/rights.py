"""Who may do what: nobody is refused anything until `spot_connect local fault` orders policies to be enforced."""

from __future__ import annotations

import secrets
import string
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spot_connect.local.calls import Call
from spot_connect.local.cloud import ACCOUNT
from spot_connect.local.needs import launch, needs, overridden
from spot_connect.local.policies import Need, decide

if TYPE_CHECKING:
    from spot_connect.local.faults import Faults

_CODES = {"ec2": "UnauthorizedOperation", "s3": "AccessDenied", "iam": "AccessDenied", "sts": "AccessDenied"}
_JSON = ("ssm", "pricing", "servicequotas")
_ENCODED = 700
"""About as many characters as EC2 appends, which tell nothing to who may not decode them."""


@dataclass(frozen=True, slots=True)
class Denial:
    """How AWS refuses it."""

    code: str
    message: str
    status: int


class Rights:
    """What the policies that are planned say of callers. Every method may be called from any thread."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._caller = threading.local()

    def refusal(self, call: Call | None) -> Denial | None:
        """How the call is refused, if it is; remembers its caller for what is launched in the same request.

        One that could not be understood is not allowed either.
        """
        if call is None:
            return Denial("AccessDeniedException", "It cannot be told which rights this call needs.", 403)
        self._caller.key = call.access_key
        said = self._denied(needs(call), call.access_key)
        if not said:
            return None
        status = 400 if call.service in _JSON else 403
        return Denial(_CODES.get(call.service, "AccessDeniedException"), said, status)

    def forget(self) -> None:
        """The next request in this thread is somebody else's."""
        self._caller.key = None

    def refused_launch(self, region: str, template_id: str, data: Any, override: Any) -> str:
        """What EC2 says of a launch of a fleet that its owner must not make; empty when it may."""
        key = getattr(self._caller, "key", None)
        if key is None:
            return ""
        return self._denied(launch(overridden(data, override or {}), region, template_id), key)

    def _denied(self, wanted: Iterable[Need], access_key: str) -> str:
        role, arn = _caller(access_key)
        limited, policies = self._faults.policies(role)
        if not policies:
            return ""
        for need in wanted:
            decision = decide(policies, need)
            if decision == "Deny" or (limited and decision != "Allow"):
                return _message(arn, need, explicit=decision == "Deny")
        return ""


def _caller(access_key: str) -> tuple[str, str]:
    """The role behind an access key, empty for a user, and who that is in messages."""
    from moto.sts.models import sts_backends

    sts = sts_backends[ACCOUNT]["aws"]
    assumed = sts.get_assumed_role_from_access_key(access_key)
    _, arn, _ = sts.get_caller_identity(access_key, "us-east-1")
    return (assumed.role_arn.rpartition("/")[2] if assumed else ""), arn


def _message(arn: str, need: Need, *, explicit: bool) -> str:
    why = (
        "with an explicit deny in an identity-based policy"
        if explicit
        else f"because no identity-based policy allows the {need.action} action"
    )
    said = f"User: {arn} is not authorized to perform: {need.action} on resource: {need.resource} {why}"
    if not need.action.startswith("ec2:"):
        return said
    encoded = "".join(secrets.choice(string.ascii_letters + string.digits + "-_") for _ in range(_ENCODED))
    return f"You are not authorized to perform this operation. {said}. Encoded authorization failure message: {encoded}"
