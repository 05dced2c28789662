"""Distributed jobs on trial: what is done to a run of theirs on the local cloud, and what its files say afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.ground import REGION
from spot_connect.core.reporting import Silent

if TYPE_CHECKING:
    from spot_connect.core.jobs import JobRecord, JobsRecord
    from spot_connect.crew.batch import Batch
    from spot_connect.spotted import SpotInstance

LEASE_SECONDS = 20.0
LONGEST_SECONDS = 240.0
FILE_SYSTEM = "jobs"
ANYTHING, HEAD = "[a]gent-|[/]scripts/0-", "[j]obs-lead"
"""Processes of an instance, as patterns that do not match the shell they are given to: all but SSH, and its head."""
STEP_SECONDS = 0.25

# Bash alone: SIGTERM goes to the whole group, and would end a program in the middle of saving.
_COUNT = """
state=$SPOT_CONNECT_CHECKPOINT_DIR/n steps=$SPOT_CONNECT_OUT_DIR/steps
touch $steps
n=$({known})
n=${{n:-0}}
trap 'stop=1' TERM
while [ $n -lt {steps} ]; do
  read -t {seconds} <> <(:)
  n=$((n+1)); echo $n $SPOT_CONNECT_ATTEMPT $EPOCHREALTIME >> $steps
  [ -z "$stop" ] || {{ echo $n > $state; exit {leaving}; }}
