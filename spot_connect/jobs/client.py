"""A dask client on the head of a run, through SSH."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spot_connect.core.errors import RunInterrupted, RunNotFound, SshLost
from spot_connect.core.models import Address
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.jobs.crew import Crew
from spot_connect.jobs.versions import Versions, same_dask, same_python, versions_of
from spot_connect.ssh.forward import Forward

if TYPE_CHECKING:
    from spot_connect.crew.visiting import Client

_HEAD_SECONDS = 300.0
_PLACE = re.compile(r"tls://\[?(?P<host>[0-9A-Fa-f.:]{2,45})\]?:(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class _Way:
    """How the head is reached: by which instance, where it listens, and with which key."""

    instance: str
    address: Address
    key: str
    versions: tuple[Versions, ...]


@contextmanager
def client(crew: Crew, run_id: str) -> Iterator[Client]:
    """What :meth:`spot_connect.jobs.run.JobRun.client` gives."""
    way = _open_door(crew, run_id)
    same_python(way.versions)
    same_dask(way.versions)
    # dask takes a while to load, and there may be none here.
    from spot_connect.crew import visiting

    with Forward(crew.line_to(way.instance).connection, way.address) as here, visiting.quiet():
        try:
            connected = visiting.connect(f"tls://{here.address.host}:{here.address.port}", way.key)
        except OSError as error:
            _ask_the_way(crew, run_id)
            raise here.trouble or SshLost(f"cannot reach the head of {run_id}", str(error), "Try again.") from error
        try:
            yield connected
        except Exception as error:
            if visiting.was_cut_off(connected, error):
                raise _lost(run_id) from error
            raise
        finally:
            visiting.leave(connected)


def _open_door(crew: Crew, run_id: str) -> _Way:
    """The way to the head, once there is one."""

    def look() -> Seen[_Way]:
        return Seen(_ask_the_way(crew, run_id), "its instances have not begun")

    advice = "See ~/.spot-connect/crew.log on the instances."
    return wait_for(f"head of {run_id}", look, seconds=_HEAD_SECONDS, every=0.5, advice=advice)


def _ask_the_way(crew: Crew, run_id: str) -> _Way | None:
    """What an instance tells of the head, which from now on waits a while for a client; nothing before it has begun.

    Raises:
        RunNotFound: the run has ended.
        UnreadableAnswer: the way is none that a head of ours has.
    """
    told = crew.ask_one("jobs-door", {"run": run_id})
    if outcome := told.text("outcome", ""):
        raise RunNotFound(f"{run_id} has no head any more", f"it has {outcome}", "Be a client while its jobs run.")
    members = tuple(map(versions_of, told.each("members")))
    if not told.text("address", "") or not members:
        return None
    # A head that spoke without TLS would be anybody's.
    place = told.matching("address", _PLACE)
    return _Way(told.text("instance"), Address(place["host"], int(place["port"])), told.text("tls"), members)


def _lost(run_id: str) -> RunInterrupted:
    return RunInterrupted(
        f"the head of {run_id} was lost, and with it what this client had submitted",
        "its instance has gone, or the line to it broke",
        "Submit it again in another client(); jobs go on without it.",
    )
