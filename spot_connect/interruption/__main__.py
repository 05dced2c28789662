"""What the caller's side asks over SSH: ``python3 AGENT VERB``, and on standard input what it asks, as a line of JSON.

Arguments would not do: every user of the machine can read those of every process. The answers are JSON lines, too.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any, Callable  # noqa: UP035 - what they are subscripted for, Python 3.7 does at the import

from spot_connect.interruption import files, hooks, modes, runner, watcher
from spot_connect.interruption.ledger import (
    ENDED,
    SILENT_SECONDS,
    Attempt,
    Run,
    all_runs,
    base,
    directory_of,
    find,
    home,
)
from spot_connect.interruption.log import newest

_START_SECONDS = 15.0
_STEP = 0.05
_NOTICE_STEP = 0.5
_PIECE = 256 * 1024
UNKNOWN = 66  # EX_NOINPUT
INTERRUPTED = 130


Verb = Callable[[dict[str, Any]], int]


def do(verb: str, verbs: dict[str, Verb]) -> int:
    """Do one of the verbs; the exit status. An interrupt comes from who listens, and is no failure to be shown."""
    modes.keep_private()
    try:
        return verbs[verb](json.loads(sys.stdin.buffer.readline()))
    except KeyboardInterrupt:
        return INTERRUPTED


def handed_in(size: int) -> bytes:
    """The next ``size`` bytes of standard input, all of them: a caller that died on the way has sent fewer."""
    content = sys.stdin.buffer.read(size)
    if len(content) < size:
        sys.exit(f"only {len(content)} of {size} bytes of a script have arrived; nothing was begun")
    return content


def start(asked: dict[str, Any]) -> int:
    """Make the run, begin its first attempt, and tell what became of it. The scripts' bytes come on standard input.

    The same run asked for twice is the one run: whoever lost the answer may ask again. A caller has one run, which
    goes on if its last attempt was cut off.
    """
    caller = asked.get("caller")
    known = [run for run in all_runs(asked["name"]) if run.id.endswith(f"-{caller}")] if caller else []
    if known:
        return resume({**asked, "run": known[-1].id})
    run = Run(directory_of(asked["name"], base()) / asked["run"])
    if not run.directory.exists():
        _make(run, asked)
    return _begun(run, asked["instance"], 1)


def resume(asked: dict[str, Any]) -> int:
    """Begin the next attempt of a run whose last one has ended without an end of the run."""
    run = find(asked["name"], asked["run"])
    if run is None:
        return UNKNOWN
    if asked.get("gone"):
        for lost in run.attempts():
            if lost.end() is None and lost.start().get("instance") in asked["gone"]:
                lost.close("lost")
    state = state_of(run, asked["instance"])
    if state in ENDED or state == "running":
        return _tell(run, asked["instance"])
    return _begun(run, asked["instance"], len(run.attempts()) + 1)


def attempt(asked: dict[str, Any]) -> int:
    """Be the runner of an attempt, to its end."""
    return runner.begin(Run(Path(asked["directory"])), int(asked["number"]), asked["instance"])


def keep(asked: dict[str, Any]) -> int:
    """Be the runner of one attempt after the other: each line that comes is one, each that goes tells its status."""
    for line in sys.stdin:
        sys.stdout.write(f"{attempt({**json.loads(line), 'instance': asked['instance']})}\n")
        sys.stdout.flush()
    return 0


def list_runs(asked: dict[str, Any]) -> int:
    """Every run of the name as one JSON line each, or the one that is named."""
    found = [find(asked["name"], asked["run"])] if asked.get("run") else all_runs(asked["name"])
    for run in found:
        if run is not None:
            _tell(run, asked["instance"])
            if run.end() is None:
                start_watching(asked["instance"])
    return 0


def follow(asked: dict[str, Any]) -> int:
    """The log of one attempt from byte ``offset`` on, until the attempt has ended or, unless ``more``, to its end.

    What was kept apart as its standard error comes on standard error, from byte ``errors`` on.
    """
    run = find(asked["name"], asked["run"])
    if run is None:
        return UNKNOWN
    return show_log(run, asked, lambda chosen: _is_over(run, chosen, asked["instance"]))


def show_log(run: Run, asked: dict[str, Any], is_over: Callable[[Attempt], bool]) -> int:
    """What :func:`follow` does, for a run that lies anywhere."""
    chosen = run.attempt(asked["attempt"])
    offset, errors = int(asked["offset"]), int(asked.get("errors") or 0)
    rest = threading.Event()
    while True:
        over = not asked.get("more") or is_over(chosen)
        log, apart = newest(run, chosen)
        offset = _show(log, offset, sys.stdout.buffer)
        errors = _show(apart, errors, sys.stderr.buffer)
        if over:
            return 0
        rest.wait(_STEP)


def stop(asked: dict[str, Any]) -> int:
    """Ask the run to stop, and tell what became of it; one that nobody runs is stopped here and now."""
    run = find(asked["name"], asked["run"])
    if run is None:
        return UNKNOWN
    run.ask_to_stop(interrupt=bool(asked.get("interrupt")))
    if state_of(run, asked["instance"]) != "running":
        run.finish("stopped", None)
    _await(lambda: run.end() is not None)
    return _tell(run, asked["instance"])


def forget(asked: dict[str, Any]) -> int:
    """Remove a run that has ended."""
    run = find(asked["name"], asked["run"])
    if run is not None and run.end() is not None:
        run.forget()
    return 0


def set_hooks(asked: dict[str, Any]) -> int:
    """Keep the instance's own hooks, those given; and see to it that it is watched."""
    home().mkdir(mode=0o700, exist_ok=True)
    given = {key: asked[key] for key in ("on_interrupt", "on_rebalance") if asked.get(key) is not None}
    if given:
        files.write(hooks.hooks_file(), {**(files.read(hooks.hooks_file()) or {}), **given})
    start_watching(asked["instance"])
    return 0


