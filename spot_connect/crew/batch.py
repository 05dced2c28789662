"""Many jobs that run together, as files: the directory is the only record.

::

    <base>/jobs/<run>/
        spec.json       what was asked for (the directory is renamed into place: it is there, or it is not)
        tls.pem         with this key and certificate the machines of the run know each other
        answers.key     with this key calls of Python functions and their answers are authenticated, where there are any
        jobs/00000/     each job is a run of its own; see spot_connect.interruption.ledger
        head/attempts/  one for each time that somebody became the head: mkdir is the claim, as for an attempt at a run
        members/        one file for each machine that has joined
        status.json     what the head knows, written again and again
        changed         somebody has changed a job behind the head's back
        close           nobody needs the machines any more
        visit           somebody has asked for the way to the head, and may be on it
        (machines, orders: see spot_connect.crew.capacity)
        stop end.json   as for a run
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from spot_connect.interruption import files
from spot_connect.interruption.ledger import FAILURES, INTERRUPTIONS, SILENT_SECONDS, Attempt, Run, base, home

KEY_FILE = "answers.key"
HEAD_LEASE_SECONDS = 15.0
"""After this long without a heartbeat, another machine becomes the head."""


class Batch(Run):
    """The directory of jobs that run together."""

    def job(self, number: int) -> Run:
        """The job of that number."""
        return Run(self.directory / "jobs" / f"{number:05d}")

    def jobs(self) -> list[Run]:
        """All jobs, in order."""
        return [Run(path) for path in sorted((self.directory / "jobs").iterdir())]

    @property
    def head(self) -> Run:
        """The terms of its heads, as attempts."""
        return Run(self.directory / "head")

    def term(self) -> Attempt | None:
        """The term of whoever is the head now; ``None`` when nobody is."""
        terms = self.head.attempts()
        if not terms or terms[-1].end() is not None:
            return None
        return terms[-1] if time.time() - terms[-1].last_sign() < HEAD_LEASE_SECONDS else None

    @property
    def lease(self) -> float:
        """After this long without a heartbeat, an attempt at a job is lost."""
        return float(self.spec.get("lease") or SILENT_SECONDS)

    @property
    def is_shared(self) -> bool:
        """Whether all machines see this directory; else each has its own, and jobs travel."""
        return bool(self.spec.get("shared"))

    def answers_key(self) -> bytes:
        """The key of calls and their answers; empty where jobs are scripts."""
        path = self.directory / KEY_FILE
        return bytes.fromhex(path.read_text()) if path.exists() else b""

    def say_changed(self) -> None:
        """Have the head look at every job again."""
        files.write(self.directory / "changed", {"time": time.time()})

    def end_early(self, why: str) -> None:
        """Have every job end: the run has reached a limit."""
        files.write_first(self.directory / "stop", {"time": time.time(), "why": why})

    def why_it_stops(self) -> str:
        """The limit that the run has reached; empty where somebody stops it."""
        return str((files.read(self.directory / "stop") or {}).get("why") or "")

    def ask_to_close(self) -> None:
        """Have every machine end itself once it has nothing to do."""
        files.write_first(self.directory / "close", {"time": time.time()})

    def is_to_close(self) -> bool:
        """Whether somebody asked for that."""
        return (self.directory / "close").exists()

    def announce_visit(self) -> None:
        """Have the head wait a while for a client that has asked for the way."""
        files.write(self.directory / "visit", {"time": time.time()})

    def visit_announced(self) -> float:
        """When a client has last asked for the way, as Unix time; 0 when none has."""
        return float((files.read(self.directory / "visit") or {}).get("time") or 0.0)

    def sign_up(self, instance: str, **details: Any) -> None:
        """The machine has joined, or says what keeps it from that."""
        (self.directory / "members").mkdir(mode=0o700, exist_ok=True)
        files.write(self.directory / "members" / f"{instance}.json", {"instance": instance, **details})

    def members(self) -> list[dict[str, Any]]:
        """Every machine that has signed up."""
        found = [files.read(path) for path in sorted((self.directory / "members").glob("*.json"))]
        return [one for one in found if one]


def reopen(run: Run) -> None:
    """Take back that it has ended, and what was spent on it. How it had ended is kept."""
    spec, outcomes = run.spec, run.outcomes()
    retries = int(spec.get("granted") or spec.get("retries") or 0)
    budgets = {"retries": sum(outcome in FAILURES for outcome in outcomes) + retries, "granted": retries}
    if spec.get("max_interruptions") is not None:
        most = int(spec.get("tolerated") or spec["max_interruptions"])
        interruptions = sum(outcome in INTERRUPTIONS for outcome in outcomes)
        budgets.update(max_interruptions=interruptions + most, tolerated=most)
    files.write(run.directory / "spec.json", {**spec, **budgets})
    for name in ("stop", "end.json"):
        path = run.directory / name
        if path.exists():
            path.rename(path.with_name(f"{name}.{int(time.time())}"))


def row(job: Run, title: str = "") -> dict[str, Any]:
    """What is known of a job, for tables; its title need not be read where it is known."""
    attempts = job.attempts()
    outcomes = [str((one.end() or {}).get("outcome") or "") for one in attempts]
    begun = [one.start() for one in dict.fromkeys((attempts[0], attempts[-1]))] if attempts else []
    end = job.end() or {}
    under_way = bool(outcomes) and not outcomes[-1]
    return {
        "job": int(job.id),
        "title": title or job.spec.get("title"),
        "state": end.get("outcome") or ("running" if under_way else "waiting"),
        "exit_code": end.get("exit_code"),
        "why": end.get("why") or "",
        "attempts": len(attempts),
        "outcome": outcomes[-1] if outcomes else "",
        "failures": sum(outcome in FAILURES for outcome in outcomes),
        "interruptions": sum(outcome in INTERRUPTIONS for outcome in outcomes),
        "instance": begun[-1].get("instance") if begun else None,
        "began": begun[0].get("time") if begun else None,
        "ended": end.get("ended"),
    }


def slots_of(asked: int) -> int:
    """How many slots this machine has when so many were asked for; 0 asks for one for each CPU."""
    return int(asked) or os.cpu_count() or 1


def directory(where: Path, run_id: str) -> Path:
    """The directory of the jobs with that id, below one of the bases."""
    return where / "jobs" / run_id


def find(run_id: str) -> Batch | None:
    """The jobs with that id, where this machine can see them."""
    for where in (base(), home()):
        if (directory(where, run_id) / "spec.json").exists():
            return Batch(directory(where, run_id))
    return None


def everything() -> list[Batch]:
    """All jobs that this machine can see, oldest first."""
    found = {path.name: Batch(path) for where in (home(), base()) for path in (where / "jobs").glob("[!.]*")}
    return [found[run_id] for run_id in sorted(found)]
