"""How many AWS calls a fleet takes: to launch it, to reach all its instances, and to run `true` on each.

For two sizes, so that what grows with the number of instances shows. Each call takes 0.1 s more than the local cloud
needs, as it does from a laptop: who asks at the same time shares a call.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence

from benchmarks.calls import Call, recorded
from benchmarks.ground import local_cloud
from benchmarks.options import Options, as_script
from benchmarks.timing import Number
from spot_connect.core.reporting import Silent

_SIZES = (10, 50)
# What tells the host key of one instance; EC2 has no call that tells it of several.
_EACH = "GetConsoleOutput"
_AWAY = 0.1


def measure(options: Options) -> list[Number]:
    """The calls of each step, by name."""
    with local_cloud(options):
        taken = {size: _steps(size) for size in _SIZES}
    return [_number(step, {size: steps[step] for size, steps in taken.items()}) for step in taken[_SIZES[0]]]


def _steps(size: int) -> dict[str, list[Call]]:
    from spot_connect.instance_manager import InstanceManager

    manager = InstanceManager(reporter=Silent())
    steps: dict[str, Callable[[], object]] = {
        "launch": lambda: manager.launch_fleet(size, "t2.micro", f"calls{size}"),
        "reach": manager.reach_fleet,
        "run": lambda: manager.run(list(manager.instances), "true"),
    }
    taken = {name: _calls(step) for name, step in steps.items()}
    manager.cancel_fleet()
    return taken


def _calls(step: Callable[[], object]) -> list[Call]:
    made: list[Call] = []
    with recorded(made.append, _AWAY):
        step()
    return made


def _number(step: str, taken: dict[int, Sequence[Call]]) -> Number:
    small, large = (len(_shared(calls)) for calls in taken.values())
    listed = Counter(call.operation for call in taken[_SIZES[-1]])
    words = ", ".join(f"{count} {name}" for name, count in listed.most_common())
    return Number(
        f"AWS calls to {step} a fleet of {_SIZES[-1]}",
        f"{large} calls",
        f"{small} for {_SIZES[0]}",
        str(large),
        f"<= {small} + 2",
        large <= small + 2,
        (words or "none",),
        {"calls": len(taken[_SIZES[-1]])},
    )


def _shared(calls: Sequence[Call]) -> list[Call]:
    return [call for call in calls if call.operation != _EACH]


if __name__ == "__main__":
    sys.exit(as_script(__doc__, measure))
