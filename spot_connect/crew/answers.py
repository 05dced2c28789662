"""What the caller's side asks about distributed jobs over SSH, beside what it asks about runs."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spot_connect.crew import asking, door, enlisting
from spot_connect.crew.batch import directory, everything, find
from spot_connect.crew.capacity import DISMISSED, Capacity
from spot_connect.interruption.__main__ import UNKNOWN, handed_in, show_log, start_watching
from spot_connect.interruption.ledger import base, home
from spot_connect.interruption.metadata import Metadata


def make(asked: dict[str, Any]) -> int:
    """Make the jobs' directory under a name that nobody looks at, and tell where. Scripts come on standard input."""
    texts = [(name, handed_in(size)) for name, size in asked["scripts"]]
    batch = asking.made(base() if asked["spec"]["shared"] else home(), asked, texts)
    return _tell({"directory": str(batch.directory)})


def submit(asked: dict[str, Any]) -> int:
    """Put the directory in its place: from now on the jobs exist. Asked for twice it is done once."""
    for where in (base(), home()):
        if asking.staging(where, asked["run"]).exists():
            asking.staging(where, asked["run"]).rename(directory(where, asked["run"]))
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
    told = asking.status(batch)
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
        _tell(asking.status(batch))
    return 0


def log(asked: dict[str, Any]) -> int:
    """What a job has written, from byte ``offset`` on, until the attempt has ended or, unless ``more``, to its end."""
    batch = find(asked["run"])
    if batch is None or not batch.job(asked["job"]).directory.exists():
        return UNKNOWN
    job = batch.job(asked["job"])
    return show_log(job, asked, lambda attempt: attempt.end() is not None or job.end() is not None)


def _member(asked: dict[str, Any]) -> int:
    # dask is imported only where it is needed, and there.
    from spot_connect.crew.member import serve

    return serve(asked)


def _lead(asked: dict[str, Any]) -> int:
    from spot_connect.crew.head import lead

    return lead(asked)


def _about(verb: str) -> Callable[[dict[str, Any]], int]:
    """The verb that asks this question about jobs which this machine may not know."""

    def answer(asked: dict[str, Any]) -> int:
        batch = find(asked["run"])
        return UNKNOWN if batch is None else _tell(asking.QUESTIONS[verb](batch, asked))

    return answer


VERBS: dict[str, Callable[[dict[str, Any]], int]] = {
    **{verb: _about(verb) for verb in asking.QUESTIONS},
    "jobs-make": make,
    "jobs-submit": submit,
    "jobs-begin": begin,
    "jobs-wanted": wanted,
    "jobs-join": join,
    "jobs-head": head,
    "jobs-list": list_batches,
    "jobs-log": log,
    "jobs-door": door.show,
    "jobs-python": door.python,
    "jobs-enlist": enlisting.enlist,
    "jobs-member": _member,
    "jobs-lead": _lead,
}


def _tell(record: dict[str, Any]) -> int:
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()
    return 0
