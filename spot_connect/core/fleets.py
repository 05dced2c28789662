"""Fleets: many instances of one name, and who takes over the job of one that is gone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import count as counting
from itertools import islice
from typing import Generic, TypeVar

from spot_connect.core.members import shared_name
from spot_connect.core.models import Instance, LaunchSpec, Subnet
from spot_connect.core.names import NAME_TAG

FLEET_TAG = "spot-connect:fleet"
FLEET_ID_TAG = "aws:ec2:fleet-id"
"""EC2 puts it on every instance that a fleet launches."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pool:
    """A type in a zone, in US dollars an hour.

    ``max_price`` is ``None`` for the on-demand price; ``price`` is the current one, ``None`` where it is not known.
    """

    instance_type: str
    subnet: Subnet
    max_price: Decimal | None = None
    price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class PoolRefusal:
    """Why a pool gave nothing, or less than it was asked for."""

    instance_type: str
    zone: str
    code: str
    said: str

    def __str__(self) -> str:
        return f"no {self.instance_type} in {self.zone or 'any zone'}: {self.said} ({self.code})"


@dataclass(frozen=True, slots=True)
class Move:
    """The name ``name`` went over from one instance id to another."""

    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Fleet:
    """Instances ``<name>_0``, ``<name>_1`` and so on that were launched together.

    ``count`` were asked for; ``errors`` tells why some are missing. ``moved`` and ``lost`` are what the last refresh
    found: names that another instance has now, and names that none has. ``spec`` and ``pools`` are what was asked for,
    where it was asked for by this process.
    """

    id: str
    name: str
    region: str
    count: int
    instances: tuple[Instance, ...]
    errors: tuple[PoolRefusal, ...] = ()
    maintained: bool = False
    moved: tuple[Move, ...] = ()
    lost: tuple[str, ...] = ()
    spec: LaunchSpec | None = None
    pools: tuple[Pool, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of its instances, in the order of their names."""
        return tuple(instance.id for instance in self.instances)


@dataclass(frozen=True, slots=True)
class Reassigned(Generic[T]):
    """Who has which job after some instances were replaced.

    ``jobs`` are by id of an instance that lives; ``moves`` are job, old id and new id; ``orphans`` are jobs that
    nobody took, with the id that had them; ``spare`` are new ids without a job.
    """

    jobs: Mapping[str, T]
    moves: tuple[tuple[T, str, str], ...]
    orphans: tuple[tuple[T, str], ...]
    spare: tuple[str, ...]


def reassign(jobs: Mapping[str, T], live: Iterable[str]) -> Reassigned[T]:
    """For each id that is no longer there one of the new ids, which takes over its job.

    Jobs and new ids are matched in the order in which they come.

    Example:
        >>> reassign({"i-1": "a", "i-2": "b"}, ["i-2", "i-3"]).jobs
        {'i-2': 'b', 'i-3': 'a'}
    """
    there = dict.fromkeys(live)
    new = [one for one in there if one not in jobs]
    gone = [(job, one) for one, job in jobs.items() if one not in there]
    moves = tuple((job, old, heir) for (job, old), heir in zip(gone, new, strict=False))
    kept = {one: job for one, job in jobs.items() if one in there}
    return Reassigned(
        jobs=kept | {heir: job for job, _, heir in moves},
        moves=moves,
        orphans=tuple(gone[len(moves) :]),
        spare=tuple(new[len(moves) :]),
    )


def common_tags(name: str, tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that all instances of the fleet ``name`` are launched with, as it would have one instance have ``tags``.

    Example:
        >>> common_tags("w", {"spot-connect:name": "w"})
        {'spot-connect:name': 'w_%', 'spot-connect:fleet': 'w'}
    """
    return {**tags, NAME_TAG: shared_name(name), FLEET_TAG: name}


def member_names(prefix: str, count: int, taken: Iterable[str] = ()) -> tuple[str, ...]:
    """The first ``count`` names of a fleet that are not taken.

    Example:
        >>> member_names("w", 2, taken=["w_0"])
        ('w_1', 'w_2')
    """
    used = set(taken)
    free = (f"{prefix}_{number}" for number in counting() if f"{prefix}_{number}" not in used)
    return tuple(islice(free, count))
