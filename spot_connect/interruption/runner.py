"""One attempt at a run: start its scripts, keep what they write, and hand the run back when the machine is taken away.

The clock of an interruption with ``d`` seconds from the notice to the end::

    0       the hook, if there is one (it may take until 3/4 of d); the script goes on meanwhile
    d/4     SIGTERM to the script, or when the hook has ended if that is later; a short script may just end before.
            Sooner when another machine is ready and the script listens for SIGTERM: it can save, and go on there
    -m      SIGKILL, m = a twelfth of d before the end; log and record are flushed; the attempt is ``interrupted``
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from spot_connect.interruption import files, hooks, modes
from spot_connect.interruption.ledger import Attempt, Run
from spot_connect.interruption.log import Log

REQUEUE = 75
"""With this status a script that has seen the notice says: not finished, go on elsewhere (EX_TEMPFAIL)."""
_NOT_RUNNABLE, _NOT_FOUND = 126, 127
_OUR_ERROR = 70  # EX_SOFTWARE
_TICK = 0.1
_BEAT_SECONDS = 5.0
_STOP_SECONDS = 10.0
_INT_SECONDS = 2.0
HANDOVER_SECONDS = 60.0
_AGAIN_SECONDS = 2.0
_SOFT, _MARGIN = 1 / 4, 1 / 12
_HOOK_ENDS_SECONDS = 1.0


class Runner:
    """Works through the scripts of a run in one attempt."""

    def __init__(self, run: Run, attempt: Attempt, instance: str) -> None:
        self._run = run
        self._attempt = attempt
        self._instance = instance
        self._spec = run.spec
        self._log = Log(run, attempt, apart=bool(self._spec.get("caller")))
        self._began = time.monotonic()
        self._patience = float(self._spec.get("timeout") or "inf")
        self._beats = 0
        self._ending = ""
        self._int_at = float("inf")
        self._kill_at = float("inf")
        self._term_at = float("inf")
        self._hook: threading.Thread | None = None
        self._hook_until = 0.0
        self._group = 0
        self._terminated = False
        self._rebalanced = False

    def work(self) -> None:
        """Run every script that is not done, in order; the outcome is in the ledger afterwards."""
        last = ""
        outcome, status = self._placed()
        for index, script in enumerate(self._run.scripts() if outcome == "succeeded" else ()):
            if self._run.is_done(index):
                continue
            outcome, status = self._one(script)
            last = script.name.partition("-")[2]
            if outcome != "succeeded":
                break
            _insist(self._run.mark_done, index)
        self._close(outcome, status, last)

    def _placed(self) -> tuple[str, int]:
        """Put the run's files where its scripts look for them, which is another machine's disk at each attempt."""
        given = self._run.directory / "in"
        if not given.is_dir():
            return "succeeded", 0
        place = Path.home() / Path(self._spec.get("upload_path") or ".").expanduser()
        with self._log.opened() as (log, errors):
            for command in (["mkdir", "-p", str(place)], ["cp", "-R", f"{given}/.", str(place)]):
                with modes.for_the_user():
                    status = subprocess.call(command, stdin=subprocess.DEVNULL, stdout=log, stderr=errors)  # noqa: S603 - the user's own script, for which this is made
                if status:
                    return "failed", status
        return "succeeded", 0

    def _one(self, script: Path) -> tuple[str, int]:
        self._look()
        if self._ending:
            return self._outcome(None), REQUEUE
        with self._log.opened() as (out, errors):
            try:
                with modes.for_the_user():
                    child = subprocess.Popen(  # noqa: S603 - the user's own script, for which this is made
                        _call(script), stdin=subprocess.DEVNULL, stdout=out, stderr=errors, cwd=str(self._directory),
                        env=self._environment(), start_new_session=True,
                    )  # fmt: skip
            except OSError as error:
                errors.write(f"{script.name.partition('-')[2]}: cannot be run: {error}\n".encode())
                return "failed", _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_RUNNABLE
        self._group = child.pid
        try:
            status = self._watch(child)
        except Exception:
            _signal(child.pid, signal.SIGKILL)
            raise
        return self._outcome(status), status

    def _watch(self, child: subprocess.Popen[bytes]) -> int:
        """Its status, once it has ended or was ended."""
        interrupted = terminated = killed = False
        while True:
            try:
                status = child.wait(_TICK)
                break
            except subprocess.TimeoutExpired:
                pass
            _forgiven(self._look)
            now = time.time()
            if now >= self._int_at and not interrupted:
                interrupted = _signal(child.pid, signal.SIGINT)
            if now >= self._term_at and not terminated and not self._hook_runs(now):
                terminated = _signal(child.pid, signal.SIGTERM)
            if now >= self._kill_at and not killed:
                killed = _signal(child.pid, signal.SIGKILL)
            _forgiven(self._tend)
        self._terminated = terminated
        if status == REQUEUE:
            # The script may have seen the notice before we have.
            self._look()
        if self._ending:
            # What it left in the background would write on where the next attempt writes.
            _signal(child.pid, signal.SIGKILL)
        return status if status >= 0 else 128 - status

    def _tend(self) -> None:
        """Keep the log, and show that we live."""
        self._log.copy()
        beats = int((time.monotonic() - self._began) / _BEAT_SECONDS) + 1
        if beats != self._beats:
            self._beats = beats
            _forgiven(self._attempt.beat, beats)
            if not self._ending and self._is_superseded():
                # We were taken for dead, and somebody else goes on or will: this machine was frozen or cut off.
                self._ending, self._term_at, self._kill_at = "fenced", 0.0, 0.0

    def _is_superseded(self) -> bool:
        is_last = self._run.attempts()[-1].number == self._attempt.number
        return not is_last or self._attempt.end() is not None or self._run.end() is not None

    def _look(self) -> None:
        """Notice whatever has happened that ends this attempt."""
        notice = files.read(hooks.notice_file())
        if notice and self._ending in ("", "interrupted"):
            self._heed(float(notice["deadline"]), float(notice["seen"]))
        if self._ending in ("", "interrupted") and self._attempt.is_to_hand_over():
            self._hand_over()
        if not self._ending and self._run.is_to_stop():
            self._end_as("stopped", interrupt=self._run.is_to_interrupt())
        if not self._ending and time.monotonic() - self._began > self._patience:
            self._end_as("timed-out")
        if not self._rebalanced and files.read(hooks.rebalance_file()):
            self._rebalanced = True
            hooks.start(self._spec.get("on_rebalance"), time.time() + hooks.REBALANCE_SECONDS, self._environment())

    def _end_as(self, outcome: str, *, interrupt: bool = False) -> None:
        self._ending = outcome
        now = time.time()
        if interrupt:
            self._int_at, self._term_at, self._kill_at = now, now + _INT_SECONDS, now + 2 * _INT_SECONDS
        else:
            self._term_at, self._kill_at = now, now + _STOP_SECONDS

    def _heed(self, deadline: float, seen: float) -> None:
        left = max(0.0, deadline - seen)
        self._kill_at = deadline - left * _MARGIN
        if self._ending:
            return
        self._ending = "interrupted"
        self._term_at = seen + left * _SOFT
        now = time.time()
        self._hook_until = now + max(0.0, deadline - now) * hooks.SHARE
        self._hook = hooks.start(self._spec.get("on_interrupt"), deadline, self._environment())

    def _hand_over(self) -> None:
        """Whoever asks has it from AWS that this machine goes, perhaps before the machine itself has been told."""
        now = time.time()
        if not self._ending:
            self._heed(now + HANDOVER_SECONDS, now)
        # One that would not save anything may still end in its time.
        if now < self._term_at and _listens(self._group):
            self._term_at = now

    def _hook_runs(self, now: float) -> bool:
        return self._hook is not None and self._hook.is_alive() and now < self._hook_until

    def _outcome(self, status: int | None) -> str:
        if self._ending in ("stopped", "fenced", "timed-out"):
            return self._ending
        if self._ending and (status is None or self._hands_back(status)):
            return "interrupted"
        return "succeeded" if status == 0 else "failed"

    def _hands_back(self, status: int) -> bool:
        """After SIGTERM whatever it says means "go on elsewhere": ``trap 'save; exit 0' TERM`` is common."""
        if self._done_file.exists():
            return False
        return self._terminated or status == REQUEUE

    @property
    def _directory(self) -> Path:
        return Path.home() / Path(self._spec.get("directory", "")).expanduser()

    @property
    def _done_file(self) -> Path:
        return self._attempt.directory / "finished"

    def _close(self, outcome: str, status: int, script: str) -> None:
        if self._hook is not None:
            # It ends itself, and says so.
            self._hook.join(max(0.0, self._hook_until - time.time()) + _HOOK_ENDS_SECONDS)
        # The log is whole before anybody reads that it has ended.
        details = {"exit_code": status, "script": script, "lost_to_disk": self._log.finish()}
        _insist(lambda: self._attempt.close(outcome, **details))
        _insist(self._run.settle, outcome, status)

    def _environment(self) -> dict[str, str]:
        # A Python script finds the modules of the directory that it is run in, though it lies elsewhere.
        own = str(self._directory) if self._spec.get("directory") else ""
        return {
            **os.environ,
            **self._spec.get("environment", {}),
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, [sys.path[0], own, os.environ.get("PYTHONPATH")])),
            "SPOT_CONNECT_RUN": self._run.id,
            "SPOT_CONNECT_ATTEMPT": str(self._attempt.number),
            "SPOT_CONNECT_CHECKPOINT_DIR": str(self._run.state_directory),
            "SPOT_CONNECT_OUT_DIR": str(self._run.directory / "out"),
            "SPOT_CONNECT_DONE_FILE": str(self._done_file),
            "SPOT_CONNECT_NOTICE_FILE": str(hooks.notice_file()),
        }


def begin(run: Run, number: int, instance: str) -> int:
    """Make the attempt of that number, to its end; the exit status is 1 when somebody else makes it."""
    attempt = run.claim(number)
    if attempt is None:
        return 1
    files.write(attempt.directory / "start.json", {**whoami(instance), "time": time.time()})
    try:
        Runner(run, attempt, instance).work()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is no interruption, after which others would try it
        traceback.print_exc()
        fail(run, attempt, f"it could not be run: {type(error).__name__}: {error}")
    return 0


def fail(run: Run, attempt: Attempt, why: str) -> None:
    """The attempt has failed, and its script had no part in it."""
    _forgiven(attempt.say, [why])
    _insist(lambda: attempt.close("failed", exit_code=_OUR_ERROR, why=why))
    _insist(run.settle, "failed", _OUR_ERROR, why)


def whoami(instance: str) -> dict[str, Any]:
    """Tells this process from all others, so that another of the same machine can see whether it still lives."""
    return {"instance": instance, "pid": os.getpid(), "born": born(os.getpid()), "boot": _boot()}


def is_alive(start: dict[str, Any]) -> bool:
    """Whether the process that wrote ``start`` on this machine still runs."""
    return bool(start) and start.get("boot") == _boot() and born(int(start["pid"])) == start.get("born")


def born(pid: int) -> str:
    """When the process started, in the kernel's ticks; a number alone is soon another process's."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _call(script: Path) -> list[str]:
    with script.open("rb") as file:
        if file.read(2) == b"#!":
            return [str(script)]
    return ["python3" if script.suffix.lower() == ".py" else "bash", str(script)]


