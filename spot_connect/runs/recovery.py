"""Going on elsewhere: a replacement from the moment of the notice on, and the run continued on it."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal

from spot_connect.aws import prices
from spot_connect.core.answers import Answer
from spot_connect.core.endings import why_it_ended
from spot_connect.core.errors import (
    InstanceNotFound,
    NoCapacity,
    PriceTooLow,
    RunInterrupted,
    SpotConnectError,
)
from spot_connect.core.models import LIVE_STATES, Instance
from spot_connect.core.names import FILE_SYSTEM_TAG
from spot_connect.core.prices import cost_between, money
from spot_connect.core.reporting import Reporter
from spot_connect.core.runs import RunRecord, run_record
from spot_connect.core.waiting import SYSTEM_CLOCK, Clock, Seen, wait_for
from spot_connect.launching import connecting, ending, finding, mounting, replacing
from spot_connect.launching.realm import Realm
from spot_connect.market.stand_ins import stand_ins
from spot_connect.runs.agent import Agent
from spot_connect.runs.watching import endings
from spot_connect.ssh.connection import Connection
from spot_connect.store.keys import KeyFiles

ASK_AWS_SECONDS = 10.0
FALLBACK_SECONDS = 120.0
_CAPACITY_SECONDS = 20.0
_STAND_INS = 4
_NONE_TO_HAVE = (NoCapacity, PriceTooLow)
_LISTEN_SECONDS = 20.0
_HANDOVER_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What every step of a recovery needs."""

    realm: Realm
    files: KeyFiles
    reporter: Reporter
    clock: Clock = SYSTEM_CLOCK


@dataclass(frozen=True, slots=True)
class Successor:
    """The machine that goes on, and the line to it."""

    instance: Instance
    connection: Connection


