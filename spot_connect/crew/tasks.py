"""What the head asks of a member: one attempt at one job."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from threading import Lock
from typing import IO, cast

from distributed import get_worker

from spot_connect.crew.archives import pack, unpack
from spot_connect.crew.batch import Batch
from spot_connect.interruption.ledger import Run

PROGRAM = str(Path(__file__).resolve().parents[2])
"""The program as files. It cannot be read from ``sys.path``, because dask puts a directory of its own there."""


class KeeperLost(Exception):
    """The process that kept the job has ended before it."""


class Keeper:
    """The process that runs the jobs of one slot, one after the other. It outlives this process, with its job."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._turn = Lock()
        self._process: subprocess.Popen[str] | None = None
        self._job = Path()

    @property
    def is_busy(self) -> bool:
        """Whether a job runs."""
        return self._turn.locked()

    def attempt(self, directory: Path, number: int) -> None:
        """Make the attempt, to its end, unless somebody else makes it.

        Raises:
            KeeperLost: how it ended is not known.
        """
        with self._turn:
            self._job = directory
            asked, answers = self._lines()
            asked.write(json.dumps({"directory": str(directory), "number": number}) + "\n")
            asked.flush()
            if not answers.readline():
                raise KeeperLost(f"attempt {number} at {directory}")

    def abandon(self) -> None:
        """Stop the job that runs, because nobody would hear of its end."""
        if self.is_busy and self._job.exists():
            (self._job / "stop").touch()

    def dismiss(self) -> None:
        """Let it go once it has nothing to do."""
        if self._process and self._process.stdin:
            self._process.stdin.close()

    def _lines(self) -> tuple[IO[str], IO[str]]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, PROGRAM, "keep"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
            )  # fmt: skip
            cast("IO[str]", self._process.stdin).write(json.dumps({"instance": self._instance}) + "\n")
        return cast("IO[str]", self._process.stdin), cast("IO[str]", self._process.stdout)


keepers: dict[str, Keeper] = {}
"""The keeper of each slot, by the name of its dask worker."""


def attempt(directory: str, number: int) -> None:
    """Make an attempt at a job that lies where every machine sees it."""
    keepers[get_worker().name].attempt(Path(directory), number)


def attempt_sent(directory: str, job: str, number: int, packed: bytes) -> bytes:
    """Make an attempt at a job that came here, and send back what has become of it."""
    place = _sent(directory, job)
    shutil.rmtree(place, ignore_errors=True)
    left_out = unpack(packed, place)
    keepers[get_worker().name].attempt(place, number)
    Run(place).attempt(number).say(left_out)
    answer = pack(place, leave=("in", "scripts"))
    shutil.rmtree(place)
    return answer


def stop_sent(directory: str, job: str) -> None:
    """Ask a job that came here to stop."""
    place = _sent(directory, job)
    if place.exists():
        (place / "stop").touch()


def finish_sent(directory: str, outcome: str) -> None:
    """Tell a member without the common directory that it is over."""
    Batch(Path.home() / directory).finish(outcome, None)


def _sent(directory: str, job: str) -> Path:
    # The head's own machine keeps the jobs' directory beside it.
    return Path.home() / directory / "sent" / job
