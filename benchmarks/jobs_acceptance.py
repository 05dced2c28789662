"""What may happen to distributed jobs, one thing at a time, and whether each job is still done once.

Instances are ended with and without a notice, frozen and thawed, the head and whoever has begun the jobs are killed,
and two become the head. What came of it is read from what the jobs have written and from the files of the run.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from benchmarks.counting import POLL_SECONDS, within
from benchmarks.ground import REGION, Ground, all_of, local_cloud
from benchmarks.options import Options, as_script
from benchmarks.timing import Number, Sample
from benchmarks.trial import (
    ANYTHING,
    FILE_SYSTEM,
    HEAD,
    LEASE_SECONDS,
    LONGEST_SECONDS,
    Ledger,
    Trial,
    beside_the_head,
    counting,
    running,
)
from spot_connect.core.errors import SpotConnectError, VersionsDiffer
from spot_connect.core.reporting import Silent

if TYPE_CHECKING:
    from spot_connect.core.jobs import JobRecord, JobsRecord
    from spot_connect.spotted import SpotInstance

_NOTICE_SECONDS = 10.0
_FROZEN_SECONDS = 60.0
_FENCED_SECONDS = 5.0
_HEAD_FROZEN_SECONDS = 8.0
_OTHER_PYTHON = (3, 9)
_ROLE = "jobs-acceptance"
_SUBMIT = f"""
import time
from benchmarks.trial import FILE_SYSTEM, counting
from spot_connect.core.reporting import Silent
from spot_connect.instance_manager import InstanceManager
InstanceManager(local=True, reporter=Silent()).run_distributed_jobs(
    "left", 8, counting(12), "t2.micro", FILE_SYSTEM, n_instances=2, region="{REGION}", linger=3600)
