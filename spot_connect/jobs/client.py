"""A dask client on the head of a run, through SSH."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from spot_connect.core.errors import RunInterrupted, RunNotFound, SshLost
from spot_connect.core.models import Address
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.jobs.crew import Crew
from spot_connect.jobs.versions import same_dask, same_python
from spot_connect.ssh.forward import Forward

if TYPE_CHECKING:
    from spot_connect.crew.visiting import Client

_HEAD_SECONDS = 300.0


@contextmanager
def client(crew: Crew, run_id: str) -> Iterator[Client]:
    """What :meth:`spot_connect.jobs.run.JobRun.client` gives."""
    told = _open_door(crew, run_id)
    same_python(told["members"])
    same_dask(told["members"])
    # dask takes a while to load, and there may be none here.
    from spot_connect.crew import visiting

    scheme, place = urlsplit(told["address"]).scheme, urlsplit(told["address"])
    line = crew.line_to(told["instance"])
    with Forward(line.connection, Address(str(place.hostname), int(place.port or 0))) as way, visiting.quiet():
        try:
            connected = visiting.connect(f"{scheme}://{way.address.host}:{way.address.port}", told["tls"])
        except OSError as error:
            _ask_the_way(crew, run_id)
            raise way.trouble or SshLost(f"cannot reach the head of {run_id}", str(error), "Try again.") from error
        try:
            yield connected
        except Exception as error:
            if visiting.was_cut_off(connected, error):
                raise _lost(run_id) from error
            raise
        finally:
            visiting.leave(connected)


def _open_door(crew: Crew, run_id: str) -> dict[str, Any]:
    """Who the head is, once there is one."""

    def look() -> Seen[dict[str, Any]]:
        told = _ask_the_way(crew, run_id)
        return Seen(told if told["address"] and told["members"] else None, "its instances have not begun")

    advice = "See ~/.spot-connect/crew.log on the instances."
    return wait_for(f"head of {run_id}", look, seconds=_HEAD_SECONDS, every=0.5, advice=advice)


def _ask_the_way(crew: Crew, run_id: str) -> dict[str, Any]:
    """What an instance tells of the head, which from now on waits a while for a client.

    Raises:
        RunNotFound: the run has ended.
    """
    told = crew.ask("jobs-door", {"run": run_id})[0]
    if told["outcome"]:
        raise RunNotFound(
            f"{run_id} has no head any more", f"it has {told['outcome']}", "Be a client while its jobs run."
        )
    return told


def _lost(run_id: str) -> RunInterrupted:
    return RunInterrupted(
        f"the head of {run_id} was lost, and with it what this client had submitted",
        "its instance has gone, or the line to it broke",
        "Submit it again in another client(); jobs go on without it.",
    )