done
"""


def counting(steps: int, *, seconds: float = STEP_SECONDS, leaving: int = 75, saves_at_sigterm: bool = False) -> str:
    """A script that makes steps, notes each, and goes on after the last of them.

    Args:
        steps: how many.
        seconds: what each takes.
        leaving: its exit status after SIGTERM.
        saves_at_sigterm: it keeps what it has only when it gets SIGTERM, so all steps are lost without one.
    """
    known = "cat $state 2>/dev/null" if saves_at_sigterm else "wc -l < $steps"
    return _COUNT.format(known=known, steps=steps, seconds=seconds, leaving=leaving)


@dataclass(frozen=True, slots=True)
class Step:
    """A step as the script noted it."""

    number: int
    attempt: int
    moment: float


@dataclass(frozen=True)
class Ledger:
    """What the files of a run say; a copy of its directory."""

    batch: Batch
    notices: Mapping[str, Mapping[str, float]]
    """By instance, when it has ``seen`` its notice and what the ``deadline`` is, in seconds since the epoch."""

    @cached_property
    def steps(self) -> list[list[Step]]:
        """The steps of each job, in the order in which they were noted."""
        return [_steps(job.directory / "out" / "steps") for job in self.batch.jobs()]

    @property
    def repeated(self) -> int:
        """Steps that were done more than once."""
        return sum(len(steps) - len({one.number for one in steps}) for steps in self.steps)

    def lost(self, steps: int) -> int:
        """Jobs that did not succeed, or of whose so many steps one is missing."""
        wanted = set(range(1, steps + 1))
        pairs = zip(self.batch.jobs(), self.steps, strict=True)
        return sum(self._outcome(job) != "succeeded" or {one.number for one in made} != wanted for job, made in pairs)

    def outcomes(self, number: int) -> list[str]:
        """How the attempts at a job ended."""
        return self.batch.job(number).outcomes()

    def ends(self, number: int) -> int:
        """How often it was said how a job has ended."""
        return len(list(self.batch.job(number).directory.glob("end.json*")))

    def began(self, number: int, attempt: int) -> float:
        """When an attempt at a job began, in seconds since the epoch."""
        return float(self.batch.job(number).attempts()[attempt - 1].start()["time"])

    def ended(self, number: int, attempt: int) -> float:
        """When it ended."""
        return float((self.batch.job(number).attempts()[attempt - 1].end() or {})["ended"])

    def terms(self) -> list[dict[str, Any]]:
        """The heads, one after the other: when each began, its last sign and how it ended."""
        return [
            {"began": one.start()["time"], "last_sign": one.last_sign(), "outcome": (one.end() or {}).get("outcome")}
            for one in self.batch.head.attempts()
        ]

    def _outcome(self, job: Any) -> str:
        return str((job.end() or {}).get("outcome") or "")


class Trial:
    """A run of distributed jobs, begun by this.

    Args:
        witness: an instance that is not of the run, but has its file system.
        name: of the run, and prefix of the names of its instances.
        scripts: one for each job.
        instances: how many to launch.
        settings: as for :meth:`spot_connect.instance_manager.InstanceManager.run_distributed_jobs`.
    """

    def __init__(
        self, witness: SpotInstance, name: str, scripts: Sequence[str], instances: int, **settings: Any
    ) -> None:
        from spot_connect.instance_manager import InstanceManager

        self._witness = witness
        self._manager = InstanceManager(local=True, reporter=Silent())
        given = {"lease": LEASE_SECONDS, "linger": 3600.0, "n_instances": instances, "region": REGION, **settings}
        self.run = self._manager.run_distributed_jobs(
            name, len(scripts), list(scripts), "t2.micro", FILE_SYSTEM, **given
        )

    def until(self, what: str, look: Callable[[JobsRecord], object]) -> JobsRecord:
        """What is known of the run, once ``look`` finds it right.

        Raises:
            DeadlinePassed: it does not.
        """
        from spot_connect.core.waiting import Seen, wait_for

        def seen() -> Seen[JobsRecord]:
            record = self.run.record()
            return Seen(record if look(record) else None, record.summary)

        return wait_for(f"{what} in {self.run.name}", seen, seconds=LONGEST_SECONDS, every=0.2)

    def victims(self, count: int = 1) -> list[JobRecord]:
        """So many jobs that are under way beside the head, since a while."""
        found = self.until(f"{count} jobs beside the head", lambda record: len(beside_the_head(record)) >= count)
        time.sleep(6 * STEP_SECONDS)
        return beside_the_head(found)[:count]

    def notice(self, instance: str, seconds: float) -> float:
        """Have AWS take an instance away, with a notice of so many seconds before; the moment of the notice."""
        from spot_connect.local import service

        given = time.time()
        service.call(None, "POST", f"instances/{instance}/interrupt", {"in": seconds})
        return given

    def kill(self, instance: str) -> float:
        """End an instance without notice; the moment."""
        return self.notice(instance, 0)

    def signal(self, name: str, instance: str, processes: str) -> float:
        """Send a signal to processes of an instance; the moment."""
        self.on(instance, f"pkill -{name} -f '{processes}'")
        return time.time()

    def on(self, instance: str, command: str) -> str:
        """What a command prints on an instance that the run began with."""
        [line] = [one for one in self._manager.instances.values() if one.id == instance]
        return line.run(command, cmd=True, return_output=True) or ""

    def ledger(self, home: Path) -> Ledger:
        """Wait for the end and copy what the files say; then the instances are let go.

        Raises:
            DeadlinePassed: the jobs do not end.
        """
        from spot_connect.crew.batch import Batch
        from spot_connect.interruption import files

        place = home / self.run.name
        record = self.run.wait(LONGEST_SECONDS)
        base = Path(record.directory).parents[1]
        self._witness.run(f"mkdir -p {base}/notices", cmd=True)
        self._witness.download([record.directory, f"{base}/notices"], place)
        self.run.close()
        notices = {path.stem: files.read(path) or {} for path in (place / "notices").glob("*.json")}
        return Ledger(Batch(place / Path(record.directory).name), notices)


def running(record: JobsRecord) -> list[JobRecord]:
    """The jobs under way."""
    return [job for job in record.jobs if job.state == "running"]


def beside_the_head(record: JobsRecord) -> list[JobRecord]:
    """The jobs under way on instances that are not the head."""
    return [job for job in running(record) if job.instance not in ("", record.head)] if record.head else []


def _steps(path: Path) -> list[Step]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    told = [line.split() for line in lines]
    return [Step(int(number), int(attempt), float(moment)) for number, attempt, moment in told]