print("submitted", flush=True)
time.sleep(60)
"""


class Acceptance:
    """What all rows share: the local cloud, and an instance that sees the file system of the jobs."""

    def __init__(self, ground: Ground, witness: SpotInstance) -> None:
        self._ground = ground
        self._witness = witness

    @property
    def waves(self) -> tuple[tuple[Callable[[], list[Number]], ...], ...]:
        """What is measured one after the other, and in each the rows that are side by side."""
        return (
            (self.other_python,),
            (self.instance_killed,),
            (self.notice, self.silence, self.client_killed, self.exit_0),
            (self.frozen, self.head_frozen, self.head_lost, self.asked_without_head, self.budgets, self.two_heads),
        )

    def other_python(self) -> list[Number]:
        """Functions of another Python than that of the instances."""
        from spot_connect.instance_manager import InstanceManager
        from spot_connect.jobs import versions

        trial = self._trial("other-python", [counting(1000)], 1)
        self._at_work(trial, 1)
        manager = InstanceManager(local=True, reporter=Silent())

        def mapped() -> None:
            manager.map(abs, [1, 2], "t2.micro", n_instances=2, name="other-map", filesystem=FILE_SYSTEM, region=REGION)

        def visited() -> None:
            with trial.run.client():
                pass

        with mock.patch.object(versions, "PYTHON", _OTHER_PYTHON):
            asked = {"map": _refused(mapped), "client": _refused(visited)}
        trial.run.cancel()
        note = ("with the launch and the end of two instances, which are ready in a moment on the local cloud",)
        return [
            within("`map` from another Python refused", Sample("to the error", (asked["map"],)), 5, "", note),
            within("`client()` from another Python refused", Sample("to the error", (asked["client"],)), 5),
        ]

    def instance_killed(self) -> list[Number]:
        """64 jobs of 2 s on 8 instances, one of them killed."""
        trial = self._trial("killed", [counting(1, seconds=2)] * 64, 8)
        trial.until("a third of the jobs", lambda record: record.counts.get("succeeded", 0) >= 20)
        trial.kill(trial.victims()[0].instance)
        return [_once(str(self.instance_killed.__doc__), self._ledger(trial), 1, "finished twice")]

    def notice(self) -> list[Number]:
        """A notice of interruption."""
        trial = self._trial("noticed", [counting(70, saves_at_sigterm=True)] * 5, 5)
        given = {}
        for victim in trial.victims(3):
            given[victim] = trial.notice(victim.instance, _NOTICE_SECONDS)
            # Each at another moment between two polls.
            time.sleep(POLL_SECONDS / 3)
        ledger = self._ledger(trial)
        seen = [ledger.notices[victim.instance]["seen"] for victim in given]
        sigterm = [
            one + (ledger.notices[victim.instance]["deadline"] - one) / 4
            for victim, one in zip(given, seen, strict=True)
        ]
        ended = [ledger.ended(victim.number, 1) for victim in given]
        known = _between("to `seen`", given.values(), seen)
        back = _between("after the instance knew", seen, ended)
        after = _between("after SIGTERM", sigterm, ended)
        policy = f"a notice of {_NOTICE_SECONDS:g} s, a quarter of what is left of it is the script's; {after}"
        return [
            within("notice: known on the instance", known, POLL_SECONDS + 1),
            within("notice: the job handed back", back, 3, "", (policy,)),
            _once("notice: what the interrupted have done", ledger, 70, "steps done twice"),
        ]

    def silence(self) -> list[Number]:
        """An instance dies without notice."""
        trial = self._trial("silent", [counting(60), counting(60), "true"], 3)
        [victim] = trial.victims()
        died = trial.kill(victim.instance)
        ledger = self._ledger(trial)
        again = Sample("to the next attempt", (ledger.began(victim.number, 2) - died,))
        note = (f"the lease is {LEASE_SECONDS:g} s, counted from the last heartbeat",)
        return [within("death without notice: the job begins elsewhere", again, LEASE_SECONDS + 5, "", note)]

    def frozen(self) -> list[Number]:
        """An instance freezes for longer than the lease, and thaws."""
        trial = self._trial("frozen", [counting(260), counting(260), "true"], 3)
        return [self._frozen("an instance", trial, trial.victims()[0])]

    def head_frozen(self) -> list[Number]:
        """The instance with the head freezes for longer than the lease, and thaws."""
        trial = self._trial("head-frozen", [counting(260)] * 3, 3)
        record = self._at_work(trial, 3)
        return [
            self._frozen("the head's instance", trial, next(job for job in record.jobs if job.instance == record.head))
        ]

    def _frozen(self, what: str, trial: Trial, victim: JobRecord) -> Number:
        trial.signal("STOP", victim.instance, ANYTHING)
        time.sleep(_FROZEN_SECONDS)
        thawed = trial.signal("CONT", victim.instance, ANYTHING)
        ledger = self._ledger(trial)
        steps = ledger.steps[victim.number]
        late = [one.moment - thawed for one in steps if one.attempt == 1 and one.moment > thawed]
        ends, outcomes = ledger.ends(victim.number), ledger.outcomes(victim.number)
        whole = {one.number for one in steps} == set(range(1, 261))
        return Number(
            f"{what} frozen for {_FROZEN_SECONDS:g} s and thawed",
            f"job ended {ends} x; attempts {', '.join(outcomes)}",
            "",
            f"the first attempt made {len(late)} steps more",
            f"1 end; fenced within {_FENCED_SECONDS:g} s",
            ends == 1 and whole and outcomes == ["lost", "succeeded"] and max(late, default=0) <= _FENCED_SECONDS,
            (f"the lease is {LEASE_SECONDS:g} s",),
            {"ends": ends, "late_steps": len(late)},
        )

    def client_killed(self) -> list[Number]:
        """The client is killed 1 s after the submit."""
        from spot_connect.instance_manager import InstanceManager

        client = subprocess.Popen(
            [sys.executable, "-c", _SUBMIT], cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True
        )
        try:
            told = client.stdout.readline() if client.stdout else ""
            time.sleep(1)
        finally:
            client.kill()
            client.communicate()
        run = InstanceManager(local=True, reporter=Silent()).attach("left", region=REGION)
        left = run.record().counts
        record = run.wait(LONGEST_SECONDS)
        run.close()
        done = record.counts.get("succeeded", 0)
        return [
            Number(
                "the client killed 1 s after the submit",
                f"{done} of 8 jobs succeeded",
                "",
                f"{8 - done} lost",
                "0",
                done == 8 and told == "submitted\n",
                (f"{8 - left.get('succeeded', 0)} had not ended when it was killed",),
                {"succeeded": done},
            )
        ]

    def head_lost(self) -> list[Number]:
        """The head stops for a while, its process is killed, and then its instance."""
        trial = self._trial("headless", [counting(70)] * 9, 4)
        first = self._at_work(trial, 4).head
        trial.signal("STOP", first, HEAD)
        time.sleep(_HEAD_FROZEN_SECONDS)
        trial.signal("CONT", first, HEAD)
        trial.signal("KILL", first, HEAD)
        trial.until("time without a head", lambda record: not record.head)
        second = trial.until("second head", lambda record: record.head and len(running(record)) > 2).head
        trial.kill(second)
        ledger = self._ledger(trial)
        what = f"the head frozen for {_HEAD_FROZEN_SECONDS:g} s, killed, and its instance killed"
        note = f"{len(ledger.terms())} heads: {', '.join(str(one['outcome'] or 'killed') for one in ledger.terms())}"
        return [_once(what, ledger, 70, "steps done twice", note)]

    def asked_without_head(self) -> list[Number]:
        """Jobs are retried and cancelled while nobody is the head."""
        scripts = ["[ $SPOT_CONNECT_ATTEMPT = 2 ]", *[counting(120)] * 6]
        trial = self._trial("asked", scripts, 3)
        record = trial.until(
            "three jobs after the failure", lambda one: one.jobs[0].state == "failed" and len(running(one)) == 3
        )
        under_way = running(record)[0].number
        waiting = next(job.number for job in reversed(record.jobs) if job.state == "waiting")
        trial.signal("KILL", record.head, HEAD)
        trial.run.retry(0)
        trial.run.cancel([under_way, waiting])
        asked = time.time()
        last = self._ended(trial)
        terms = self._ledger(trial).terms()
        told = {
            "the failed one succeeded": last.jobs[0].state == "succeeded" and last.jobs[0].attempts == 2,
            "the one under way stopped": last.jobs[under_way].state == "stopped",
            "the waiting one stopped": last.jobs[waiting].state == "stopped" and not last.jobs[waiting].attempts,
            "all others succeeded": last.counts == {"succeeded": len(scripts) - 2, "stopped": 2},
        }
        gap = terms[0]["last_sign"] < asked < terms[1]["began"]
        return [
            Number(
                "retry and cancel while there is no head",
                ", ".join(words for words, is_so in told.items() if is_so),
                "",
                f"{sum(told.values())} of {len(told)}",
                f"{len(told)}",
                all(told.values()) and gap,
                (f"the next head began {terms[1]['began'] - asked:.1f} s after that",),
                {"honoured": sum(told.values())},
            )
        ]

    def budgets(self) -> list[Number]:
        """A job fails twice and is interrupted five times."""
        fails, most = (2, 5), 8
        script = f"case $SPOT_CONNECT_ATTEMPT in {'|'.join(map(str, fails))}) exit 3;; {most}) exit 0;; esac\n"
        trial = self._trial("budgets", [script + counting(1000), *["true"] * 6], 7, retries=len(fails))
        for attempt in (one for one in range(1, most) if one not in fails):
            record = trial.until(
                f"attempt {attempt}",
                lambda one, wanted=attempt: one.jobs[0].attempts == wanted and one.jobs[0].state == "running",
            )
            trial.notice(record.jobs[0].instance, 6)
        job = self._ended(trial).jobs[0]
        outcomes = self._ledger(trial).outcomes(0)
        return [
            Number(
                "a job that fails twice and is interrupted 5 times, retries=2",
                f"{job.state}; {job.failures} failures, {job.interruptions} interruptions",
                "",
                f"attempts {', '.join(outcomes)}",
                "succeeded; 2 and 5",
                (job.state, job.failures, job.interruptions) == ("succeeded", 2, 5),
                (),
                {"failures": job.failures, "interruptions": job.interruptions},
            )
        ]

    def exit_0(self) -> list[Number]:
        """A job says 0 when it gets SIGTERM."""
        trial = self._trial("exit-0", [counting(60, leaving=0, saves_at_sigterm=True)] * 2, 2)
        [victim] = trial.victims()
        trial.notice(victim.instance, _NOTICE_SECONDS)
        ledger = self._ledger(trial)
        outcomes = ledger.outcomes(victim.number)
        number = _once("`exit 0` in a trap of SIGTERM", ledger, 60, "steps done twice", f"{', '.join(outcomes)}")
        return [number]

    def two_heads(self) -> list[Number]:
        """Two are the head, and an instance is replaced by who stays and by the instances themselves."""
        from spot_connect import sutils

        sutils.create_instance_profile(_ROLE, "AmazonEC2FullAccess", local=True)
        trial = self._trial("two-heads", [counting(60)] * 9, 3, instance_profile=_ROLE)
        with ThreadPoolExecutor(1) as pool:
            stays = pool.submit(trial.run.stay, LONGEST_SECONDS)
            first = self._at_work(trial, 3).head
            trial.signal("STOP", first, HEAD)
            second = trial.until("another head", lambda record: record.head not in ("", first)).head
            trial.signal("CONT", first, HEAD)
            lost = trial.until(
                "job beside the heads", lambda record: [one for one in beside_the_head(record) if one.instance != first]
            )
            victim = next(one for one in beside_the_head(lost) if one.instance not in (first, second))
            trial.notice(victim.instance, 2 * _NOTICE_SECONDS)
            stays.result()
        ledger = self._ledger(trial)
        launched = len(self._launched("two-heads")) - 3
        heads = ", ".join(str(one["outcome"]) for one in ledger.terms())
        return [
            _once("two heads at once", ledger, 60, "steps done twice", f"the heads ended as {heads}"),
            Number(
                "one lost instance, replaced by who stays and by the instances' role",
                f"{launched} launched",
                "",
                f"{launched}",
                "1",
                launched == 1,
                (),
                {"launched": launched},
            ),
        ]

    def _trial(self, name: str, scripts: list[str], instances: int, **settings: object) -> Trial:
        return Trial(self._witness, name, scripts, instances, **settings)

    def _ledger(self, trial: Trial) -> Ledger:
        return trial.ledger(self._ground.home / "trials")

    def _ended(self, trial: Trial) -> JobsRecord:
        return trial.run.wait(LONGEST_SECONDS)

    def _at_work(self, trial: Trial, jobs: int) -> JobsRecord:
        return trial.until(f"{jobs} jobs", lambda record: record.head and len(running(record)) == jobs)

    def _launched(self, prefix: str) -> list[str]:
        """The instances that were ever launched for a run."""
        told = [(one["InstanceId"], one.get("Tags", [])) for one in all_of(self._ground.ec2())]
        wanted = f"{prefix}_"
        return [
            one for one, tags in told if any(tag["Key"] == "Name" and tag["Value"].startswith(wanted) for tag in tags)
        ]


def measure(options: Options) -> list[Number]:
    """A number or more for each thing that happens."""
    from spot_connect.local import service
    from spot_connect.spotted import SpotInstance

    with local_cloud(options) as ground:
        known = service.status()
        if known is None or not known.level.startswith("ns"):
            raise SystemExit("instances can be frozen only where each has processes of its own: --isolation ns")
        witness = SpotInstance(
            "witness", profile="t2.micro", filesystem=FILE_SYSTEM, region=REGION, local=True, reporter=Silent()
        )
        acceptance = Acceptance(ground, witness)
        return [number for wave in acceptance.waves for number in _side_by_side(wave)]


def _side_by_side(rows: tuple[Callable[[], list[Number]], ...]) -> list[Number]:
    with ThreadPoolExecutor(len(rows)) as pool:
        return [number for found in pool.map(_taken, rows) for number in found]


def _taken(row: Callable[[], list[Number]]) -> list[Number]:
    """The numbers; a run that does not come to its end is a goal that was missed."""
    try:
        return row()
    except SpotConnectError as error:
        return [Number(str(row.__doc__).rstrip("."), "", "", str(error), "an end", met=False)]


def _refused(call: Callable[[], None]) -> float:
    """Seconds until the call was refused because of the versions."""
    began = time.monotonic()
    try:
        call()
    except VersionsDiffer:
        return time.monotonic() - began
    raise SystemExit("functions of another Python were taken")


def _between(label: str, began: Iterable[float], ended: Iterable[float]) -> Sample:
    return Sample(label, tuple(end - begin for begin, end in zip(began, ended, strict=True)))


def _once(what: str, ledger: Ledger, steps: int, twice: str, note: str = "") -> Number:
    """Whether every job has ended well, and none of its steps was done again."""
    lost, repeated = ledger.lost(steps), ledger.repeated
    jobs = len(ledger.steps)
    return Number(
        what.rstrip("."),
        f"{jobs - lost} of {jobs} jobs succeeded",
        "",
        f"{lost} lost, {repeated} {twice}",
        "0, 0",
        not lost and not repeated,
        (note,) if note else (),
        {"lost": lost, "repeated": repeated},
    )


if __name__ == "__main__":
    sys.exit(as_script(__doc__, measure))
