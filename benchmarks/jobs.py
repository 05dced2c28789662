"""Distributed jobs on 8 instances: how busy they keep them, and what each job costs beside its own work.

The second number has GNU parallel beside it, which sends the same commands over SSH to the same instances, one at a
time to each, and keeps no record of them on the instances.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.ground import REGION, Door, all_of, door_of, local_cloud
from benchmarks.options import Options, as_script
from benchmarks.timing import Number, Sample, ratio, timed
from spot_connect.core.reporting import Silent

if TYPE_CHECKING:
    from spot_connect.core.jobs import JobsRecord
    from spot_connect.instance_manager import InstanceManager

_INSTANCES = 8
_SECONDS = 5
_LONG, _SHORT = 200, 1000
_MOST_EACH = 0.025


def measure(options: Options) -> list[Number]:
    """Two batches of jobs, one after the other, each on instances of its own."""
    from spot_connect.instance_manager import InstanceManager

    with local_cloud(options) as ground:
        manager = InstanceManager(local=True, reporter=Silent())
        long = batch(manager, "long", f"sleep {_SECONDS}", _LONG, _INSTANCES)
        manager.terminate(list(manager.instances))
        short = batch(manager, "short", "true", _SHORT, _INSTANCES)
        told = all_of(ground.ec2(), [one.id for one in manager.instances.values()])
        doors = [door_of(one, ground.home / "local" / "client" / "key_pairs") for one in told]
        peer = timed(lambda: _gnu_parallel(doors))
    return [_utilisation(long), *_overhead(short, peer)]


def batch(manager: InstanceManager, name: str, script: str, count: int, instances: int) -> JobsRecord:
    """So many jobs, ended."""
    run = manager.run_distributed_jobs(
        name, count, script, "t2.micro", "jobs", n_instances=instances, region=REGION, linger=3600
    )
    return run.wait()


def _utilisation(record: JobsRecord) -> Number:
    wall = wall_of(record)
    share = _LONG * _SECONDS / (_INSTANCES * wall)
    return Number(
        f"{_LONG} jobs of {_SECONDS} s on {_INSTANCES} instances",
        f"{wall:.0f} s from the first start to the last end",
        f"{_LONG * _SECONDS / _INSTANCES:.0f} s at best",
        f"{share:.1%} busy",
        ">= 90%",
        share >= 0.9,
        _succeeded(record),
        {"seconds": wall, "utilisation": share},
    )


def _overhead(record: JobsRecord, peer: float) -> list[Number]:
    wall = wall_of(record)
    each = wall / _SHORT
    ours = Sample("each job", (each,))
    return [
        Number(
            f"{_SHORT} scripts that do nothing",
            f"{each * 1000:.1f} ms for each",
            "",
            f"{wall:.1f} s in all",
            f"<= {_MOST_EACH * 1000:.0f} ms",
            each <= _MOST_EACH,
            _succeeded(record),
            {"seconds_each": each},
        ),
        ratio(f"{_SHORT} scripts against GNU parallel", ours, Sample("each, GNU parallel", (peer / _SHORT,)), most=1.0),
    ]


def wall_of(record: JobsRecord) -> float:
    """Seconds from the first start to the last end."""
    began = [job.began for job in record.jobs if job.began]
    ended = [job.ended for job in record.jobs if job.ended]
    return (max(ended) - min(began)).total_seconds()


def _succeeded(record: JobsRecord) -> tuple[str, ...]:
    return (f"{record.counts.get('succeeded', 0)} of {len(record.jobs)} succeeded",)


def _gnu_parallel(doors: Sequence[Door]) -> None:
    hosts = "".join(f"1/{' '.join(door.ssh('-l', door.user))} {door.host}\n" for door in doors)
    command = ["parallel", "--will-cite", "-j1", "--sshloginfile", "-", "true", ":::", *map(str, range(_SHORT))]
    subprocess.run(command, input=hosts, text=True, check=True, capture_output=True)


if __name__ == "__main__":
    sys.exit(as_script(__doc__, measure))
