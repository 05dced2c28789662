"""What is known of a run, as files: the directory is the only record, and outlives the machine on a file system.

::

    <base>/runs/<instance name>/<run>/
        spec.json           what was asked for (the directory is renamed into place: it is there, or it is not)
        scripts/0-train.sh  what runs, in order
        in/                 files that every attempt finds at its machine's ``upload_path``
        state/              for checkpoints; every attempt finds what the last one left
        out/                results
        done/0              the script of that number has ended well
        attempts/0001/      made by whoever begins the attempt: mkdir is the claim
            start.json log errors heartbeat handover end.json
        stop                somebody wants it to stop
        end.json            how the run ended; the first writer wins
"""

from __future__ import annotations

import shutil
import time
import urllib.parse
from pathlib import Path
from typing import Any, Iterable  # noqa: UP035 - the same text runs on Python 3.7

from spot_connect.interruption import files

#: By state, the states that may follow. ``waiting``: no attempt runs, and none has failed.
TRANSITIONS = {
    "waiting": ("running", "stopped"),
    "running": ("interrupted", "lost", "succeeded", "failed", "stopped"),
    "interrupted": ("running", "stopped"),
    "lost": ("running", "stopped"),
    "succeeded": (),
    "failed": (),
    "stopped": (),
}
ENDED = tuple(state for state, following in TRANSITIONS.items() if not following)
FAILURES = ("failed", "timed-out")
"""How an attempt ends that counts against ``retries``."""
INTERRUPTIONS = ("interrupted", "lost", "fenced")
"""How an attempt ends that counts against ``max_interruptions``."""
SILENT_SECONDS = 60.0
"""After this long without a heartbeat, an attempt on another machine is taken for dead."""


def home() -> Path:
    """Where this machine's own files are: hooks, notices, logs being written."""
    return Path.home() / ".spot-connect"


def base() -> Path:
    """Where runs are kept: on the file system at ``~/efs`` if one is mounted, else on this machine alone."""
    shared = Path.home() / "efs"
    return shared / ".spot-connect" if _is_mounted(shared) else home()


def _is_mounted(place: Path) -> bool:
    # Without namespaces the local cloud mounts by a link.
    if place.is_symlink():
        return place.is_dir()
    # The kernel's own list: a directory bound from the same disk looks like no mount point (os.path.ismount).
    wanted = str(place).replace(" ", "\\040")
    with Path("/proc/self/mountinfo").open() as mounts:
        return any(line.split()[4] == wanted for line in mounts)


def spool(run: Run) -> Path:
    """Where scripts of a run that is kept elsewhere write: this machine's own disk neither hangs nor fills up there."""
    return home() / "spool" / run.id


def _is_number(name: str) -> bool:
    """Whether it is a number as it is written here; Python takes other scripts' digits for some, too."""
    return name.isascii() and name.isdigit() and len(name) < 10


class Attempt:
    """One machine's try at a run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.number = int(directory.name)

    @property
    def log(self) -> Path:
        """What it wrote."""
        return self.directory / "log"

    @property
    def errors(self) -> Path:
        """What it wrote to standard error, where somebody wants it apart."""
        return self.directory / "errors"

    def start(self) -> dict[str, Any]:
        """Where and when it began; empty while it is beginning."""
        return files.read(self.directory / "start.json") or {}

    def end(self) -> dict[str, Any] | None:
        """How it ended; ``None`` while nobody has said."""
        return files.read(self.directory / "end.json")

    def close(self, outcome: str, **details: Any) -> bool:
        """Say how it ended; ``False`` when somebody has before."""
        record = {"outcome": outcome, "ended": time.time(), **details}
        return files.write_first(self.directory / "end.json", record)

    def say(self, lines: Iterable[str]) -> None:
        """Add lines of ours to what it wrote."""
        own = [f"spot-connect: {line}\n" for line in lines]
        if own:
            with self.log.open("a", encoding="utf-8", errors="backslashreplace") as log:
                log.writelines(own)

    def beat(self, count: int) -> None:
        """Show that it lives; the content changes, which a network file system cannot hide."""
        files.write(self.directory / "heartbeat", {"count": count, "time": time.time()})

    def ask_to_hand_over(self) -> None:
        """Another machine is ready to go on, so this attempt is to end now, as at a notice."""
        files.write_first(self.directory / "handover", {"time": time.time()})

    def is_to_hand_over(self) -> bool:
        """Whether somebody asked for that."""
        return (self.directory / "handover").exists()

    def last_sign(self) -> float:
        """When it last showed that it lives, by its own machine's clock; when it was claimed, as long as it has not."""
        beat = files.read(self.directory / "heartbeat") or self.start()
        sign = beat.get("time")
        return float(sign) if isinstance(sign, (int, float)) and sign else self._claimed()

    def _claimed(self) -> float:
        try:
            return self.directory.stat().st_mtime
        except FileNotFoundError:
            return 0.0


