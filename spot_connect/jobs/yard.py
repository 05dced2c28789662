"""Where the machines of distributed jobs come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from spot_connect.core.endings import Ending
from spot_connect.core.errors import InstanceNotFound, SshError
from spot_connect.core.fleets import Fleet
from spot_connect.core.joining import join_at_boot
from spot_connect.core.models import Instance
from spot_connect.core.names import FILE_SYSTEM_TAG
from spot_connect.core.orders import SPOT, Order
from spot_connect.core.reporting import Reporter
from spot_connect.core.side_by_side import side_by_side
from spot_connect.launching import ending, fleets, keeping, mounting, orders
from spot_connect.launching.realm import Realm
from spot_connect.market.stand_ins import stand_ins
from spot_connect.runs.agent import program_hash, program_name
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


_STAND_INS = 4

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
        found = side_by_side(self._reached, {one.id: one for one in self.members()})
        return [line for line in found.values() if line is not None]

    def keeper(self, like: Line, token: str) -> Line:
        """A small machine that AWS does not take away, with that file system if one is named.

        Raises:
            AwsError: AWS has none, or refused.
        """
        name = f"{self._prefix}_head"
        return self._reach(keeping.keeper(self._realm, like.seen, name, self._keys, self._reporter), token)

    def members(self) -> tuple[Instance, ...]:
        """Those that live now, without a line to them; one call."""
        fleet = fleets.find_fleet(self._realm, self._prefix, self._region)
        return fleet.instances if fleet else ()

    def endings(self, members: Sequence[Instance]) -> dict[str, Ending]:
        """By id, those that have ended or will, and why; one call while all is well."""
        return endings(self._realm, members)

    def write_order(self, fleet: Fleet, token: str, run_id: str, hours: float) -> Order:
        """How other machines for the run are asked for; it mounts that file system.

        Raises:
            AwsError: AWS refused it.
        """
        known = mounting.known(self._realm, token, self._region)
        username = fleet.spec.username if fleet.spec else ""
        where = known.targets, known.file_system_id
        program = program_name(), program_hash()
        boot = join_at_boot(username, *where, *program, run_id, hours, must_encrypt=known.must_encrypt)
        kinds = {pool.instance_type for pool in fleet.pools}
        # Whoever named several has chosen.
        others = stand_ins(kinds.pop(), self._region, _STAND_INS) if len(kinds) == 1 else ()
        return orders.write(self._realm, fleet, user_data=boot, tags={FILE_SYSTEM_TAG: token}, others=others)

    def place(self, order: Order, names: Sequence[str], *, token: str, market: str = SPOT) -> tuple[Instance, ...]:
        """Machines of those names, which join the run by themselves; fewer where AWS does not give as many.

        Raises:
            AwsError: AWS has none, or refused.
        """
        return orders.place(self._realm, order, self._prefix, names, self._reporter, token=token, market=market)

    def withdraw(self, order: Order) -> None:
        """No other machine is asked for in this way any more."""
        orders.withdraw(self._realm, order)

    def end(self, member: Instance) -> None:
        """Terminate it."""
        ending.terminate(self._realm, [member])

    def _reached(self, one: Instance) -> Line | None:
        """The line to it, unless it is on its way out."""
        try:
            return self._reach(one, "")
        except (SshError, InstanceNotFound) as error:
            self._reporter.note(str(error))
            return None
