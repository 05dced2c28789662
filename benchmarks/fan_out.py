"""`true` on many hosts at once, from no connection to the last answer, against tools that do the same.

Every host is an sshd of OpenSSH's own, as on an instance. Every tool runs in a process of its own, and its imports are
not counted; GNU parallel is a program, so its start is. All hosts are on this computer, and most of the time without a
delay is theirs; how much CPU time each tool takes itself is told, too. The time of a round trip is made by
`benchmarks.delay`, one process for all lines.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from benchmarks import delay
from benchmarks.fan_out_tools import MODULES, TOOLS
from benchmarks.ground import Door, new_folder, require
from benchmarks.options import Options, as_script
from benchmarks.timing import Number, interleave_spent, ratio

_ROUNDS = {0: 9, 80: 5}
"""By round trip; without one, all that is measured is CPU time, which a computer gives now more and now less of."""
_SETTLE_SECONDS = 0.5
_MOST = {"fabric": 0.8, "parallel-ssh": 0.55, "gnu-parallel": 0.15}


def measure(options: Options) -> list[Number]:
    """One number for each peer and round trip."""
    require(MODULES | delay.MODULES, ["parallel"])
    with hosts(options.fleet) as doors:
        return [
            number for apart, rounds in _ROUNDS.items() for number in _compared(doors, apart, options.rounds or rounds)
        ]


@contextmanager
def hosts(count: int) -> Iterator[list[Door]]:
    """The doors of as many servers, with what they need in a folder of their own."""
    from tests.boundary.ssh.servers import several_openssh

    folder = new_folder()
    try:
        with several_openssh(folder, count) as servers:
            yield [Door(each.address.host, str(each.address.port), each.username, each.key_file) for each in servers]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def spent(tool: str, doors: Sequence[Door]) -> tuple[float, float]:
    """How long a tool takes for all of them, in seconds, and how much CPU time of its own."""
    listed = [{"host": one.host, "port": one.port, "user": one.user, "key_file": str(one.key_file)} for one in doors]
    file = doors[0].key_file.with_name("hosts.json")
    file.write_text(json.dumps(listed), encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.fan_out_tools", tool, str(file)]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    # The servers have sessions to end now, which would cost the next tool's time.
    time.sleep(_SETTLE_SECONDS)
    seconds, cpu = map(float, told.split())
    return seconds, cpu


def _compared(doors: Sequence[Door], milliseconds: int, rounds: int) -> list[Number]:
    with _lines(doors, milliseconds) as lines:
        ours, *others = interleave_spent({name: partial(spent, name, lines) for name in TOOLS}, rounds)
    what = f"`true` on {len(doors)} hosts, {milliseconds} ms"
    return [ratio(f"{what}, {peer.label}", ours, peer, most=_MOST.get(peer.label)) for peer in others]


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


if __name__ == "__main__":
    sys.exit(as_script(__doc__, measure))
