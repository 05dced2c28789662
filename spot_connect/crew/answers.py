"""What the caller's side asks about distributed jobs over SSH, beside what it asks about runs."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spot_connect.crew import enlisting
from spot_connect.crew.batch import Batch, directory, everything, find, reopen, row
from spot_connect.crew.capacity import DISMISSED, Capacity
from spot_connect.interruption import files
from spot_connect.interruption.__main__ import UNKNOWN, show_log, start_watching
from spot_connect.interruption.ledger import Run, base, home
from spot_connect.interruption.metadata import Metadata

_FRESH_SECONDS = 10.0
_OF_THE_JOBS = ("retries", "max_interruptions", "timeout", "on_interrupt", "on_rebalance", "upload_path")


def make(asked: dict[str, Any]) -> int:
    """Make the jobs' directory under a name that nobody looks at, and tell where. Scripts come on standard input."""
    where = base() if asked["spec"]["shared"] else home()
    batch = Batch(_staging(where, asked["run"]))
    shutil.rmtree(batch.directory, ignore_errors=True)
    (batch.directory / "jobs").mkdir(mode=0o700, parents=True)
    secret = batch.directory / "tls.pem"
    secret.touch(mode=0o600)
    secret.write_text(asked["tls"])
    texts = [(name, sys.stdin.buffer.read(size)) for name, size in asked["scripts"]]
    for number, job in enumerate(asked["jobs"]):
        _make_job(batch.job(number), job, [texts[index] for index in job["scripts"]], asked["spec"])
    files.write(batch.directory / "spec.json", {**asked["spec"], "jobs": len(asked["jobs"]), "created": time.time()})
    return _tell({"directory": str(batch.directory)})


def submit(asked: dict[str, Any]) -> int:
    """Put the directory in its place: from now on the jobs exist. Asked for twice it is done once."""
    for where in (base(), home()):
        if _staging(where, asked["run"]).exists():
            _staging(where, asked["run"]).rename(directory(where, asked["run"]))
    batch = find(asked["run"])
    return UNKNOWN if batch is None else _tell({"directory": str(batch.directory)})


def begin(asked: dict[str, Any]) -> int:
    """Write down the machines that the run begins with, and how others are asked for; those start from our program."""
    batch = find(asked["run"])
    if batch is None:
        return UNKNOWN
    if asked["order"]:
        program = Path(sys.path[0])
        programs = base() / "programs"
        programs.mkdir(exist_ok=True)
        fresh = programs / f".{program.name}.{asked['instance']}"
        shutil.copyfile(program, fresh)
        fresh.rename(programs / program.name)
    Capacity(batch).begin(asked["machines"], asked["order"])
    return 0


def wanted(asked: dict[str, Any]) -> int:
    """What machines are wanted in the place of others, after what the caller knows of those that are gone.

    What the caller has launched is told in ``placed``, and so is the answer: in each place the machine that counts.
    """
    batch = find(asked["run"])
    if batch is None:
        return UNKNOWN
    capacity = Capacity(batch)
    for instance, why in asked["gone"].items():
        if why == DISMISSED:
            capacity.say_dismissed(instance)
        else:
            capacity.say_gone(instance, why)
    placed = {lost: capacity.say_placed(lost, machine) for lost, machine in asked["placed"].items()}
    told = status(batch)
    left = sum(one["ended"] is None for one in told["jobs"])
    return _tell({"wanted": capacity.wanted(left, told["workers"]), "placed": placed})


def join(asked: dict[str, Any]) -> int:
    """Have this machine work for the jobs until they have ended; one that starts by itself finds out who it is."""
    instance = str(asked.get("instance") or Metadata().get("instance-id"))
    home().mkdir(mode=0o700, exist_ok=True)
    start_watching(instance)
    enlisting.start({**asked, "instance": instance})
    return 0


def head(asked: dict[str, Any]) -> int:
    """Where the head listens; nothing while there is none."""
    batch = find(asked["run"])
    term = batch.term() if batch else None
    return _tell({"address": (term.start().get("address") or "") if term else ""})


def list_batches(asked: dict[str, Any]) -> int:
    """All jobs that this machine can see."""
    for batch in everything():
        _tell(status(batch))
    return 0


