"""The verbs ``runs`` and ``stop``, and ``logs`` of a run."""

from __future__ import annotations

import argparse
import shlex
from datetime import datetime, timezone

from spot_connect.console import ended
from spot_connect.core.errors import RunNotFound
from spot_connect.core.reporting import Reporter
from spot_connect.core.runs import Attempt, RunRecord
from spot_connect.runs.run import Run
from spot_connect.screen.streams import say, say_json, to_stdout
from spot_connect.screen.tables import show_table
from spot_connect.spotted import SpotInstance

_COLUMNS = ("run", "state", "exit", "attempts", "interruptions", "began", "took", "what")


def show_runs(arguments: argparse.Namespace) -> int:
    """Print the detached runs of a machine's name; the exit status."""
    with machine_named(arguments) as machine:
        records = [run.record() for run in machine.runs()]
        if arguments.json:
            say_json([_plain(record) for record in records])
        elif records:
            show_table(_COLUMNS, [_cells(record) for record in records])
        else:
            machine.reporter.note(f"nothing was run detached on {machine.name}")
    return 0


def show_log(arguments: argparse.Namespace) -> int:
    """Print what a run has written; with ``-f`` until it has ended, and then its exit status."""
    with machine_named(arguments) as machine:
        run = machine.find_run(arguments.run or "")
        if arguments.follow:
            return followed(run, machine.reporter)
        to_stdout()(run.log())
    return 0


def resume_run(arguments: argparse.Namespace) -> int:
    """Go on with a run, on the machine that has the name or another one like the last; the exit status."""
    return _resumed(arguments, arguments.run or "", detach=arguments.detach)


def resume_named(name: str, arguments: argparse.Namespace) -> int:
    """Go on with the newest run of the name that waits for it, and follow it; the exit status."""
    arguments.name = name
    return _resumed(arguments, "", detach=False)


def _resumed(arguments: argparse.Namespace, run_id: str, *, detach: bool) -> int:
    with machine_named(arguments, again=True) as machine:
        try:
            run = machine.resume_run(run_id)
        except RunNotFound:
            if machine.launched:
                machine.terminate()
                machine.reporter.note(f"{machine.name} ({machine.id}) has nothing to do and was terminated again")
            raise
        if not detach:
            return followed(run, machine.reporter)
        say(run.id)
    return 0


def followed(run: Run, reporter: Reporter) -> int:
    """Show what a run writes until it has ended; its exit status. Ctrl-C leaves it running."""
    try:
        return run.follow(to_stdout())
    except KeyboardInterrupt:
        name = shlex.quote(run.name)
        reporter.note(f"{run.id} goes on without you; `spot_connect logs {name} {run.id} -f` comes back to it")
        raise


def stop_run(arguments: argparse.Namespace) -> int:
    """End a run; the exit status."""
    with machine_named(arguments) as machine:
        run = machine.find_run(arguments.run or "")
        before = run.record()
        if before.has_ended:
            machine.reporter.note(f"{run.id} has ended already: {before.state}")
            return 0
        with machine.reporter.step(f"stopping {run.id}"):
            state = run.stop()
        machine.reporter.note(f"{run.id}: {state}")
    return 0


def machine_named(arguments: argparse.Namespace, *, again: bool = False) -> SpotInstance:
    """The running machine that a verb's NAME means."""
    with ended.by_exception():
        return SpotInstance(
            arguments.name,
            instance_id=arguments.name.startswith("i-") and len(arguments.name) in (10, 19),
            region=arguments.region,
            kp_dir=arguments.keydir,
            local=arguments.use_local,
            again=again,
        )


def _cells(record: RunRecord) -> tuple[str, ...]:
    return (
        record.id,
        record.state,
        "" if record.exit_code is None else str(record.exit_code),
        str(len(record.attempts)),
        str(record.interruptions),
        f"{record.created:%Y-%m-%d %H:%M} UTC" if record.created else "",
        _took(record),
        record.title,
    )


def _took(record: RunRecord) -> str:
    if record.created is None:
        return ""
    seconds = int(((record.ended or datetime.now(timezone.utc)) - record.created).total_seconds())
    hours, rest = divmod(max(0, seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"


def _plain(record: RunRecord) -> dict[str, object]:
    return {
        "run": record.id,
        "name": record.name,
        "what": record.title,
        "state": record.state,
        "exit_code": record.exit_code,
        "began": _stamp(record.created),
        "ended": _stamp(record.ended),
        "interruptions": record.interruptions,
        "on_file_system": record.on_file_system,
        "attempts": [_plain_attempt(attempt) for attempt in record.attempts],
    }


def _plain_attempt(attempt: Attempt) -> dict[str, object]:
    return {
        "number": attempt.number,
        "instance": attempt.instance,
        "began": _stamp(attempt.started),
        "ended": _stamp(attempt.ended),
        "outcome": attempt.outcome or None,
        "exit_code": attempt.exit_code,
    }


def _stamp(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