class Run:
    """A run's directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.id = directory.name

    @property
    def spec(self) -> dict[str, Any]:
        """What was asked for."""
        return files.read(self.directory / "spec.json") or {}

    @property
    def state_directory(self) -> Path:
        """Where its checkpoints are."""
        return self.directory / "state"

    def scripts(self) -> list[Path]:
        """What runs, in order."""
        found = [path for path in (self.directory / "scripts").iterdir() if _is_number(path.name.partition("-")[0])]
        return sorted(found, key=lambda path: int(path.name.partition("-")[0]))

    def attempt(self, number: int) -> Attempt:
        """The attempt of that number."""
        return Attempt(self.directory / "attempts" / f"{number:04d}")

    def attempts(self) -> list[Attempt]:
        """Its attempts, oldest first."""
        try:
            names = sorted(path.name for path in (self.directory / "attempts").iterdir() if _is_number(path.name))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [Attempt(self.directory / "attempts" / name) for name in names]

    def claim(self, number: int) -> Attempt | None:
        """The attempt of that number, ours alone; ``None`` when another machine or process was first."""
        attempt = self.attempt(number)
        try:
            attempt.directory.mkdir(parents=True)
        except FileExistsError:
            return None
        return attempt

    def is_done(self, index: int) -> bool:
        """Whether the script of that number has ended well."""
        return (self.directory / "done" / str(index)).exists()

    def mark_done(self, index: int) -> None:
        """The script of that number has ended well; no attempt runs it again."""
        (self.directory / "done").mkdir(exist_ok=True)
        files.write_first(self.directory / "done" / str(index), {"time": time.time()})

    def ask_to_stop(self, *, interrupt: bool = False) -> None:
        """Whoever runs it ends it soon, as Ctrl-C does if it is to ``interrupt``."""
        files.write_first(self.directory / "stop", {"time": time.time(), "interrupt": interrupt})

    def is_to_stop(self) -> bool:
        """Whether somebody asked for that."""
        return (self.directory / "stop").exists()

    def is_to_interrupt(self) -> bool:
        """Whether who asked for that meant Ctrl-C."""
        return bool((files.read(self.directory / "stop") or {}).get("interrupt"))

    def end(self) -> dict[str, Any] | None:
        """How it ended; ``None`` while it has not."""
        return files.read(self.directory / "end.json")

    def finish(self, outcome: str, exit_code: int | None, why: str = "") -> bool:
        """Say how it ended; ``False`` when somebody has before."""
        record = {"outcome": outcome, "exit_code": exit_code, "why": why, "ended": time.time()}
        return files.write_first(self.directory / "end.json", record)

    def settle(self, outcome: str, exit_code: int | None, why: str = "") -> None:
        """After an attempt that ended so, and why: end the run, unless another attempt is to follow."""
        if outcome in ("succeeded", "stopped"):
            self.finish(outcome, exit_code)
            return
        spent = self._spent()
        if spent:
            self.finish("failed", exit_code, why or spent)

    def outcomes(self) -> list[str]:
        """How its attempts ended, oldest first; empty for one that goes on."""
        return [str((one.end() or {}).get("outcome") or "") for one in self.attempts()]

    def _spent(self) -> str:
        """Why no other attempt may follow; empty when one may."""
        spec, outcomes = self.spec, self.outcomes()
        failures = sum(outcome in FAILURES for outcome in outcomes)
        interruptions = sum(outcome in INTERRUPTIONS for outcome in outcomes)
        if failures > int(spec.get("retries") or 0):
            return next(outcome for outcome in reversed(outcomes) if outcome in FAILURES)
        most = spec.get("max_interruptions")
        return f"interrupted {interruptions} times" if most is not None and interruptions > int(most) else ""

    def forget(self) -> None:
        """Remove it, as one step for all who look."""
        hidden = self.directory.with_name(f".{self.id}.forgotten")
        try:
            self.directory.rename(hidden)
        except FileNotFoundError:
            return
        shutil.rmtree(hidden, ignore_errors=True)
        shutil.rmtree(spool(self), ignore_errors=True)


def directory_of(name: str, where: Path) -> Path:
    """The directory of the runs of the instance called ``name``, below one of the bases."""
    return where / "runs" / urllib.parse.quote(name, safe=" ")


def find(name: str, run_id: str = "") -> Run | None:
    """The run with that id, or the newest; ``None`` when there is none."""
    found = all_runs(name)
    if run_id:
        return next((run for run in found if run.id == run_id), None)
    return found[-1] if found else None


def all_runs(name: str) -> list[Run]:
    """The runs of the instance called ``name``, oldest first; those begun before a file system was mounted, too."""
    found = {run.id: run for where in (home(), base()) for run in _runs_in(directory_of(name, where))}
    return [found[run_id] for run_id in sorted(found)]


def _runs_in(directory: Path) -> list[Run]:
    try:
        return [Run(path) for path in directory.iterdir() if not path.name.startswith(".")]
    except FileNotFoundError:
        return []
