"""How soon an interruption is known, and how soon the work goes on elsewhere.

Two clouds of our own. On the first, instances are given notices at moments spread over the polls of those who watch:
the instance itself, which asks its metadata service every 5 s, and a client that has AWS's word alone and asks every
10 s. On the second, a counting job is interrupted again and again, two minutes ahead as by AWS, with a simulated boot,
and goes on on one replacement after the other.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

from benchmarks.counting import POLL_SECONDS, counted, lost, within
from benchmarks.ground import local_cloud
from benchmarks.options import Options, as_script
from benchmarks.timing import Number, Sample
from spot_connect.core.reporting import Silent

if TYPE_CHECKING:
    from spot_connect.runs.agent import Agent
    from spot_connect.spotted import SpotInstance

_NOTICE = 120.0
_PEER = "AWS: 120 s before the end"
_LONGEST = 60.0
_READ = "cd ~/.spot-connect; for i in {1..120}; do [ -f notice.json ] && break; sleep 0.5; done; cat notice.json"


def measure(options: Options) -> list[Number]:
    """The times, and the lines of the log that were lost."""
    rounds = options.rounds or 5
    with local_cloud(options):
        inside, outside = _notices(rounds)
    with local_cloud(options, boot_seconds=options.boot_seconds):
        story = counted("going-on", rounds, lambda _: _NOTICE)
    after = story.sample("after the old machine handed over", "handed_over", "running")
    running = (
        f"a boot of {options.boot_seconds:g} s and a notice of {_NOTICE:g} s, a quarter of which is left to the old"
        f" machine; {after}",
    )
    return [
        within("notice on the instance", inside, 6, _PEER),
        within("notice from outside", outside, 15, _PEER, ("AWS's word alone, asked every 10 s",)),
        within("replacement requested", story.sample("notice to RunInstances", "seen_by_client", "requested"), 2),
        within("script runs again", story.sample("SSH answer to start", "answered", "running"), 10, "", running),
        lost("log lines lost", story),
    ]


def _notices(count: int) -> tuple[Sample, Sample]:
    from spot_connect.runs.recovery import ASK_AWS_SECONDS
    from spot_connect.spotted import SpotInstance

    def one(number: int) -> tuple[float, float]:
        machine = SpotInstance(f"noticed{number}", profile="t2.micro", local=True, reporter=Silent())
        # Every number is in the middle of another part of the two polls, in another order for each.
        inside = POLL_SECONDS * (number + 0.5) / count
        outside = ASK_AWS_SECONDS * ((number * 2) % count + 0.5) / count
        return _one(machine, inside, outside)

    with ThreadPoolExecutor(count) as pool:
        found = list(pool.map(one, range(count)))
    return (
        Sample("to `seen`", tuple(inside for inside, _ in found)),
        Sample("to the client", tuple(outside for _, outside in found)),
    )


def _one(machine: SpotInstance, inside: float, outside: float) -> tuple[float, float]:
    """Seconds from the notice until the instance and until a client saw it, each that long after a poll of theirs."""
    from spot_connect.local import service

    began = time.monotonic()
    run = machine.run("while :; do sleep 1; done", cmd=True, detach=True)
    # The client begins to ask so many polls before the interruption; the instance has asked since the run began.
    gap = max(0.0, outside - inside)
    rest = began + inside + POLL_SECONDS * (2 + gap // POLL_SECONDS)
    time.sleep(max(0.0, rest - outside - time.monotonic()))
    onlooker = _onlooker(machine, run.record())
    with onlooker.watching():
        time.sleep(max(0.0, rest - time.monotonic()))
        given = time.time()
        service.call(None, "POST", f"instances/{machine.id}/interrupt", {"in": _NOTICE})
        onlooker.saw.wait(_LONGEST)
    # The client may have been first.
    told = machine.run(_READ, cmd=True, return_output=True)
    machine.terminate()
    return float(json.loads(told or "{}")["seen"]) - given, onlooker.when - given


def _onlooker(machine: SpotInstance, record: Any) -> Any:
    """A recovery that watches as all do, hears nothing from the instance itself, and replaces nothing."""
    from spot_connect.launching.realm import choose_realm
    from spot_connect.runs.recovery import Ground, Recovery

    class Onlooker(Recovery):
        when = float("nan")
        saw = threading.Event()

        def go_on(self, _: object) -> None:
            self.when = time.time()
            self.saw.set()
            self._over.set()

    realm = choose_realm(local=True)
    ground = Ground(realm, realm.keys("", Silent()), Silent())
    deaf = cast("Agent", _Deaf())
    return Onlooker(ground, machine.seen, deaf, record, lambda _: None)


class _Deaf:
    """The line to an instance that tells nothing."""

    def ask(self, _verb: str, asked: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
        """Nothing, after a while."""
        time.sleep(min(1.0, float(asked["seconds"])))
        return []


if __name__ == "__main__":
    sys.exit(as_script(__doc__, measure))
