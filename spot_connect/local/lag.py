"""What was made moments ago, as AWS tells of it: one of its servers knows it already, the next one does not yet.

https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
"""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import parse_qsl

from spot_connect.local.faults import Faults, LagFault

Refusal = tuple[str, str, int]
"""An error code of AWS, its words, and the HTTP status."""

KEY_PAIR, PROFILE, ROLE = "key-pair", "instance-profile", "role"
"""What is known by a name; all else has an id, whose first part tells what it is."""

_REFUSALS: dict[tuple[str, str], Refusal] = {
    ("ec2", "sg"): ("InvalidGroup.NotFound", "The security group '{}' does not exist", 400),
    ("ec2", "i"): ("InvalidInstanceID.NotFound", "The instance ID '{}' does not exist", 400),
    ("ec2", "sir"): (
        "InvalidSpotInstanceRequestID.NotFound",
        "The spot instance request ID '{}' does not exist",
        400,
    ),
    ("ec2", "lt"): (
        "InvalidLaunchTemplateId.NotFound",
        "The specified launch template, with template ID {}, does not exist.",
        400,
    ),
    ("ec2", "fleet"): ("InvalidFleetId.NotFound", "The fleet ID '{}' does not exist", 400),
    ("ec2", KEY_PAIR): ("InvalidKeyPair.NotFound", "The key pair '{}' does not exist", 400),
    ("ec2", PROFILE): (
        "InvalidParameterValue",
        "Value ({}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
        400,
    ),
    ("elasticfilesystem", "fs"): ("FileSystemNotFound", "File system '{}' does not exist.", 404),
    ("elasticfilesystem", "fsmt"): ("MountTargetNotFound", "Mount target '{}' does not exist.", 404),
    ("elasticfilesystem", "fsap"): ("AccessPointNotFound", "Access point '{}' does not exist.", 404),
    ("elasticfilesystem", "sg"): ("SecurityGroupNotFound", "The SecurityGroup {} does not exist.", 400),
    ("iam", PROFILE): ("NoSuchEntity", "Instance Profile {} cannot be found.", 404),
    ("iam", ROLE): ("NoSuchEntity", "The role with name {} cannot be found.", 404),
}
_ID = re.compile(r"(sg|i|sir|lt|fs|fsmt|fsap|fleet)-[0-9a-f-]+")
_NAMED = (
    (re.compile(r"(?:.*\.)?KeyName(?:\.\d+)?"), KEY_PAIR),
    (re.compile(r"(?:.*\.)?IamInstanceProfile\.(?:Name|Arn)|InstanceProfileName"), PROFILE),
    (re.compile(r"RoleName"), ROLE),
)
# They make the thing, or are no error where there is none. What a template names is looked up at a launch.
_NOT_REFUSED = frozenset(
    {
        *("ImportKeyPair", "CreateKeyPair", "CreateInstanceProfile", "CreateRole"),
        *("CreateLaunchTemplate", "DeleteKeyPair", "DeleteFleets"),
    }
)


def named(kind: str, region: str, name: str) -> str:
    """How a thing that has no id is told here; those of IAM are the same in all Regions."""
    return f"{kind} {region if kind == KEY_PAIR else ''} {name.rpartition('/')[2] if kind == PROFILE else name}"


@dataclass(slots=True)
class _Made:
    number: int
    since: float
    before: Any = None
    """What was there instead."""
    asked: int = 0


@dataclass(slots=True)
class _Call:
    """One call: it knows what it has made, and does not change its mind in the middle."""

    made: set[str] = field(default_factory=set)
    hidden: dict[str, bool] = field(default_factory=dict)


class Lag:
    """Which things a call does not know yet. Outside of a call everything is known.

    How long a thing is unknown is drawn for each call that asks for it, so one call may know it and the next one not.
    """

    def __init__(self, faults: Faults, now: Callable[[], float]) -> None:
        self._faults = faults
        self._now = now
        self._here = threading.local()
        self._lock = threading.Lock()
        self._plan: LagFault | None = None
        self._made: dict[str, _Made] = {}
        self._count = 0

    @contextmanager
    def call(self) -> Iterator[None]:
        """While this is open, one call is answered in this thread."""
        self._here.call = _Call()
        try:
            yield
        finally:
            self._here.call = None

    def made(self, thing: str, before: Any = None) -> None:
        """The call that is answered here has made the thing; ``before`` is what others go on to see."""
        call: _Call | None = getattr(self._here, "call", None)
        plan = self._faults.lag()
        if plan is None or call is None:
            return
        with self._lock:
            if plan is not self._plan:
                self._plan, self._made, self._count = plan, {}, 0
            self._count += 1
            self._made[thing] = _Made(self._count, self._now(), before)
        call.made.add(thing)

    def hides(self, thing: str) -> bool:
        """Whether the call that is answered here does not know the thing yet."""
        call: _Call | None = getattr(self._here, "call", None)
        plan = self._faults.lag()
        if plan is None or call is None or thing in call.made:
            return False
        if thing not in call.hidden:
            call.hidden[thing] = self._draw(plan, thing)
        return call.hidden[thing]

    def before(self, thing: str) -> Any:
        """What a call sees that does not know the thing."""
        with self._lock:
            made = self._made.get(thing)
        return made.before if made else None

    def _draw(self, plan: LagFault, thing: str) -> bool:
        with self._lock:
            made = self._made.get(thing)
            if made is None or plan is not self._plan:
                return False
            age = self._now() - made.since
            if age >= plan.seconds:
                del self._made[thing]
                return False
            made.asked += 1
            unknown_for = Random(f"{plan.seed} {made.number} {made.asked}").random() * plan.seconds  # noqa: S311 - a draw that a seed repeats, no secret
            return age < unknown_for

    def refusal(self, service: str, region: str, environ: dict[str, Any]) -> Refusal | None:
        """How a call is refused that names what it does not know; its body can still be read afterwards."""
        if self._faults.lag() is None or service not in ("ec2", "elasticfilesystem", "iam"):
            return None
        asked = list(_asked(environ))
        if dict(asked).get("Action", "") in _NOT_REFUSED:
            return None
        for key, value in asked:
            kind, thing = _thing(key, value, region)
            if thing and (service, kind) in _REFUSALS and self.hides(thing):
                return refusal(service, kind, value)
        return None


def refusal(service: str, kind: str, name: str) -> Refusal:
    """What the service says of a thing that it does not know."""
    code, words, status = _REFUSALS[service, kind]
    return code, words.format(name), status


def _thing(key: str, value: str, region: str) -> tuple[str, str]:
    """What a parameter names, if it is something that can be unknown."""
    # A filter that fits nothing is no error.
    if key.startswith("Filter."):
        return "", ""
    found = _ID.fullmatch(value)
    if found:
        return found[1], value
    kind = next((kind for pattern, kind in _NAMED if pattern.fullmatch(key)), "")
    return (kind, named(kind, region, value)) if kind else ("", "")


def _asked(environ: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The parameters of a call, wherever its protocol has them."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    text = body.decode("utf-8", "replace")
    yield from parse_qsl(environ.get("QUERY_STRING", ""))
    yield from (("", part) for part in environ.get("PATH_INFO", "").split("/"))
    if not text.startswith("{"):
        yield from parse_qsl(text)
        return
    with suppress(ValueError):
        yield from _leaves(json.loads(text))


def _leaves(tree: Any) -> Iterator[tuple[str, str]]:
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list):
        for one in tree:
            yield from _leaves(one)
    elif isinstance(tree, str):
        yield "", tree
