"""While somebody stays with a run, other machines in the place of those that AWS takes away."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from spot_connect.core.answers import Answer
from spot_connect.core.booting import boot_seconds
from spot_connect.core.errors import SpotConnectError, UnreadableAnswer
from spot_connect.core.models import Instance
from spot_connect.core.orders import ON_DEMAND, SPOT, Order
from spot_connect.jobs.crew import NOBODY, Crew
from spot_connect.jobs.supply import machine

INTERRUPTED, DISMISSED = "interrupted", "dismissed"
_LOOK_SECONDS = 5.0
_JOIN_SECONDS = 300.0
_AGAIN_SECONDS = 20
_INSTANCE = re.compile(r"i-[0-9a-f]{8,17}")
_MARKET = re.compile(f"{SPOT}|{ON_DEMAND}")
_TOKEN = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""RunInstances takes 64 ASCII characters."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A machine in the place of one that is gone: where from, and with which ClientToken."""

    lost: str
    market: str
    token: str


class Replacing:
    """Asks AWS for what a run wants, from the moment that AWS says what it takes away.

    The ledger of the run decides what is wanted. While no machine lives that could read it, one is asked for.
    """

    def __init__(self, crew: Crew, run_id: str, order: Order) -> None:
        self._crew = crew
        self._yard = crew.yard
        self._reporter = crew.reporter
        self._run_id = run_id
        self._order = order
        self._seen: dict[str, Instance] = {one.id: one for one in crew.known()}
        self._placed: dict[str, dict[str, Any]] = {}
        self._at_first = 0
        self._made = 0
        self._alone_since = 0.0
        self._warned: set[str] = set()
        self._over = threading.Event()

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """While this is open."""
        keeper = threading.Thread(target=self._keep, daemon=True, name="replacing")
        keeper.start()
        try:
            yield
        finally:
            self._over.set()
            # A replacement that is under way is not left behind.
            keeper.join()

    @property
    def has_hope(self) -> bool:
        """Whether, though no machine lives, one may come yet."""
        boots = max((boot_seconds(one.type) for one in self._seen.values()), default=boot_seconds(""))
        return not self._alone_since or time.monotonic() - self._alone_since < boots + _JOIN_SECONDS

    def _keep(self) -> None:
        while True:
            try:
                self._look()
            except SpotConnectError as error:
                # What is wanted is wanted still at the next look.
                self._warn(str(error))
            if self._over.wait(_LOOK_SECONDS):
                return

    def _look(self) -> None:
        self._seen |= {one.id: one for one in self._yard.members()}
        self._at_first = self._at_first or len(self._seen)
        endings = self._yard.endings(list(self._seen.values()))
        gone = {one: INTERRUPTED if ending.interrupted else DISMISSED for one, ending in endings.items()}
        try:
            asked = {"run": self._run_id, "gone": gone, "placed": self._placed}
            told = self._crew.ask_one("jobs-wanted", asked)
        except NOBODY:
            wanted = self._wanted_alone(gone)
        else:
            self._alone_since = 0.0
            self._give_back(told.part("placed"))
            wanted = [_wanted(one) for one in told.each("wanted")]
        for one in wanted:
            self._require_room(gone)
            self._place(one)

    def _require_room(self, gone: Mapping[str, str]) -> None:
        """Launch no more than can have been lost: an instance may say that thousands are wanted.

        AWS tells of each that was lost since this computer looks. Of those before that AWS may have forgotten; they are
        taken to be no more than those that lived then.
        """
        if self._made >= len(gone) + self._at_first:
            raise UnreadableAnswer(
                f"refused to launch another instance for {self._run_id}",
                f"{self._made} were launched, and its instances want more than AWS has taken away",
                "Somebody may have changed the files of the run.",
            )

    def _wanted_alone(self, gone: Mapping[str, str]) -> list[_Wanted]:
        """One machine is enough: the others it asks for itself, once it has read what is left to do."""
        now = time.monotonic()
        self._alone_since = self._alone_since or now
        lost = next((one for one, why in gone.items() if why == INTERRUPTED and one not in self._placed), "")
        booting = [one for one in self._placed.values() if one["instance"] not in gone]
        if not lost or booting:
            return []
        tries = int((now - self._alone_since) // _AGAIN_SECONDS)
        return [_Wanted(lost, SPOT, f"{self._run_id}-{lost}-{SPOT}-{tries}")]

    def _place(self, wanted: _Wanted) -> None:
        lost, market = wanted.lost, wanted.market
        name = self._seen[lost].name if lost in self._seen else lost
        made = self._yard.place(self._order, [name], token=wanted.token, market=market)[0]
        self._made += 1
        self._seen[made.id] = made
        self._placed[lost] = machine(made, market, self._order.price(market, made.type, made.subnet_id))

    def _give_back(self, placed: Answer) -> None:
        """End a machine of ours in whose place another counts, which was asked for by somebody else."""
        for lost in self._placed.keys() & placed.everything():
            ours, counts = self._placed[lost]["instance"], placed.part(lost).text("instance")
            if counts != ours:
                self._reporter.note(f"{counts} has the place of {lost} already; {ours} is terminated")
                self._yard.end(self._seen[ours])
                self._placed[lost] = placed.part(lost).everything()

    def _warn(self, words: str) -> None:
        if words not in self._warned:
            self._reporter.warn(words)
        self._warned.add(words)


def _wanted(told: Answer) -> _Wanted:
    return _Wanted(
        told.matching("lost", _INSTANCE)[0], told.matching("market", _MARKET)[0], told.matching("token", _TOKEN)[0]
    )