class Recovery:
    """Keeps one run going over the machines of a name.

    Args:
        ground: where, with what keys, and who hears of it.
        current: the machine that has the name now.
        record: the run as it was told last.
        moved: called with each successor, before anything else is asked of it.
    """

    def __init__(
        self, ground: Ground, current: Instance, agent: Agent, record: RunRecord, moved: Callable[[Successor], None]
    ) -> None:
        self._ground = ground
        self._current = current
        self._agent = agent
        self._record = record
        self._moved = moved
        self._turn = threading.RLock()
        self._over = threading.Event()
        self._failure: SpotConnectError | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """While this is open, a notice is acted on the moment it is seen, by AWS's word or by the machine's own."""
        threads = [
            threading.Thread(target=self._watch, args=(look, every), daemon=True, name="recovery")
            for look, every in ((self._announced_by_aws, ASK_AWS_SECONDS), (self._announced_by_machine, 0.2))
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            # A replacement that is under way is not left behind.
            with self._turn:
                pass

    def go_on(self, dying: Instance) -> None:
        """See to it that the run goes on elsewhere; returns at once when it does already.

        Raises:
            RunInterrupted: a limit is reached.
            InstanceNotFound: its user has ended it.
            AwsError: no replacement can be launched.
        """
        with self._turn:
            if self._failure:
                raise self._failure
            if self._current.id != dying.id or self._over.is_set():
                return
            try:
                self._replace(dying)
            except SpotConnectError as error:
                self._failure = error
                raise

    def _watch(self, look: Callable[[Instance], bool], every: float) -> None:
        while not self._over.wait(every):
            current = self._current
            with suppress(SpotConnectError):
                if look(current):
                    # What fails is kept, and told to whoever follows the run.
                    self.go_on(current)

    def _announced_by_aws(self, current: Instance) -> bool:
        ending = endings(self._ground.realm, [current]).get(current.id)
        if ending is None or not ending.interrupted:
            return False
        self._ground.reporter.note(f"{current.name} ({current.id}): {ending.words}")
        return True

    def _announced_by_machine(self, current: Instance) -> bool:
        told = self._agent.ask("notice", {"seconds": _LISTEN_SECONDS})
        if told and current.id == self._current.id:
            left = max(0.0, Answer(told[0]).number("deadline") - datetime.now(timezone.utc).timestamp())
            self._ground.reporter.note(f"{current.name} ({current.id}) is told that it ends in {left:.0f} s")
        return bool(told)

    def _replace(self, dying: Instance) -> None:
        ground = self._ground
        dying = self._check(dying)
        made, is_ours = self._launched(dying)
        if self._over.is_set():
            ending.terminate(ground.realm, [made] if is_ours else [])
            return
        try:
            request = replacing.request_like(ground.realm, made)
            connection = connecting.open_line(ground.realm, made, request, ground.files, ground.reporter, fresh=is_ours)
            self._mount(dying, made, connection)
            agent = Agent(connection, made.id)
            record = self._handed_over(dying, agent)
        except KeyboardInterrupt:
            if is_ours:
                ending.terminate(ground.realm, [made])
            raise
        if self._is_told_by(dying, record):
            # Whoever waits for his turn is not to launch yet another one.
            self._over.set()
            connection.close()
            if is_ours:
                ground.reporter.note(f"{self._record.id} has ended in time; {made.id} is not needed and is terminated")
                ending.terminate(ground.realm, [made])
            return
        self._current, self._agent, self._record = made, agent, record
        self._moved(Successor(made, connection))
        ground.reporter.note(f"{record.id} goes on as attempt {len(record.attempts)} on {made.id}")

    def _is_told_by(self, dying: Instance, record: RunRecord) -> bool:
        """Whether the run has ended on the old machine, which still lives to tell the rest of its log."""
        if not record.has_ended or record.attempts[-1].instance != dying.id:
            return False
        return finding.again(self._ground.realm, [dying])[dying.id].state in LIVE_STATES

    def _check(self, dying: Instance) -> Instance:
        """The machine as it is now; refuses to go on where the user has said so, in whatever way."""
        limits = self._record.limits
        what = f"{self._record.id} was interrupted on {dying.name}"
        done = self._record.interruptions
        if limits.max_replacements is not None and done >= limits.max_replacements:
            raise RunInterrupted(what, f"it was replaced {done} times, which is the limit", _resume(dying))
        if limits.max_cost is not None:
            cost = self._cost(dying)
            if cost >= limits.max_cost:
                raise RunInterrupted(what, f"it has cost {money(cost)}, which is the limit", _resume(dying))
        now = finding.again(self._ground.realm, [dying])[dying.id]
        why = why_it_ended(now)
        if now.state not in LIVE_STATES and not why.interrupted:
            raise InstanceNotFound(f"{dying.name} ({dying.id}) has ended", why.words)
        return now

    def _cost(self, dying: Instance) -> Decimal:
        """What the run has cost on spot machines of this type and zone, for all its attempts."""
        cloud = self._ground.realm.cloud(dying.region)
        now = datetime.now(timezone.utc)
        began = [(one.started or now, one.ended or now) for one in self._record.attempts]
        history = prices.spot_prices(cloud, {dying.type}, since=min((start for start, _ in began), default=now))
        return sum((cost_between(history, dying.zone, start, end) for start, end in began), Decimal(0))

    def _launched(self, dying: Instance) -> tuple[Instance, bool]:
        """A replacement, as soon as there is capacity for one; on demand after a while if that was asked for."""
        ground = self._ground
        began = ground.clock.now()
        while True:
            waited = ground.clock.now() - began
            on_demand = self._record.limits.fallback == "on-demand" and waited >= FALLBACK_SECONDS
            try:
                return self._some_type(dying, on_demand=on_demand)
            except _NONE_TO_HAVE as error:
                ground.reporter.warn(f"{error.what}: {error.said}; trying again in {_CAPACITY_SECONDS:g} s")
                self._over.wait(_CAPACITY_SECONDS)
                if self._over.is_set():
                    raise
                self._check(dying)

    def _some_type(self, dying: Instance, *, on_demand: bool) -> tuple[Instance, bool]:
        """A machine of the same type, else of one that can do its work and is seldom taken away."""
        ground = self._ground
        others = () if on_demand else stand_ins(dying.type, dying.region, _STAND_INS)
        for kind in (dying.type, *others):
            try:
                return replacing.replace(
                    ground.realm, dying, ground.files, ground.reporter, instance_type=kind, on_demand=on_demand
                )
            except _NONE_TO_HAVE as error:
                refused = error
            if self._over.is_set():
                break
        raise refused

    def _mount(self, dying: Instance, made: Instance, connection: Connection) -> None:
        ground = self._ground
        token = dying.tags.get(FILE_SYSTEM_TAG, "")
        if token:
            mounting.mount(ground.realm, made, connection, token, ground.reporter, new_target=False)

    def _handed_over(self, dying: Instance, agent: Agent) -> RunRecord:
        """The run as the new machine tells it: under way there, or ended."""
        ground = self._ground
        with suppress(SpotConnectError):
            # It may be gone already; then there is nothing to hand over.
            self._agent.ask("handover", {"name": dying.name, "run": self._record.id})

        def look() -> Seen[RunRecord]:
            now = finding.again(ground.realm, [dying])[dying.id]
            gone = [] if now.state in LIVE_STATES else [dying.id]
            record = run_record(agent.ask_one("resume", {"name": dying.name, "run": self._record.id, "gone": gone}))
            ours = record.attempts and record.attempts[-1].instance != dying.id
            return Seen(record if record.has_ended or ours else None, record.state)

        with ground.reporter.step(f"waiting for {dying.id} to hand {self._record.id} over"):
            return wait_for("hand-over", look, seconds=_HANDOVER_SECONDS, every=0.5, clock=ground.clock)


def _resume(dying: Instance) -> str:
    return f"`spot_connect resume {shlex.quote(dying.name)}` goes on with it."
