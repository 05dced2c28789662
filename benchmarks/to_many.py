"""Files to several instances at once, against one rsync for each, side by side; and how often they are read for that.

2,000 small files and one of 64 MB, over connections that are opened for it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.ground import Door, door_of, local_cloud
from benchmarks.options import Options, as_script
from benchmarks.timing import Number, interleave_values, ratio, timed
from benchmarks.transfers import noise, tree_of
from spot_connect.core.reporting import Silent

_INSTANCES = 8
_MEGABYTES = 64
_FILES = 2000
_MOST_READ = 1.05
_TARGET = "work"


def measure(options: Options) -> list[Number]:
    """The time of both, and what we have read."""
    from spot_connect.instance_manager import InstanceManager

    with local_cloud(options) as ground:
        manager = InstanceManager(local=True, reporter=Silent())
        names = [f"many{number}" for number in range(_INSTANCES)]
        machines = manager.launch_instances(names, profile="t2.micro")
        doors = [door_of(machine.instance, machine.kp_dir) for machine in machines]
        source, read = _source(ground.home / "source"), []

        def ours() -> None:
            before = _read_so_far()
            manager.upload(names, source, _TARGET)
            read.append(_read_so_far() - before)

        def side(work: Callable[[], object]) -> float:
            manager.run(names, f"rm -rf {_TARGET}; mkdir {_TARGET}")
            for machine in machines:
                machine.close()
            return timed(work)

        sides = {"spot-connect": ours, "rsync -a on each": partial(_rsync, doors, source)}
        taken = interleave_values({name: partial(side, work) for name, work in sides.items()}, options.rounds or 5)
        size = sum(path.stat().st_size for path in source.rglob("*") if path.is_file())
    return [ratio(f"{_what(size)} to {_INSTANCES} instances", *taken, most=1.0), _reads(max(read) / size)]


def _reads(most: float) -> Number:
    times = f"{most:.2f} times"
    return Number(
        f"bytes read here for {_INSTANCES} instances", times, "", times, f"<= {_MOST_READ:g}", most <= _MOST_READ
    )


def _what(size: int) -> str:
    return f"{_FILES + 1:,} files, {size / 1024 / 1024:.0f} MB"


def _source(root: Path) -> Path:
    tree_of(root, files=_FILES, folders=40)
    noise(root / "large", _MEGABYTES)
    return root


def _rsync(doors: Sequence[Door], source: Path) -> None:
    def one(door: Door) -> None:
        command = ("rsync", "-a", "-e", " ".join(door.ssh()), str(source), f"{door.target}:{_TARGET}")
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)

    with ThreadPoolExecutor(len(doors)) as pool:
        list(pool.map(one, doors))


def _read_so_far() -> int:
    # What comes from sockets is not counted there.
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("rchar:"))


if __name__ == "__main__":
    sys.exit(as_script(__doc__, measure))
