"""`true` on many instances at once, from no connection to the last answer, against tools that do the same.

Every tool runs in a process of its own, and its imports are not counted. GNU parallel is a program, so its start is.
The time of a round trip is made by `benchmarks.delay`, one process for all lines.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.fan_out_peers import TOOLS
from benchmarks.ground import Door, door_of, local_cloud
from benchmarks.options import Options, as_script
from benchmarks.timing import Number, interleave_values, ratio, timed
from spot_connect.core.reporting import Silent

_ROUND_TRIPS = (0, 80)
_MOST = {"fabric": 0.8, "parallel-ssh": 0.55, "gnu-parallel": 0.15}


def measure(options: Options) -> list[Number]:
    """One number for each peer and round trip."""
    from spot_connect.instance_manager import InstanceManager

    count = options.fleet
    with local_cloud(options) as ground:
        manager = InstanceManager(local=True, reporter=Silent())
        machines = manager.launch_instances([f"fan{number}" for number in range(count)], profile="t2.micro")
        doors = [door_of(machine.instance, machine.kp_dir) for machine in machines]
        for machine in machines:
            machine.close()
        return [
            number
            for milliseconds in _ROUND_TRIPS
            for number in _compared(doors, milliseconds, ground.home / "hosts.json", options.rounds or 5)
        ]


def _compared(doors: Sequence[Door], milliseconds: int, file: Path, rounds: int) -> list[Number]:
    with _lines(doors, milliseconds) as lines:
        hosts = [{"host": one.host, "port": one.port, "user": one.user, "key_file": str(one.key_file)} for one in lines]
        file.write_text(json.dumps(hosts), encoding="utf-8")
        peers = {name: _peer(name, file) for name in TOOLS}
        sides = {"spot-connect": lambda: timed(lambda: command_on_each(lines)), **peers}
        ours, *others = interleave_values(sides, rounds, warm_up=1)
    what = f"`true` on {len(doors)} instances, {milliseconds} ms"
    return [ratio(f"{what}, {peer.label}", ours, peer, most=_MOST[peer.label]) for peer in others]


@contextmanager
def _lines(doors: Sequence[Door], milliseconds: int) -> Iterator[Sequence[Door]]:
    """Doors that are as far away as told."""
    if not milliseconds:
        yield doors
        return
    places = [word for door in doors for word in (door.host, door.port)]
    command = [sys.executable, "-m", "benchmarks.delay", *places, str(milliseconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout
        try:
            yield [replace(door, host="127.0.0.1", port=proxy.stdout.readline().strip()) for door in doors]
        finally:
            proxy.terminate()


def command_on_each(doors: Sequence[Door]) -> None:
    """Connect to all and run `true`."""
    from spot_connect.core.models import Address
    from spot_connect.core.side_by_side import side_by_side
    from spot_connect.ssh.command import run
    from spot_connect.ssh.connection import Connection

    def one(door: Door) -> int:
        address = Address(door.host, int(door.port))
        with Connection(address, door.user, door.key_file, verify=lambda _: None) as connection:
            return run(connection, "true").exit_status

    assert set(side_by_side(one, {f"{door.host} {door.port}": door for door in doors}).values()) == {0}


def _peer(name: str, file: Path) -> Callable[[], float]:
    def work() -> float:
        command = [sys.executable, "-m", "benchmarks.fan_out_peers", name, str(file)]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    return work


if __name__ == "__main__":
    sys.exit(as_script(__doc__, measure))
