"""Scripts whose caller listens. They outlive the line; the same words of the same caller come back to them."""

from __future__ import annotations

import hashlib
import secrets
from contextlib import ExitStack
from dataclasses import replace

from spot_connect.core.errors import DeadlinePassed, SpotConnectError
from spot_connect.core.reporting import Reporter
from spot_connect.core.runs import RunRecord, RunSpec
from spot_connect.runs.run import Machine, Run, Shown, start
from spot_connect.store.identity import own_id
from spot_connect.store.state import State

_LENGTH = 16


def run_attached(machine: Machine, spec: RunSpec, state: State, reporter: Reporter, shown: Shown) -> RunRecord:
    """Run the scripts and hand what they write to ``shown``; how they ended. Nothing of them is left on the machine.

    When a former call with the same scripts was cut off, by a broken line or the end of its process, this one comes
    back to what it began. Ctrl-C ends the scripts, and KeyboardInterrupt is raised again.

    Raises:
        RunInterrupted: they were cut off on the machine, or with it.
        ScriptFailed: the machine could not begin them; nothing runs.
    """
    with ExitStack() as held:
        run = start(machine, replace(spec, caller=_caller(machine.name, spec, state, held)), reporter)
        try:
            run.follow_into(shown)
        except KeyboardInterrupt:
            _end(run, spec.title, shown, reporter)
            raise
        record = run.record()
        run.forget()
    return record


def _end(run: Run, title: str, shown: Shown, reporter: Reporter) -> None:
    """As Ctrl-C ends a command here, with its last words."""
    try:
        with reporter.step(f"ending {title} on {run.name}"):
            run.stop(interrupt=True)
            run.follow_into(shown)
            run.forget()
        reporter.note(f"stopped {title} on {run.name}")
    except SpotConnectError as error:
        reporter.warn(f"cannot end {title} on {run.name}, where it goes on: {error.what}")
        reporter.note("The same command comes back to it.")


def _caller(name: str, spec: RunSpec, state: State, held: ExitStack) -> str:
    """A word that is the same for the same scripts of the same caller; another one while that caller still lives."""
    digest = hashlib.sha256(f"{own_id(state)} {name} {spec.directory}".encode(errors="surrogateescape"))
    for script in spec.scripts:
        digest.update(f"{script.name} {len(script.content)} ".encode() + script.content)
    word = digest.hexdigest()[:_LENGTH]
    try:
        # So few locks that their files need no clearing; two scripts that share one are only not come back to.
        held.enter_context(state.lock(f"{name} attached {word[:2]}", wait_seconds=0))
    except DeadlinePassed:
        return secrets.token_hex(_LENGTH // 2)
    return word
