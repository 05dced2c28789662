"""What was made moments ago, and that not all of AWS's servers have heard of yet.

A call that names it may be refused for seconds, and a Describe may leave it out:
https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html

Every client that :mod:`spot_connect.aws.session` makes has the one rule for that: a call that is refused because
something is not there is repeated while it names what we made moments ago, and fails at once when it does not, so that
nobody waits for a name that was mistyped. What was made is noted from AWS's answers, by the table below, so that no
caller has to think of it. It is kept on disk as well: the next command may come seconds later.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, TypeVar

from spot_connect.core.waiting import Clock

if TYPE_CHECKING:
    from spot_connect.aws.service_models import Cache

T = TypeVar("T")

GROUP, KEY_PAIR, INSTANCE, REQUEST, TEMPLATE, FLEET = "group", "key-pair", "instance", "request", "template", "fleet"
PROFILE, ROLE, FILE_SYSTEM, MOUNT_TARGET = "profile", "role", "file-system", "mount-target"
_TAGS = "tags"
_OF_IAM = frozenset({PROFILE, ROLE})
"""What is the same in all Regions."""

_MISSING: Mapping[str, tuple[str, ...]] = {
    "InvalidGroup.NotFound": (GROUP,),
    "InvalidSecurityGroupID.NotFound": (GROUP,),
    "SecurityGroupNotFound": (GROUP,),
    "InvalidKeyPair.NotFound": (KEY_PAIR,),
    "InvalidInstanceID.NotFound": (INSTANCE,),
    "InvalidSpotInstanceRequestID.NotFound": (REQUEST,),
    "InvalidLaunchTemplateId.NotFound": (TEMPLATE,),
    "InvalidLaunchTemplateName.NotFoundException": (TEMPLATE,),
    "InvalidFleetId": (FLEET,),
    "InvalidFleetId.NotFound": (FLEET,),
    "fleetIdDoesNotExist": (FLEET,),
    # EC2 says it of a profile that IAM has not told it about yet, and of other things, too.
    "InvalidParameterValue": (PROFILE,),
    "NoSuchEntity": (PROFILE, ROLE),
    "FileSystemNotFound": (FILE_SYSTEM,),
    "MountTargetNotFound": (MOUNT_TARGET,),
}
"""The error codes that may mean that a server has not heard of it yet, and of what."""

_MAKES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "CreateSecurityGroup": ((GROUP, "GroupId"),),
    "ImportKeyPair": ((KEY_PAIR, "KeyName"),),
    "RunInstances": ((INSTANCE, "InstanceId"), (REQUEST, "SpotInstanceRequestId")),
    "CreateFleet": ((FLEET, "FleetId"), (INSTANCE, "InstanceIds")),
    "CreateLaunchTemplate": ((TEMPLATE, "LaunchTemplateId"),),
    "CreateInstanceProfile": ((PROFILE, "InstanceProfileName"),),
    "CreateRole": ((ROLE, "RoleName"),),
    "CreateFileSystem": ((FILE_SYSTEM, "FileSystemId"),),
    "CreateMountTarget": ((MOUNT_TARGET, "MountTargetId"),),
}
"""What a call makes, and under which key its answer names it."""

_THERE_ALREADY: Mapping[str, tuple[tuple[str, str], ...]] = {
    "InvalidKeyPair.Duplicate": ((KEY_PAIR, "KeyName"),),
    "EntityAlreadyExists": ((PROFILE, "InstanceProfileName"), (ROLE, "RoleName")),
    "FileSystemAlreadyExists": ((FILE_SYSTEM, "FileSystemId"),),
}
"""Refusals that tell that somebody has made it, perhaps moments ago, and where the call or the answer names it."""

_ENDS: Mapping[str, tuple[str, ...]] = {
    "DeleteKeyPair": (KEY_PAIR,),
    "DeleteLaunchTemplate": (TEMPLATE,),
    "TerminateInstances": (INSTANCE,),
}
_AT_ONCE = frozenset({"CancelSpotInstanceRequests"})
"""Nothing is to be waited for: the instance goes on to cost, and a request that is unknown launches nothing."""

YOUNG_SECONDS = 120.0
"""So long is what was made moments ago taken to be unknown to some."""
_YOUNG_SECONDS = {PROFILE: 600.0}
"""Of what takes longer to be known."""
_PATIENT_SECONDS = 120.0
_PAUSES = (0.25, 0.5, 1.0)
_LAST_PAUSE = 2.0
_FILE = "made.json"


@dataclass(slots=True)
class _Made:
    kind: str
    since: float
    refers: frozenset[str] = frozenset()
    """What a launch template names."""
    told: Any = None
    tags: dict[str, str] = field(default_factory=dict)
    tagged: float = 0.0


class Recent:
    """What was made moments ago at one endpoint, and the rule for calls that name it.

    Args:
        where: the endpoint; empty for AWS itself.
        cache: where the next command finds it.
        clock: seconds since the epoch, and the pauses between attempts.

    Example:
        >>> recent = Recent()
        >>> recent.made("us-east-1", GROUP, ["sg-1"])
        >>> recent.may_be_unheard_of("us-east-1", "InvalidGroup.NotFound", {"sg-1"})
        True
        >>> recent.may_be_unheard_of("us-east-1", "InvalidGroup.NotFound", {"sg-2"})
        False
    """

    def __init__(self, where: str = "", cache: Cache | None = None, clock: Clock | None = None) -> None:
        self._where = where
        self._cache = cache
        self._clock = clock or Clock(now=time.time)
        self._lock = threading.RLock()
        self._things: dict[tuple[str, str], _Made] = {}

    def made(
        self,
        region: str,
        kind: str,
        names: Collection[str],
        *,
        refers: Collection[str] = (),
    ) -> None:
        """Note that these were made now, or that AWS says so."""
        now = self._clock.now()
        with self._lock:
            self._forget_old(now)
            for name in names:
                self._things[_place(region, kind), name] = _Made(kind, now, frozenset(refers))
        self._keep(region, kind, names, {}, now)

    def seen(self, region: str, kind: str, name: str, since: float, told: Any = None) -> None:
        """Note what AWS tells of what was made at ``since``, by whomever; nothing where that is long ago."""
        if not _is_young(since, self._clock.now(), kind):
            return
        with self._lock:
            thing = self._things.setdefault((_place(region, kind), name), _Made(kind, since))
            thing.since, thing.told = thing.since or since, told

    def ended(self, region: str, kind: str, names: Collection[str]) -> None:
        """Note that they are no more."""
        place = _place(region, kind)
        with self._lock:
            known = [name for name in names if self._things.pop((place, name), None)]
            if known:
                self._rewrite(
                    {**one, "names": [name for name in one["names"] if one["region"] != place or name not in known]}
                    for one in self._read()
                )

    def tell(self, region: str, kind: str, name: str, told: Any) -> None:
        """Note what AWS has told of it, for who asks a server that does not know it yet; only while it is young."""
        with self._lock:
            found = self._things.get((_place(region, kind), name))
            if found:
                found.told = told

    def told(self, region: str, kind: str) -> dict[str, Any]:
        """The young ones of that kind by id, and what AWS has told of each, ``None`` where nothing yet."""
        return {name: one.told for name, one in self._young(region, kind)}

    def tag(self, region: str, ids: Collection[str], tags: Mapping[str, str]) -> None:
        """Note tags that instances, old or young, were given now."""
        now = self._clock.now()
        with self._lock:
            for one in ids:
                # What is not young is noted for its tags alone.
                thing = self._things.setdefault((region, one), _Made(INSTANCE, 0.0))
                thing.tags |= tags
                thing.tagged = now
        self._keep(region, _TAGS, ids, tags, now)

    def tags(self, region: str) -> dict[str, dict[str, str]]:
        """By instance id, the tags that were given moments ago."""
        with self._lock:
            known = list(self._things.items())
        now = self._clock.now()
        return {name: dict(one.tags) for (place, name), one in known if place == region and _is_young(one.tagged, now)}

    def recall(self, region: str) -> None:
        """Read what an earlier command, or another one, has made moments ago."""
        now = self._clock.now()
        with self._lock:
            for one in self._kept(now):
                for name in one["names"] if one["region"] == region else ():
                    new = _Made(INSTANCE, 0.0) if one["kind"] == _TAGS else _Made(one["kind"], one["at"])
                    thing = self._things.setdefault((region, name), new)
                    thing.since = max(thing.since, new.since)
                    if one["tags"] and one["at"] > thing.tagged:
                        thing.tags |= one["tags"]
                        thing.tagged = one["at"]

    def may_be_unheard_of(self, region: str, code: str, names: Collection[str]) -> bool:
        """Whether the error code may mean no more than that a server has not heard of one of them yet."""
        kinds = _MISSING.get(code, ())
        if not kinds:
            return False
        for place in {_place(region, kind) for kind in kinds}:
            self.recall(place)
        with self._lock:
            templates = [self._things.get((region, name)) for name in names]
            all_names = {*names, *chain.from_iterable(one.refers for one in templates if one)}
        young = {name for kind in kinds for name, _ in self._young(region, kind)}
        return not young.isdisjoint(_bare(name) for name in all_names)

    def patiently(self, ask: Callable[[], T], is_unheard_of: Callable[[T], bool]) -> T:
        """What ``ask`` gives, repeated for up to two minutes while the answer says that it has not been heard of."""
        until = self._clock.now() + _PATIENT_SECONDS
        for pause in chain(_PAUSES, repeat(_LAST_PAUSE)):
            answer = ask()
            if not is_unheard_of(answer) or not self._pause(pause, until):
                return answer
        raise AssertionError("the pauses do not end")

    def call(self, region: str, operation: str, parameters: Mapping[str, Any], ask: Callable[[], T]) -> T:
        """The answer to one call of AWS, repeated while it names what it may not have heard of yet."""
        from botocore.exceptions import ClientError

        def attempt() -> T | ClientError:
            try:
                return ask()
            except ClientError as error:
                return error

        def is_unheard_of(answer: T | ClientError) -> bool:
            if not isinstance(answer, ClientError) or operation in _AT_ONCE:
                return False
            return self.may_be_unheard_of(region, _code(answer), set(_strings(parameters)))

        answer = self.patiently(attempt, is_unheard_of)
        if isinstance(answer, ClientError):
            for kind, key in _THERE_ALREADY.get(_code(answer), ()):
                self.made(region, kind, list(_under(key, [parameters, answer.response])))
            raise answer
        self._note(region, operation, parameters, answer)
        return answer

    def _note(self, region: str, operation: str, parameters: Mapping[str, Any], answer: Any) -> None:
        for kind, key in _MAKES.get(operation, ()):
            names = list(_under(key, answer))
            if names:
                self.made(region, kind, names, refers=set(_strings(parameters)) if kind == TEMPLATE else ())
        for kind in _ENDS.get(operation, ()):
            self.ended(region, kind, set(_strings(parameters)))

    def _pause(self, seconds: float, until: float) -> bool:
        """Wait a little; whether there is time for one more attempt."""
        is_left: Callable[[], bool] | None = getattr(_here, "is_left", None)
        if self._clock.now() >= until or (is_left and is_left()):
            return False
        self._clock.sleep(seconds)
        return not (is_left and is_left())

    def _young(self, region: str, kind: str) -> list[tuple[str, _Made]]:
        now = self._clock.now()
        with self._lock:
            return [
                (name, one)
                for (place, name), one in self._things.items()
                if place == _place(region, kind) and one.kind == kind and _is_young(one.since, now, kind)
            ]

    def _forget_old(self, now: float) -> None:
        self._things = {
            key: one
            for key, one in self._things.items()
            if _is_young(one.since, now, one.kind) or _is_young(one.tagged, now)
        }

    def _keep(self, region: str, kind: str, names: Collection[str], tags: Mapping[str, str], now: float) -> None:
        if self._cache is None:
            return
        place = _place(region, kind)
        mine = {
            "where": self._where,
            "region": place,
            "kind": kind,
            "names": list(names),
            "tags": dict(tags),
            "at": now,
        }
        with self._lock:
            # Another process may write at the same moment. What is lost then is only what makes it sure.
            self._rewrite([*(one for one in self._read() if _is_young(one["at"], now, one["kind"])), mine])

    def _rewrite(self, entries: Iterable[Mapping[str, Any]]) -> None:
        if self._cache:
            self._cache.put(_FILE, json.dumps([one for one in entries if one["names"]]).encode())

    def _kept(self, now: float) -> list[dict[str, Any]]:
        return [one for one in self._read() if one["where"] == self._where and _is_young(one["at"], now, one["kind"])]

    def _read(self) -> list[dict[str, Any]]:
        text = self._cache.get(_FILE) if self._cache else None
        try:
            found = json.loads(text or b"[]")
            return [one for one in found if _is_entry(one)]
        except (ValueError, TypeError):
            return []


_here = threading.local()
_ENTRY = {"where": str, "region": str, "kind": str, "names": list, "tags": dict, "at": float}


def _is_entry(one: Any) -> bool:
    """Whether it is as we write it."""
    if not isinstance(one, dict) or {key: type(value) for key, value in one.items()} != _ENTRY:
        return False
    return all(isinstance(text, str) for text in (*one["names"], *one["tags"].values()))


@contextmanager
def until(is_left: Callable[[], bool]) -> Iterator[None]:
    """While this is open, calls of this thread are not repeated once ``is_left`` says that nobody waits for them."""
    _here.is_left = is_left
    try:
        yield
    finally:
        _here.is_left = None


def patient(recent: Recent) -> type:
    """What a client class inherits from so that its calls follow the rule."""

    class Patient:
        def _make_api_call(self, operation_name: str, api_params: Mapping[str, Any]) -> Any:
            def ask() -> Any:
                return super(Patient, self)._make_api_call(operation_name, api_params)  # type: ignore[misc]

            region: str = self.meta.region_name  # type: ignore[attr-defined]
            return recent.call(region, operation_name, api_params, ask)

    return Patient


def _place(region: str, kind: str) -> str:
    return "" if kind in _OF_IAM else region


def _is_young(since: float, now: float, kind: str = "") -> bool:
    # A clock that was set back makes nothing young for ever.
    return abs(now - since) < _YOUNG_SECONDS.get(kind, YOUNG_SECONDS)


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _bare(name: str) -> str:
    """The name in the ARN of an instance profile."""
    return name.rpartition("/")[2] if name.startswith("arn:") else name


def _strings(tree: Any) -> Iterator[str]:
    """All texts in the parameters of a call."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, Mapping):
        yield from chain.from_iterable(_strings(one) for one in tree.values())
    elif isinstance(tree, (list, tuple)):
        yield from chain.from_iterable(map(_strings, tree))


def _under(key: str, tree: Any) -> Iterator[str]:
    """All texts under ``key``, wherever it is."""
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from _strings(value) if name == key else _under(key, value)
    elif isinstance(tree, (list, tuple)):
        yield from chain.from_iterable(_under(key, one) for one in tree)
