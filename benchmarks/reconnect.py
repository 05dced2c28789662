"""How many AWS calls it takes to come back to a machine by name.

Once from the computer that launched it, and once from one that has nothing but the private key. The peer is what
anybody needs: one DescribeInstances to learn the address.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from benchmarks.calls import Call, recorded
from benchmarks.ground import Ground, local_cloud, quiet, tool
from benchmarks.options import Options, as_script
from benchmarks.timing import Number
from spot_connect.core.reporting import Silent

_MOST = 3


def measure(options: Options) -> list[Number]:
    """The calls, by name."""
    with local_cloud(options) as ground:
        quiet(tool("spot_connect"), "-n", "again", "-p", "t2.micro")
        same = _calls()
        keys = _forget_all_but_keys(ground)
        other = _calls(keys)
    return [_number("reconnect", same), _number("reconnect with the key alone", other)]


def _calls(keys: Path | None = None) -> list[Call]:
    from spot_connect.spotted import SpotInstance

    made: list[Call] = []
    with recorded(made.append), SpotInstance("again", kp_dir=keys, reporter=Silent()) as machine:
        machine.run("true", cmd=True, return_output=True)
    return made


def _number(what: str, calls: list[Call]) -> Number:
    count = len(calls)
    return Number(
        what,
        f"{count} calls",
        "1 call",
        str(count),
        f"<= {_MOST}",
        count <= _MOST,
        (", ".join(call.operation for call in calls),),
        {"calls": count},
    )


def _forget_all_but_keys(ground: Ground) -> Path:
    """Lose pins and hints, as on another computer to which the key was copied."""
    key = next(ground.home.rglob("KP-again.pem"))
    keys = ground.home / "copied"
    shutil.copytree(key.parent, keys)
    shutil.rmtree(key.parent.parent)
    return keys


if __name__ == "__main__":
    sys.exit(as_script(__doc__, measure))
