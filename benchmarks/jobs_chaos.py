"""Whether each of many distributed jobs is done once while all is taken away, and how much is done twice.

200 jobs count to 20 on 8 instances and note each number. Meanwhile 20 instances are interrupted with a notice of 12 s,
5 end without one, 2 of those that have the head end, and whoever stays with the jobs is killed 3 times.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.ground import local_cloud
from benchmarks.options import Options, as_script
from benchmarks.timing import Number
from spot_connect.core.reporting import Silent

if TYPE_CHECKING:
    from spot_connect.core.jobs import JobsRecord
    from spot_connect.jobs.run import JobRun

_NAME = "chaos"
_INSTANCES, _JOBS, _STEPS = 8, 200, 20
_EVENTS = {"notice": 20, "silence": 5, "head": 2, "client": 3}
_EVERY_SECONDS = 3.0
_NOTICE_SECONDS = 12
_MOST_REPEATED = 0.02

# Bash alone: SIGTERM goes to the whole group, and would end a program in the middle of saving.
_COUNT = f"""
state=$SPOT_CONNECT_CHECKPOINT_DIR/n
n=$(cat $state 2>/dev/null)
n=${{n:-0}}
trap 'stop=1' TERM
while [ $n -lt {_STEPS} ]; do
  read -t 0.25 <> <(:)
  n=$((n+1)); echo $n >> $SPOT_CONNECT_OUT_DIR/steps; echo $n > $state
  [ -z "$stop" ] || exit 75
done
"""
_STAY = f"""
from spot_connect.core.reporting import Silent
from spot_connect.instance_manager import InstanceManager
InstanceManager(local=True, reporter=Silent()).attach("{_NAME}", region="us-east-1").stay()
"""


def measure(options: Options) -> list[Number]:
    """What became of the jobs, and of their steps."""
    from spot_connect.instance_manager import InstanceManager

    with local_cloud(options) as ground:
        manager = InstanceManager(local=True, reporter=Silent())
        run = manager.run_distributed_jobs(
            _NAME, _JOBS, _COUNT, "t2.micro", "jobs", n_instances=_INSTANCES, region="us-east-1", lease=20, linger=3600
        )
        _play(run)
        record = run.wait()
        steps = _steps(run.results(ground.home / "results"))
    return _numbers(record, steps)


def _play(run: JobRun) -> None:
    """Let it all happen, in an order that is the same each time."""
    from spot_connect.local import service

    events = [kind for kind, count in _EVENTS.items() for _ in range(count)]
    dice = random.Random(1)
    dice.shuffle(events)
    client = _client()
    rest = threading.Event()
    taken: set[str] = set()
    try:
        for event in events:
            rest.wait(_EVERY_SECONDS)
            if event == "client":
                client.kill()
                client.wait()
                client = _client()
                continue
            chosen = ""
            while not chosen:
                record = run.record()
                if record.has_ended:
                    raise SystemExit(f"the jobs had ended before {event}")
                chosen = _chosen(record, event, taken, dice)
                rest.wait(0.2)
            taken.add(chosen)
            seconds = _NOTICE_SECONDS if event == "notice" else 0
            service.call(None, "POST", f"instances/{chosen}/interrupt", {"in": seconds})
        run.wait()
    finally:
        client.kill()
        client.wait()


def _client() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _STAY], cwd=Path(__file__).parents[1])


def _chosen(record: JobsRecord, event: str, taken: set[str], dice: random.Random) -> str:
    """An instance that this can happen to; empty while there is none."""
    working = {job.instance for job in record.jobs if job.state == "running"} - {""}
    fit = {record.head} & working if event == "head" else working - {record.head}
    return dice.choice(sorted(fit - taken) or [""])


def _steps(directories: list[Path]) -> Counter[tuple[str, str]]:
    return Counter(
        (directory.name, line) for directory in directories for line in (directory / "steps").read_text().split()
    )


def _numbers(record: JobsRecord, steps: Counter[tuple[str, str]]) -> list[Number]:
    what = ", ".join(f"{count} x {kind}" for kind, count in _EVENTS.items())
    succeeded = record.counts.get("succeeded", 0)
    missing = _JOBS * _STEPS - len(steps)
    repeated = sum(steps.values()) - len(steps)
    share = repeated / (_JOBS * _STEPS)
    return [
        Number(
            f"{_JOBS} jobs through {what}",
            f"{succeeded} succeeded, each once",
            "",
            f"{missing} of {_JOBS * _STEPS} steps missing",
            f"{_JOBS} results",
            succeeded == _JOBS and not missing,
            (f"{record.interruptions} attempts at jobs were interrupted",),
            {"succeeded": succeeded, "missing": missing},
        ),
        Number(
            "steps done twice in it",
            str(repeated),
            "",
            f"{share:.2%}",
            f"< {_MOST_REPEATED:.0%}",
            share < _MOST_REPEATED,
            (),
            {"repeated": repeated},
        ),
    ]


if __name__ == "__main__":
    sys.exit(as_script(__doc__, measure))
