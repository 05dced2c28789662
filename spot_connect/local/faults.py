"""Trouble to rehearse: what is to go wrong, where and how often. All of it ends with the daemon, and with a reset."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from threading import Lock
from typing import Any

from spot_connect.core.errors import LocalCloudError
from spot_connect.local.policies import Statement, statements

THROTTLED = ("RequestLimitExceeded", "Request limit exceeded.", 503)
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9.]*")
_RIGHT = re.compile(r"[a-z][a-z0-9-]*:[A-Za-z*?]+")
_SAID = "This error was ordered with `spot_connect local fault`."
Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PoolFault:
    """Launches are refused in some pools: for want of ``capacity``, or for the ``price``. Empty words mean all."""

    kind: str
    instance_type: str = ""
    zone: str = ""

    def __str__(self) -> str:
        where = f"{self.instance_type or 'every type'} in {self.zone or 'every zone'}"
        return f"no capacity for {where}" if self.kind == "capacity" else f"a price above every maximum for {where}"

    def covers(self, kind: str, instance_type: str, zone: str | None) -> bool:
        """Whether it is of that kind and about that pool."""
        return self.kind == kind and self.instance_type in ("", instance_type) and self.zone in ("", zone)


@dataclass(frozen=True, slots=True)
class CallFault:
    """EC2 refuses calls: those of ``action``, or all of them when it is empty."""

    kind: str
    action: str
    code: str
    message: str
    status: int

    def __str__(self) -> str:
        return f"{self.code} (HTTP {self.status}) from {self.action or 'every EC2 call'}"


@dataclass(frozen=True, slots=True)
class BootFault:
    """Instances take that long to boot."""

    kind: str
    seconds: float

    def __str__(self) -> str:
        return f"a boot of {self.seconds:g} s for every instance"


@dataclass(frozen=True, slots=True)
class ConsoleFault:
    """Host keys reach the console that long after the launch of an instance."""

    kind: str
    seconds: float

    def __str__(self) -> str:
        return f"host keys on the console {self.seconds:g} s after the launch of every instance"


@dataclass(frozen=True, slots=True)
class LagFault:
    """What was just made is unknown to other calls for up to that long; the seed decides to which."""

    kind: str
    seconds: float
    seed: int

    def __str__(self) -> str:
        return f"what was just made unknown to other calls for up to {self.seconds:g} s (seed {self.seed})"


@dataclass(frozen=True, slots=True)
class PolicyFault:
    """A policy is enforced for a role, or where none is named, for whoever is none; ``only``: the rest is forbidden."""

    kind: str
    statements: tuple[Statement, ...]
    role: str = ""
    only: bool = False

    def __str__(self) -> str:
        whom = f"the role {self.role}" if self.role else "you"
        if self.only:
            return f"nothing but what {len(self.statements)} statements of a policy allow is allowed for {whom}"
        return f"{self.statements[0]['Action']} is denied for {whom}"


Fault = PoolFault | CallFault | BootFault | ConsoleFault | LagFault | PolicyFault
_ONE_OF_A_KIND = BootFault | ConsoleFault | LagFault


@dataclass(slots=True)
class _Plan:
    fault: Fault
    left: float
    """How often it strikes yet; infinite until it is cleared."""

    def __str__(self) -> str:
        return f"{self.fault}, {'until cleared' if math.isinf(self.left) else f'{self.left:g} more'}"


class Faults:
    """The plan of what goes wrong. Every method may be called from any thread.

    Example:
        >>> faults = Faults()
        >>> faults.plan({"kind": "throttling", "times": 1})["says"]
        'RequestLimitExceeded (HTTP 503) from every EC2 call, 1 more'
        >>> faults.at_call("RunInstances").code, faults.at_call("RunInstances")
        ('RequestLimitExceeded', None)
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._plans: list[_Plan] = []

    def plan(self, body: Body) -> Body:
        """Plan the fault that ``body`` describes.

        Raises:
            LocalCloudError: it could never strike, because EC2 has no such type, zone or action.
        """
        plan = _Plan(_fault(body), float(body.get("times") or math.inf))
        with self._lock:
            if isinstance(plan.fault, _ONE_OF_A_KIND):
                self._plans = [one for one in self._plans if type(one.fault) is not type(plan.fault)]
            self._plans.append(plan)
            return _record(plan)

    def tell(self) -> Body:
        """What is planned."""
        with self._lock:
            return {"faults": [_record(plan) for plan in self._plans]}

    def clear(self) -> Body:
        """Plan nothing any more; what was planned."""
        told = self.tell()
        with self._lock:
            self._plans = []
        return told

    def has_capacity(self, instance_type: str, zone: str) -> bool:
        """Whether a launch there would go well; none is counted."""
        with self._lock:
            return self._next(lambda fault: _in_pool(fault, "capacity", instance_type, zone)) is None

    def at_pool(self, kind: str, instance_type: str, zone: str | None) -> bool:
        """Whether a launch in the pool is refused for ``capacity`` or ``price``; it is counted."""
        return self._strike(lambda fault: _in_pool(fault, kind, instance_type, zone)) is not None

    def await_calls(self) -> bool:
        """Whether any call is to be refused, so that it is worth knowing which one comes."""
        with self._lock:
            return self._next(lambda fault: isinstance(fault, CallFault)) is not None

    def at_call(self, action: str) -> CallFault | None:
        """How that call of EC2 is refused; it is counted."""
        fault = self._strike(lambda fault: isinstance(fault, CallFault) and fault.action in ("", action))
        return fault if isinstance(fault, CallFault) else None

    def enforce_policies(self) -> bool:
        """Whether anybody's rights are limited."""
        with self._lock:
            return self._next(lambda fault: isinstance(fault, PolicyFault)) is not None

    def policies(self, role: str) -> tuple[bool, list[Statement]]:
        """Whether that role is limited to what they allow, and all statements that are enforced for it."""
        with self._lock:
            found = [plan.fault for plan in self._plans if isinstance(plan.fault, PolicyFault)]
        mine = [fault for fault in found if fault.role == role]
        return any(fault.only for fault in mine), [one for fault in mine for one in fault.statements]

    def boot_seconds(self, otherwise: float) -> float:
        """How long a boot takes."""
        with self._lock:
            plan = self._next(lambda fault: isinstance(fault, BootFault))
        return plan.fault.seconds if plan and isinstance(plan.fault, BootFault) else otherwise

    def host_key_seconds(self) -> float:
        """How long after a launch the console tells no host keys."""
        with self._lock:
            plan = self._next(lambda fault: isinstance(fault, ConsoleFault))
        return plan.fault.seconds if plan and isinstance(plan.fault, ConsoleFault) else 0.0

    def lag(self) -> LagFault | None:
        """How late other calls hear of what was made."""
        with self._lock:
            plan = self._next(lambda fault: isinstance(fault, LagFault))
        return plan.fault if plan and isinstance(plan.fault, LagFault) else None

    def _strike(self, suits: Callable[[Fault], bool]) -> Fault | None:
        with self._lock:
            plan = self._next(suits)
            if plan is None:
                return None
            plan.left -= 1
            if plan.left <= 0:
                self._plans.remove(plan)
            return plan.fault

    def _next(self, suits: Callable[[Fault], bool]) -> _Plan | None:
        return next((plan for plan in self._plans if suits(plan.fault)), None)


