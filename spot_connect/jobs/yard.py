"""Where the machines of distributed jobs come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from spot_connect.core.errors import InstanceNotFound, PartlyFailed, SshError
from spot_connect.core.fleets import member_names
from spot_connect.core.models import Instance
from spot_connect.core.names import FILE_SYSTEM_TAG
from spot_connect.core.reporting import Reporter
from spot_connect.core.side_by_side import side_by_side
from spot_connect.launching import fleets, joining
from spot_connect.launching.realm import Realm
from spot_connect.runs.watching import endings
from spot_connect.ssh.connection import Connection
from spot_connect.store.keys import KeyFiles


class Line(Protocol):
    """A machine, and the line to it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def id(self) -> str:
        """Its instance id."""

    @property
    def seen(self) -> Instance:
        """The machine as EC2 told it last."""

    @property
    def connection(self) -> Connection:
        """The line."""


Reach = Callable[[Instance, str], Line]
"""A line to a machine, and the file system of that creation token mounted there, if one is named."""


class Yard:
    """The machines of one name prefix in one Region."""

    def __init__(
        self, realm: Realm, prefix: str, region: str, keys: KeyFiles, reporter: Reporter, reach: Reach
    ) -> None:
        self._realm = realm
        self._prefix = prefix
        self._region = region
        self._keys = keys
        self._reporter = reporter
        self._reach = reach

    def living(self) -> list[Line]:
        """Lines to those that live now; empty when none does."""
        fleet = fleets.find_fleet(self._realm, self._prefix, self._region)
        found = side_by_side(self._reached, {one.id: one for one in fleet.instances} if fleet else {})
        return [line for line in found.values() if line is not None]

    def more(self, living: Sequence[Line], count: int) -> list[Line]:
        """So many more, like those that live; fewer where AWS does not give as many.

        Raises:
            AwsError, PartlyFailed: AWS has none, or refused.
        """
        names = member_names(self._prefix, count, taken=[line.name for line in living])
        like = living[0].seen

        def launched(name: str) -> Line:
            return self._fitted(joining.another(self._realm, like, name, self._keys, self._reporter), like)

        try:
            return list(side_by_side(launched, {name: name for name in names}).values())
        except PartlyFailed as failure:
            if not failure.succeeded:
                raise
            # Those that run cost money, and are to work for it.
            self._reporter.warn(str(failure))
            return list(failure.succeeded.values())

    def keeper(self, like: Line, token: str) -> Line:
        """A small machine that AWS does not take away, with that file system if one is named.

        Raises:
            AwsError: AWS has none, or refused.
        """
        name = f"{self._prefix}_head"
        return self._reach(joining.keeper(self._realm, like.seen, name, self._keys, self._reporter), token)

    def doomed(self, lines: Sequence[Line]) -> list[Line]:
        """Those that AWS takes away, or has taken; one call while all is well."""
        found = endings(self._realm, [line.seen for line in lines])
        return [line for line in lines if line.id in found and found[line.id].interrupted]

    def successor(self, line: Line) -> Line:
        """Another machine in the place of one that AWS takes away.

        Raises:
            AwsError: AWS has none, or refused.
        """
        made = joining.successor(self._realm, line.seen, self._keys, self._reporter)
        return self._fitted(made, line.seen)

    def _fitted(self, made: Instance, like: Instance) -> Line:
        return self._reach(made, like.tags.get(FILE_SYSTEM_TAG, ""))

    def _reached(self, one: Instance) -> Line | None:
        """The line to it, unless it is on its way out."""
        try:
            return self._reach(one, "")
        except (SshError, InstanceNotFound) as error:
            self._reporter.note(str(error))
            return None
