"""The machine that has a name: at first the one that was reached, later whichever has taken its place."""

from __future__ import annotations

from spot_connect.core.errors import InstanceNotFound, RunInterrupted
from spot_connect.core.models import LIVE_STATES, Instance
from spot_connect.core.reporting import Reporter
from spot_connect.core.requests import LaunchRequest
from spot_connect.launching import connecting, finding
from spot_connect.launching.realm import Realm
from spot_connect.runs.agent import Agent
from spot_connect.runs.endings import why_it_ended
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

    @property
    def name(self) -> str:
        """What it is called."""
        return self.instance.name

    @property
    def agent(self) -> Agent:
        """Our program on it."""
        return Agent(self.connection, self.instance.id)

    def rejoin(self) -> None:
        """Find the machine that has the name now, and a new line to it if it is another one.

        Raises:
            RunInterrupted: AWS took it away, and nobody has replaced it.
            InstanceNotFound: it has ended for another reason.
            SshError: it cannot be reached at the moment.
        """
        seen = finding.again(self._realm, [self.instance])[self.instance.id]
        if seen.state in LIVE_STATES:
            self.instance = seen
            return
        successor = finding.by_name(self._realm, self.name, (seen.region,), self._reporter, everywhere=False)
        if successor is None:
            raise self._gone(seen)
        self._move(successor)

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
