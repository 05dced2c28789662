"""The machine that has a name: at first the one that was reached, later whichever has taken its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from spot_connect.aws import instances
from spot_connect.core.endings import why_it_ended
from spot_connect.core.errors import InstanceNotFound, RunInterrupted
from spot_connect.core.models import LIVE_STATES, Instance
from spot_connect.core.reporting import Reporter
from spot_connect.core.requests import LaunchRequest
from spot_connect.core.runs import RunRecord
from spot_connect.launching import connecting, finding
from spot_connect.launching.realm import Realm
from spot_connect.runs.agent import Agent
from spot_connect.runs.recovery import Ground, Recovery, Successor
from spot_connect.runs.run import Run, resume
from spot_connect.ssh.connection import Connection
from spot_connect.store.keys import KeyFiles


class Host:
    """A machine by name, and the line to it.

    Attributes:
        instance: the machine as EC2 told it last.
        connection: the line to it.
    """

    def __init__(
        self,
        realm: Realm,
        instance: Instance,
        connection: Connection,
        request: LaunchRequest,
        files: KeyFiles,
        reporter: Reporter,
    ) -> None:
        self.instance = instance
        self.connection = connection
        self._realm = realm
        self._request = request
        self._files = files
        self._reporter = reporter
        self._recovery: Recovery | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return self.instance.name

    @property
    def agent(self) -> Agent:
        """Our program on it."""
        return Agent(self.connection, self.instance.id)

    @contextmanager
    def kept_going(self, record: RunRecord) -> Iterator[None]:
        """While this is open, the run goes on elsewhere when AWS takes the machine away, if it was so asked for."""
        if not record.limits.resume or record.has_ended or self._recovery:
            yield
            return
        ground = Ground(self._realm, self._files, self._reporter)
        self._recovery = Recovery(ground, self.instance, self.agent, record, self._succeeded)
        try:
            with self._recovery.watching():
                yield
        finally:
            self._recovery = None

    def resume(self, record: RunRecord) -> Run:
        """Go on with the run on this machine, unless it is under way elsewhere; it is under way when this returns."""
        others = {one.instance for one in record.attempts if one.instance not in ("", self.instance.id)}
        cloud = self._realm.cloud(self.instance.region)
        live = {one.id for one in instances.by_ids(cloud, sorted(others)) if one.state in LIVE_STATES} if others else ()
        resume(self, record.id, sorted(others.difference(live)))
        return Run(self, record.id, self._reporter)

    def rejoin(self) -> None:
        """Find the machine that has the name now, and a new line to it if it is another one.

        Raises:
            RunInterrupted: AWS took it away, and nobody has replaced it.
            InstanceNotFound: it has ended for another reason.
            SshError: it cannot be reached at the moment.
        """
        known = self.instance
        seen = finding.again(self._realm, [known])[known.id]
        if self.instance is not known:
            return
        if seen.state in LIVE_STATES:
            self.instance = seen
            return
        if self._recovery and why_it_ended(seen).interrupted:
            self._recovery.go_on(known)
            if self.instance is not known:
                return
            # Nothing had to go on: the run ended in time, and its machine has gone before its end was heard here.
        successor = finding.by_name(self._realm, self.name, (seen.region,), self._reporter, everywhere=False)
        if successor is None:
            raise self._gone(seen)
        self._move(successor)

    def _succeeded(self, successor: Successor) -> None:
        """A recovery has brought another machine."""
        before, self.connection, self.instance = self.connection, successor.connection, successor.instance
        before.close()

    def _move(self, successor: Instance) -> None:
        self._reporter.note(f"{self.name} is another machine now: {successor.id} ({successor.type}, {successor.zone})")
        self.connection.close()
        self.connection = connecting.open_line(
            self._realm, successor, self._request, self._files, self._reporter, fresh=successor.state == "pending"
        )
        self.instance = successor

    def _gone(self, seen: Instance) -> RunInterrupted | InstanceNotFound:
        ending = why_it_ended(seen)
        what = f"{self.name} ({seen.id}) has ended"
        if ending.interrupted:
            advice = f"What was written to a file system is there: launch {self.name} again with the same -p and -f."
            return RunInterrupted(what, ending.words, advice)
        return InstanceNotFound(what, ending.words)
