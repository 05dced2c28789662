"""Jobs that this computer hands out itself, as files: their directory is here."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from spot_connect.core.errors import InstanceNotFound, RunInterrupted, RunNotFound, SshError, UsageError
from spot_connect.core.jobs import JobsRecord, jobs_record
from spot_connect.core.reporting import Reporter
from spot_connect.crew import asking
from spot_connect.crew.batch import Batch
from spot_connect.jobs.crew import Crew
from spot_connect.jobs.desk import Desk
from spot_connect.jobs.yard import Line, Yard

CLIENT = "client"
"""As the place of the head: this computer."""


class OwnCrew(Crew):
    """The machines of jobs whose directory lies on this computer, where what is asked about them is looked up."""

    def __init__(
        self, batch: Batch, lines: Sequence[Line], yard: Yard, reporter: Reporter, desk: Desk | None = None
    ) -> None:
        super().__init__(str(batch.spec.get("name")), lines, yard, reporter)
        self.batch = batch
        self.desk = desk

    def ask(self, verb: str, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What the jobs' directory tells.

        Raises:
            RunInterrupted: the process that handed the jobs out has ended before them.
            UsageError: nobody is left who could do it.
        """
        # In this order: a head says that it has ended after it has said that the jobs have.
        if verb in ("jobs-show", "jobs-retry") and self._has_no_head() and self.batch.end() is None:
            raise RunInterrupted(
                f"nobody hands out the jobs of {self.name} any more",
                "the process that began them has ended, or its computer was off",
                f"What they had brought by then is in {self.batch.directory}.",
            )
        if verb == "jobs-retry" and self.batch.end() is not None:
            raise UsageError(
                f"cannot try jobs of {self.name} again", "its instances have ended with them", "Run them anew."
            )
        return [asking.QUESTIONS[verb](self.batch, dict(asked))]

    def _has_no_head(self) -> bool:
        # One of this process may have slept with its computer, and has not shown yet that it goes on.
        return self.desk is None and self.batch.term() is None

    def is_alone(self) -> bool:
        """Whether no machine lives any more."""
        return not self.yard.living()


def known(place: Path, name: str = "") -> list[Batch]:
    """The jobs below ``place``, oldest first; those on instances of that name prefix."""
    found = [Batch(path) for path in sorted((place / "jobs").glob("[!.]*"))]
    return [batch for batch in found if name in ("", batch.spec.get("name"))]


def suffices(own: Mapping[str, Batch], run_id: str) -> bool:
    """Whether no machine need be asked: it is one of ours, or the newest of ours goes on."""
    return run_id in own if run_id else bool(own) and own[max(own)].term() is not None


def ids(crew: Crew, name: str, own: Mapping[str, Batch]) -> list[str]:
    """The jobs of the name that live machines keep.

    Raises:
        RunNotFound: another computer hands them out.
        InstanceNotFound, SshError: none can be asked, and there are none of our own.
    """
    try:
        told = [one for one in crew.ask("jobs-list", {}) if one["name"] == name]
    except (InstanceNotFound, SshError):
        if not own:
            raise
        return []
    if told and told[-1].get("kept") == CLIENT and told[-1]["run"] not in own:
        raise RunNotFound(f"the jobs of {name} cannot be seen from here", "the computer that began them hands them out")
    return [one["run"] for one in told if one.get("kept") != CLIENT]


def records(place: Path, others: Container[str]) -> dict[str, JobsRecord]:
    """What is known of our own jobs that go on, or that machines have told of."""
    found = [batch for batch in known(place) if batch.id in others or batch.term() is not None]
    return {batch.id: jobs_record(asking.status(batch)) for batch in found}