def _signal(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        subprocess.call(["sudo", "-n", "kill", "-s", str(int(number)), "--", f"-{group}"])  # noqa: S603, S607 - numbers alone; where sudo lies depends on the image
    return True


def _listens(group: int) -> bool:
    """Whether a process of the group has a handler for SIGTERM: https://man7.org/linux/man-pages/man5/proc.5.html."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.partition(":")[::2] for line in status.read_text(errors="replace").splitlines())
        except OSError:
            continue
        ours = fields.get("NSpgid", "").split()[:1] == [str(group)]
        if ours and int(fields["SigCgt"], 16) >> (signal.SIGTERM - 1) & 1:
            return True
    return False


def _insist(action: Any, *arguments: Any) -> None:
    """Do it, however long the file system is full or away: how the work ended must not be lost."""
    rest = threading.Event()
    while True:
        try:
            action(*arguments)
        except OSError as error:
            sys.stderr.write(f"{time.strftime('%FT%T')} {error}\n")
            rest.wait(_AGAIN_SECONDS)
        else:
            return


def _forgiven(action: Any, *arguments: Any) -> None:
    """A full disk must not end the work."""
    try:
        action(*arguments)
    except OSError as error:
        sys.stderr.write(f"{time.strftime('%FT%T')} {error}\n")