def await_notice(asked: dict[str, Any]) -> int:
    """The notice as one JSON line, as soon as it is given; nothing when none comes within ``seconds``."""
    rest = threading.Event()
    deadline = time.monotonic() + float(asked["seconds"])
    while time.monotonic() < deadline:
        found = files.read(hooks.notice_file())
        if found:
            sys.stdout.write(json.dumps(found) + "\n")
            return 0
        rest.wait(_NOTICE_STEP)
    return 0


def hand_over(asked: dict[str, Any]) -> int:
    """Have the attempt that runs here end now, because another machine is ready to go on."""
    run = find(asked["name"], asked["run"])
    if run is None:
        return UNKNOWN
    last = run.attempts()[-1]
    if last.end() is None and last.start().get("instance") == asked["instance"]:
        last.ask_to_hand_over()
    return 0


def state_of(run: Run, instance: str) -> str:
    """The state of the run, as :data:`ledger.TRANSITIONS` names them, as seen from this machine."""
    told = _ending(run)
    if told is None:
        attempts = run.attempts()
        if not attempts:
            return "waiting"
        if _lives(attempts[-1], instance):
            return "running"
        # It may have ended between the two looks.
        told = _ending(run) or {"outcome": "lost"}
    return str(told["outcome"])


def _ending(run: Run) -> dict[str, Any] | None:
    """How the run ended, or its last attempt, which is written a moment before; ``None`` while one goes on."""
    attempts = run.attempts()
    return run.end() or (attempts[-1].end() if attempts else None)


def _lives(last: Attempt, instance: str) -> bool:
    begun = last.start()
    if begun.get("instance") == instance:
        return runner.is_alive(begun)
    return time.time() - last.last_sign() < SILENT_SECONDS


def _is_over(run: Run, chosen: Attempt, instance: str) -> bool:
    return chosen.end() is not None or state_of(run, instance) != "running"


def _make(run: Run, asked: dict[str, Any]) -> None:
    run.directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    texts = [(name, handed_in(size)) for name, size in asked["scripts"]]
    temporary = run.directory.with_name(f".{run.id}.{os.getpid()}")
    (temporary / "scripts").mkdir(mode=0o700, parents=True)
    (temporary / "state").mkdir()
    for index, (name, content) in enumerate(texts):
        path = temporary / "scripts" / f"{index}-{name}"
        path.write_bytes(content)
        path.chmod(0o700)
    kept = {key: asked[key] for key in asked if key not in ("instance", "run", "scripts")}
    files.write(temporary / "spec.json", {**kept, "created": time.time()})
    try:
        temporary.rename(run.directory)
    except OSError:
        shutil.rmtree(temporary)
        if not run.directory.exists():
            raise