def _in_pool(fault: Fault, kind: str, instance_type: str, zone: str | None) -> bool:
    return isinstance(fault, PoolFault) and fault.covers(kind, instance_type, zone)


def _record(plan: _Plan) -> Body:
    left = None if math.isinf(plan.left) else int(plan.left)
    return {**asdict(plan.fault), "left": left, "says": str(plan)}


def _fault(body: Body) -> Fault:
    kind = str(body.get("kind"))
    makers: dict[str, Callable[[str, Body], Fault]] = {
        "capacity": _pool_fault,
        "price": _pool_fault,
        "throttling": _throttling,
        "error": _error,
        "boot": lambda kind, body: BootFault(kind, float(body["seconds"])),
        "host-keys": lambda kind, body: ConsoleFault(kind, float(body["seconds"])),
        "lag": lambda kind, body: LagFault(kind, float(body["seconds"]), int(body.get("seed") or 1)),
        "deny": _denial,
        "allow-only": lambda kind, body: PolicyFault(
            kind, statements(body.get("policy")), str(body.get("role") or ""), only=True
        ),
    }
    if kind not in makers:
        raise LocalCloudError(f"cannot plan {kind}", f"the faults are {', '.join(makers)}")
    return makers[kind](kind, body)


def _pool_fault(kind: str, body: Body) -> PoolFault:
    from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    instance_type, zone = str(body.get("instance_type") or ""), str(body.get("zone") or "")
    zones = [one.name for zones in RegionsAndZonesBackend.zones.values() for one in zones]
    _check("instance type", instance_type, INSTANCE_TYPES)
    _check("availability zone", zone, zones)
    return PoolFault(kind, instance_type, zone)


def _throttling(kind: str, body: Body) -> CallFault:
    return CallFault(kind, _action(body), *THROTTLED)


def _error(kind: str, body: Body) -> CallFault:
    code, status = str(body["code"]), int(body.get("status") or 400)
    if not _CODE.fullmatch(code):
        raise LocalCloudError(f"cannot plan {code!r}", "it is no error code; one looks like InvalidParameterValue")
    if not 400 <= status <= 599:
        raise LocalCloudError(f"cannot plan the status {status}", "errors of EC2 have one from 400 to 599")
    return CallFault(kind, _action(body), code, _SAID, status)


def _denial(kind: str, body: Body) -> PolicyFault:
    action = str(body["action"])
    if not _RIGHT.fullmatch(action):
        raise LocalCloudError(f"cannot deny {action}", "an action of a policy looks like ec2:CreateTags")
    return PolicyFault(kind, ({"Effect": "Deny", "Action": action, "Resource": "*"},), str(body.get("role") or ""))


def _action(body: Body) -> str:
    from moto.core.utils import get_service_model

    action = str(body.get("action") or "")
    _check("action", action, get_service_model("ec2").operation_names)
    return action


def _check(what: str, name: str, known: Iterable[str]) -> None:
    names = list(known)
    if not name or name in names:
        return
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; is it {near[0]}?" if near else ""
    raise LocalCloudError(f"cannot plan a fault for {name}", f"EC2 has no {what} of that name{hint}")