def show(asked: dict[str, Any]) -> int:
    """What is known of the jobs."""
    batch = find(asked["run"])
    return UNKNOWN if batch is None else _tell(status(batch))


def outputs(asked: dict[str, Any]) -> int:
    """What jobs have left as results: the number of each, and the path."""
    batch = find(asked["run"])
    if batch is None:
        return UNKNOWN
    left = [[int(job.id), str(path)] for job in batch.jobs() for path in sorted((job.directory / "out").iterdir())]
    return _tell({"paths": left})


def log(asked: dict[str, Any]) -> int:
    """What a job has written, from byte ``offset`` on, until the attempt has ended or, unless ``more``, to its end."""
    batch = find(asked["run"])
    if batch is None or not batch.job(asked["job"]).directory.exists():
        return UNKNOWN
    job = batch.job(asked["job"])
    return show_log(job, asked, lambda attempt: attempt.end() is not None or job.end() is not None)


def stop(asked: dict[str, Any]) -> int:
    """Ask the jobs of those numbers to stop; all of them, and for good, without numbers."""
    batch = find(asked["run"])
    if batch is None:
        return UNKNOWN
    if asked.get("jobs") is None:
        batch.ask_to_stop()
    for number in asked.get("jobs") or ():
        batch.job(number).ask_to_stop()
    batch.say_changed()
    return _tell(status(batch))


def retry(asked: dict[str, Any]) -> int:
    """Try jobs again that have failed or were stopped, with all their budgets anew; those that succeeded stay."""
    batch = find(asked["run"])
    if batch is None:
        return UNKNOWN
    for job in (batch.job(number) for number in asked["jobs"]):
        if (job.end() or {}).get("outcome") not in (None, "succeeded"):
            reopen(job)
    batch.say_changed()
    if batch.end() is not None:
        reopen(batch)
    return _tell(status(batch))


def close(asked: dict[str, Any]) -> int:
    """Have the machines end themselves; jobs that have not ended are stopped."""
    batch = find(asked["run"])
    if batch is None:
        return UNKNOWN
    batch.ask_to_stop()
    batch.ask_to_close()
    return 0


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
        "directory": str(batch.directory),
        "head": term.start().get("instance") if term else None,
        "members": batch.members(),
        "workers": known.get("workers") or [],
        "why": end.get("why") or "",
        "cost": known.get("cost"),
        "gone": len(Capacity(batch).gone()),
        "capacity": known.get("capacity") or "",
        "order": Capacity(batch).order(),
        "jobs": rows,
    }


def _member(asked: dict[str, Any]) -> int:
    # dask is imported only where it is needed, and there.
    from spot_connect.crew.member import serve

    return serve(asked)


def _lead(asked: dict[str, Any]) -> int:
    from spot_connect.crew.head import lead

    return lead(asked)


VERBS: dict[str, Callable[[dict[str, Any]], int]] = {
    "jobs-make": make,
    "jobs-submit": submit,
    "jobs-begin": begin,
    "jobs-wanted": wanted,
    "jobs-join": join,
    "jobs-head": head,
    "jobs-list": list_batches,
    "jobs-show": show,
    "jobs-outputs": outputs,
    "jobs-log": log,
    "jobs-stop": stop,
    "jobs-retry": retry,
    "jobs-close": close,
    "jobs-enlist": enlisting.enlist,
    "jobs-member": _member,
    "jobs-lead": _lead,
}


def _staging(where: Path, run_id: str) -> Path:
    return directory(where, f".{run_id}")


def _make_job(job: Run, asked: dict[str, Any], texts: list[tuple[str, bytes]], spec: dict[str, Any]) -> None:
    for name in ("scripts", "state", "out"):
        (job.directory / name).mkdir(parents=True)
    for index, (name, text) in enumerate(texts):
        path = job.directory / "scripts" / f"{index}-{name}"
        path.write_bytes(text)
        path.chmod(0o700)
    limits = {key: spec[key] for key in _OF_THE_JOBS}
    files.write(job.directory / "spec.json", {**limits, "title": asked["title"], "environment": asked["environment"]})


def _tell(record: dict[str, Any]) -> int:
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()
    return 0
