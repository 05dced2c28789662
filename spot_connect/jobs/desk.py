"""The head in this process, and the ways between it and its machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from spot_connect.core.certificates import shared_secret
from spot_connect.core.errors import RunInterrupted
from spot_connect.core.jobs import Plan, Terms
from spot_connect.core.models import Address
from spot_connect.core.reporting import Reporter
from spot_connect.core.side_by_side import side_by_side
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.crew import asking
from spot_connect.crew.batch import Batch, directory
from spot_connect.crew.capacity import Capacity
from spot_connect.jobs.crew import agent
from spot_connect.jobs.starting import asked_of, submit
from spot_connect.jobs.supply import Supply
from spot_connect.jobs.versions import same_dask, told_by
from spot_connect.jobs.yard import Line
from spot_connect.ssh.forward import Forward
from spot_connect.ssh.reverse import Reverse

if TYPE_CHECKING:
    from spot_connect.crew.office import Office

_HERE = "127.0.0.1"
_HEAD_SECONDS = 30.0
_POLL_SECONDS = 0.2


class Desk:
    """The head in this process, and the ways between it and its machines; all of it ends with the jobs."""

    def __init__(self, office: Office, batch: Batch, made: Mapping[str, Any], reporter: Reporter) -> None:
        self._office = office
        self._batch = batch
        self._made = dict(made)
        self._reporter = reporter
        self._ways = ExitStack()

    def open(self) -> None:
        """Begin to hand jobs out, to whoever is admitted."""
        self._office.open(self._ways.close)

        def look() -> Seen[str]:
            self.raise_failure()
            return Seen(self._office.address or None, "it has not begun")

        wait_for(f"head of {self._batch.id}", look, seconds=_HEAD_SECONDS, every=_POLL_SECONDS)

    def admit(self, lines: Sequence[Line]) -> None:
        """Have machines work for the jobs."""
        side_by_side(self._admit, {line.id: line for line in lines})

    def raise_failure(self) -> None:
        """Say why the head has ended before the jobs, if it has."""
        if self._office.failure:
            raise RunInterrupted(
                f"the head of {self._batch.id} has failed", str(self._office.failure), "Its instances end themselves."
            ) from self._office.failure

    def leave(self) -> None:
        """Wait until the jobs that were asked to stop have ended."""
        self._office.wait(_HEAD_SECONDS)

    def _admit(self, line: Line) -> None:
        slots = int(self._made["spec"]["slots"])
        submit(line, self._made, None, {}, self._reporter)
        # A line of their own: others close theirs.
        connection = line.connection.another()
        [told] = agent(line).ask("jobs-ports", {"slots": slots})
        ways = [self._ways.enter_context(Forward(connection, Address(_HERE, port))) for port in told["ports"]]
        there = urlsplit(self._office.address)
        back = self._ways.enter_context(
            Reverse(connection.another(), Address(str(there.hostname), int(there.port or 0)))
        )
        contacts = [f"{there.scheme}://{_HERE}:{way.address.port}" for way in ways]
        asked = {
            "run": self._batch.id,
            "slots": len(ways),
            "head": f"{there.scheme}://{_HERE}:{back.port}",
            "ways": list(zip(told["ports"], contacts, strict=True)),
        }
        agent(line).ask("jobs-join", asked)


def begin(
    place: Path, lines: Sequence[Line], name: str, plan: Plan, terms: Terms, *, supply: Supply, reporter: Reporter
) -> tuple[Batch, Desk]:
    """Begin jobs whose directory is made below ``place``; this process hands them out.

    Raises:
        VersionsDiffer: the machines have another dask than this computer.
    """
    same_dask(told_by(lines))
    # dask takes a while to load.
    from spot_connect.crew.office import Office

    run_id = supply.run_id
    spec = {**terms.wire(), "name": name, "shared": False}
    made = {"run": run_id, "tls": shared_secret(f"{name} {run_id}"), "spec": spec}
    batch = _written(place, made, plan, terms)
    # For what they cost.
    Capacity(batch).begin(supply.machines, None)
    desk = Desk(Office(batch), batch, made, reporter)
    try:
        desk.open()
        desk.admit(lines)
    except BaseException:
        # The head goes on until there is nothing left to do.
        batch.ask_to_stop()
        batch.ask_to_close()
        raise
    return batch, desk


def _written(place: Path, made: Mapping[str, Any], plan: Plan, terms: Terms) -> Batch:
    """The jobs' directory, with all that the jobs need."""
    scripts = [(script.name, script.content) for script in plan.scripts]
    draft = asking.made(place, asked_of(made, plan, terms.environment), scripts)
    for number, job in enumerate(plan.jobs):
        for path in job.uploads:
            asking.copied(path, draft.job(number).directory / "in")
    return Batch(draft.directory.rename(directory(place, str(made["run"]))))