def _begun(run: Run, instance: str, number: int) -> int:
    home().mkdir(mode=0o700, exist_ok=True)
    start_watching(instance)
    if len(run.attempts()) < number:
        detach("attempt", {"directory": str(run.directory), "number": number, "instance": instance})
    _await(lambda: len(run.attempts()) >= number and bool(run.attempts()[number - 1].start()))
    return _tell(run, instance)


def start_watching(instance: str) -> None:
    """Start the watcher where none lives, as after a reboot; of two that start, one goes away by itself."""
    if not watcher.is_watched():
        detach("watch", {"instance": instance})


def detach(verb: str, asked: dict[str, Any], log: str = "agent.log") -> None:
    """Do the verb in a process that outlives this one."""
    with (home() / log).open("ab") as written, modes.for_the_user():
        child = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, sys.path[0], verb],
            stdin=subprocess.PIPE, stdout=written, stderr=written,
            cwd=str(Path.home()), env=_without_mark(), start_new_session=True,
        )  # fmt: skip
    if child.stdin:
        hand_in(child.stdin, asked)


def hand_in(line: IO[bytes], asked: dict[str, Any]) -> None:
    """Tell a process what it is asked, on its standard input."""
    # One that has ended already says why in its log.
    with contextlib.suppress(BrokenPipeError):
        line.write(json.dumps(asked).encode() + b"\n")
        line.close()


def _without_mark() -> dict[str, str]:
    """The mark belongs to the command that asked; what outlives it must not be found, and ended, by it."""
    return {name: value for name, value in os.environ.items() if name != "SPOT_CONNECT_MARK"}


def _await(reached: Any) -> None:
    rest = threading.Event()
    deadline = time.monotonic() + _START_SECONDS
    while not reached() and time.monotonic() < deadline:
        rest.wait(_STEP)


def _show(path: Path, offset: int, target: IO[bytes]) -> int:
    try:
        log = path.open("rb")
    except FileNotFoundError:
        return offset
    with log:
        log.seek(offset)
        while True:
            piece = log.read(_PIECE)
            if not piece:
                break
            target.write(piece)
            offset += len(piece)
        target.flush()
    return offset


def _tell(run: Run, instance: str) -> int:
    """The run as one JSON line."""
    # The state comes first: one that has ended in between would be told without its exit status.
    state = state_of(run, instance)
    spec, attempts = run.spec, run.attempts()
    last = (attempts[-1].end() if attempts else None) or {}
    end = (_ending(run) if state in ENDED else None) or {}
    record = {
        "run": run.id,
        "name": spec.get("name"),
        "title": spec.get("title"),
        "state": state,
        "exit_code": end.get("exit_code"),
        "script": last.get("script"),
        "created": spec.get("created"),
        "ended": end.get("ended"),
        "kept": "instance" if home() in run.directory.parents else "filesystem",
        "spec": {key: spec.get(key) for key in ("resume", "max_replacements", "max_cost", "fallback")},
        "attempts": [_attempt_record(one) for one in attempts],
    }
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()
    return 0


def _attempt_record(one: Attempt) -> dict[str, Any]:
    begun, end = one.start(), one.end() or {}
    return {
        "number": one.number,
        "instance": begun.get("instance"),
        "started": begun.get("time"),
        "ended": end.get("ended"),
        "outcome": end.get("outcome"),
        "exit_code": end.get("exit_code"),
        "lost_to_disk": end.get("lost_to_disk") or "",
    }


VERBS: dict[str, Verb] = {
    "start": start,
    "resume": resume,
    "attempt": attempt,
    "keep": keep,
    "list": list_runs,
    "follow": follow,
    "stop": stop,
    "hooks": set_hooks,
    "notice": await_notice,
    "handover": hand_over,
    "forget": forget,
    "watch": lambda asked: watcher.watch(asked["instance"]),
}
