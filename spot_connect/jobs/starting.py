"""Begin distributed jobs on machines that run."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from spot_connect.core.answers import Answer
from spot_connect.core.certificates import shared_secret
from spot_connect.core.jobs import Plan, Terms
from spot_connect.core.reporting import Reporter
from spot_connect.core.runs import new_run_id
from spot_connect.core.side_by_side import side_by_side
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.jobs.crew import agent
from spot_connect.jobs.supply import Supply
from spot_connect.jobs.yard import Line
from spot_connect.transfers.upload import upload

_HEAD_SECONDS = 300.0


def start(
    lines: Sequence[Line],
    name: str,
    plan: Plan,
    terms: Terms,
    *,
    supply: Supply,
    reporter: Reporter,
    head: Line | None = None,
    key: bytes = b"",
) -> None:
    """Begin the jobs. They exist on the machines when this returns, whatever becomes of this computer.

    With an order all machines have one file system, and any of them may become the head. Without it the first one
    keeps everything, and with it everything is lost. A machine given as ``head`` is the first head, and runs no jobs.
    With ``key`` calls of Python functions and their answers are authenticated.
    """
    run_id, shared = supply.run_id, supply.order is not None
    made: dict[str, Any] = {
        "run": run_id,
        "tls": shared_secret(f"{name} {run_id}"),
        "key": key.hex(),
        "spec": {**terms.wire(), "name": name, "shared": shared, "role": supply.has_role},
    }
    keeper, others = (head, lines) if head else (lines[0], lines[1:])
    _submit(keeper, made, plan, terms.environment, reporter)
    agent(keeper).ask("jobs-begin", {"run": run_id, **supply.wire()})
    if shared and head is None:
        _join(lines, run_id)
        return
    agent(keeper).ask("jobs-join", {"run": run_id, **({"slots": 0} if head else {})})
    if not others:
        return
    address = _address(keeper, run_id)
    if shared:
        _join(others, run_id)
        return
    _on_each(others, lambda line: _submit(line, made, None, {}, reporter))
    _on_each(others, lambda line: agent(line).ask("jobs-join", {"run": run_id, "head": address}))


def new_id() -> str:
    """A name for jobs that are to be started; ids sort by age."""
    return new_run_id(datetime.now(timezone.utc), secrets.token_hex(2))


def _join(lines: Iterable[Line], run_id: str) -> None:
    """Have machines that see the jobs' directory work for them."""
    _on_each(lines, lambda line: agent(line).ask("jobs-join", {"run": run_id}))


def _submit(
    line: Line, made: Mapping[str, Any], plan: Plan | None, environment: Mapping[str, str], reporter: Reporter
) -> None:
    """Make the jobs' directory on the machine; without a plan, that of a machine that only works for the jobs."""
    asked = _asked_of(made, plan, environment)
    scripts = b"".join(script.content for script in plan.scripts) if plan else b""
    directory = Answer(agent(line).ask_one("jobs-make", asked, stdin=scripts)).text("directory")
    for number, job in enumerate(plan.jobs if plan else ()):
        if job.uploads:
            place = f"{directory}/jobs/{number:05d}/in"
            upload(line.connection, job.uploads, place, reporter=reporter)
    agent(line).ask("jobs-submit", {"run": made["run"]})


def _asked_of(made: Mapping[str, Any], plan: Plan | None, environment: Mapping[str, str]) -> dict[str, Any]:
    """What the jobs' directory is made from."""
    scripts = plan.scripts if plan else ()
    return {
        **made,
        "scripts": [[script.name, len(script.content)] for script in scripts],
        "jobs": [
            {
                "title": scripts[job.script].name,
                "scripts": [job.script],
                "environment": {**environment, "SPOT_CONNECT_JOB": str(number)},
            }
            for number, job in enumerate(plan.jobs if plan else ())
        ],
    }


def _address(line: Line, run_id: str) -> str:
    def look() -> Seen[str]:
        told = Answer(agent(line).ask_one("jobs-head", {"run": run_id}))
        return Seen(told.text("address", "") or None, "it has not begun")

    return wait_for(f"head of {run_id}", look, seconds=_HEAD_SECONDS, every=0.5, advice="See ~/.spot-connect/crew.log.")


def _on_each(lines: Iterable[Line], work: Callable[[Line], object]) -> None:
    side_by_side(work, {line.id: line for line in lines})
