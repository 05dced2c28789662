"""What may be asked about jobs that run together."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spot_connect.crew.batch import KEY_FILE, Batch, directory, reopen, row
from spot_connect.crew.capacity import Capacity
from spot_connect.interruption import files
from spot_connect.interruption.ledger import Run

_FRESH_SECONDS = 10.0
_OF_THE_JOBS = ("retries", "max_interruptions", "timeout", "on_interrupt", "on_rebalance", "upload_path")


def made(where: Path, asked: dict[str, Any], texts: list[tuple[str, bytes]]) -> Batch:
    """The jobs' directory below ``where``, made anew under a name that nobody looks at."""
    batch = Batch(staging(where, asked["run"]))
    shutil.rmtree(batch.directory, ignore_errors=True)
    (batch.directory / "jobs").mkdir(mode=0o700, parents=True)
    for name, secret in (("tls.pem", asked["tls"]), (KEY_FILE, asked["key"])):
        if secret:
            (batch.directory / name).touch(mode=0o600)
            (batch.directory / name).write_text(secret)
    for number, job in enumerate(asked["jobs"]):
        _make_job(batch.job(number), job, [texts[index] for index in job["scripts"]], asked["spec"])
    files.write(batch.directory / "spec.json", {**asked["spec"], "jobs": len(asked["jobs"]), "created": time.time()})
    return batch


def staging(where: Path, run_id: str) -> Path:
    """Where the directory is until it is whole."""
    return directory(where, f".{run_id}")


def status(batch: Batch) -> dict[str, Any]:
    """What the head has written last, or what the files say when nobody has for a while."""
    end = batch.end() or {}
    known = files.read(batch.directory / "status.json") or {}
    is_fresh = end or time.time() - float(known.get("time") or 0.0) < _FRESH_SECONDS
    rows = known["jobs"] if "jobs" in known and is_fresh else [row(job) for job in batch.jobs()]
    spec = batch.spec
    term = batch.term()
    return {
        "run": batch.id,
        "name": spec.get("name"),
        "state": end.get("outcome") or ("running" if term else "waiting"),
        "created": spec.get("created"),
        "ended": end.get("ended"),
        "shared": batch.is_shared,
        "calls": (batch.directory / KEY_FILE).exists(),
        "directory": str(batch.directory),
        "head": term.start().get("instance") if term else None,
        "members": batch.members(),
        "workers": known.get("workers") or [],
        "why": end.get("why") or "",
        "cost": known.get("cost"),
        "gone": len(Capacity(batch).gone()),
        "capacity": known.get("capacity") or "",
        "order": Capacity(batch).order(),
        "clients": 0 if end else known.get("clients") or 0,
        "jobs": rows,
    }


def _status(batch: Batch, _: dict[str, Any]) -> dict[str, Any]:
    return status(batch)


def _outputs(batch: Batch, _: dict[str, Any]) -> dict[str, Any]:
    """What jobs have left as results: the number of each, and the path."""
    return {"paths": [[int(job.id), str(path)] for job in batch.jobs() for path in sorted(_out(job).iterdir())]}


def _key(batch: Batch, _: dict[str, Any]) -> dict[str, Any]:
    """What the answers are authenticated with."""
    return {"key": batch.answers_key().hex()}


def _stop(batch: Batch, asked: dict[str, Any]) -> dict[str, Any]:
    """Ask the jobs of those numbers to stop; all of them, and for good, without numbers."""
    if asked.get("jobs") is None:
        batch.ask_to_stop()
    for number in asked.get("jobs") or ():
        batch.job(number).ask_to_stop()
    batch.say_changed()
    return status(batch)


def _retry(batch: Batch, asked: dict[str, Any]) -> dict[str, Any]:
    """Try jobs again that have failed or were stopped, with all their budgets anew; those that succeeded stay."""
    for job in (batch.job(number) for number in asked["jobs"]):
        if (job.end() or {}).get("outcome") not in (None, "succeeded"):
            reopen(job)
    batch.say_changed()
    if batch.end() is not None:
        reopen(batch)
    return status(batch)


def _close(batch: Batch, _: dict[str, Any]) -> dict[str, Any]:
    """Have the machines end themselves; jobs that have not ended are stopped."""
    batch.ask_to_stop()
    batch.ask_to_close()
    return {}


QUESTIONS: dict[str, Callable[[Batch, dict[str, Any]], dict[str, Any]]] = {
    "jobs-show": _status,
    "jobs-outputs": _outputs,
    "jobs-key": _key,
    "jobs-stop": _stop,
    "jobs-retry": _retry,
    "jobs-close": _close,
}


def _out(job: Run) -> Path:
    return job.directory / "out"


def _make_job(job: Run, asked: dict[str, Any], texts: list[tuple[str, bytes]], spec: dict[str, Any]) -> None:
    for name in ("scripts", "state", "out"):
        (job.directory / name).mkdir(parents=True)
    for index, (name, text) in enumerate(texts):
        path = job.directory / "scripts" / f"{index}-{name}"
        path.write_bytes(text)
        path.chmod(0o700)
    limits = {key: spec[key] for key in _OF_THE_JOBS}
    files.write(job.directory / "spec.json", {**limits, "title": asked["title"], "environment": asked["environment"]})
