"""The verb ``jobs``: distributed jobs from a shell."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from spot_connect.core.jobs import JobsRecord
from spot_connect.instance_manager import InstanceManager
from spot_connect.jobs.run import COLUMNS, JobRun, cells
from spot_connect.screen.reporter import Screen
from spot_connect.screen.streams import say, say_json, to_stdout
from spot_connect.screen.tables import show_table
from spot_connect.store.where import local_is_chosen

SOME_FAILED, STILL_RUNNING = 1, 3
"""Exit statuses; 0 says that all jobs have succeeded."""
_LIST = ("run", "name", "state", "jobs", "began")


def act(arguments: argparse.Namespace) -> int:
    """Do what the words after ``jobs`` say; the exit status."""
    actions: dict[str, Callable[[argparse.Namespace, InstanceManager], int]] = {
        "run": _run,
        "ls": _list,
        "status": _status,
        "watch": _watch,
        "attach": _attach,
        "logs": _logs,
        "results": _results,
        "retry": _retry,
        "cancel": _cancel,
        "scale": _scale,
        "close": _close,
    }
    screen = Screen(local=local_is_chosen(arguments.use_local))
    manager = InstanceManager(arguments.keydir or None, local=arguments.use_local, reporter=screen)
    return actions[arguments.action](arguments, manager)


def _run(arguments: argparse.Namespace, manager: InstanceManager) -> int:
    scripts = [Path(script) for script in arguments.script]
    run = manager.run_distributed_jobs(
        arguments.name,
        arguments.jobs or len(scripts),
        scripts,
        arguments.profile,
        arguments.filesystem or None,
        arguments.upload or None,
        arguments.remotepath,
        n_instances=arguments.instances,
        slots=arguments.slots,
        retries=arguments.retries,
        max_interruptions=arguments.max_interruptions,
        timeout=arguments.timeout,
        on_interrupt=arguments.on_interrupt,
        types=arguments.type,
        head=arguments.head,
        max_hours=arguments.max_hours,
        max_cost=arguments.max_cost,
        on_demand_after=arguments.on_demand_after,
        instance_profile=arguments.instanceprofile,
        subnet=arguments.subnet,
        tags=arguments.tag,
        **({"region": arguments.region} if arguments.region else {}),
    )
    if arguments.detach:
        return _told(arguments, run.record())
    return _stayed(arguments, manager, run)


def _list(arguments: argparse.Namespace, manager: InstanceManager) -> int:
    records = manager.runs(arguments.region)
    if arguments.json:
        say_json([_plain(record) for record in records])
    else:
        rows = [(one.id, one.name, one.state, str(len(one.jobs)), _moment(one.created)) for one in records]
        show_table(_LIST, rows)
    return 0


def _status(arguments: argparse.Namespace, manager: InstanceManager) -> int:
    return _told(arguments, _found(arguments, manager).record())


def _watch(arguments: argparse.Namespace, manager: InstanceManager) -> int:
    return _followed(arguments, manager, _found(arguments, manager), lambda run: run.watch())


def _attach(arguments: argparse.Namespace, manager: InstanceManager) -> int:
    return _stayed(arguments, manager, _found(arguments, manager))


def _logs(arguments: argparse.Namespace, manager: InstanceManager) -> int:
    run = _found(arguments, manager)
    if arguments.json:
        say(json.dumps({"job": arguments.job, "log": run.logs(arguments.job, attempt=arguments.attempt).decode()}))
    else:
        run.logs(arguments.job, to_stdout(), attempt=arguments.attempt, follow=arguments.follow)
    return 0


def _results(arguments: argparse.Namespace, manager: InstanceManager) -> int:
    paths = [str(path) for path in _found(arguments, manager).results(arguments.directory)]
    say(*([json.dumps(paths)] if arguments.json else paths))
    return 0


def _retry(arguments: argparse.Namespace, manager: InstanceManager) -> int:
    return _told(arguments, _found(arguments, manager).retry(arguments.job or None))


def _cancel(arguments: argparse.Namespace, manager: InstanceManager) -> int:
    return _told(arguments, _found(arguments, manager).cancel(arguments.job or None))


def _scale(arguments: argparse.Namespace, manager: InstanceManager) -> int:
    launched = _found(arguments, manager).scale(arguments.instances)
    say(json.dumps({"launched": launched}) if arguments.json else f"{launched} instances launched")
    return 0


def _close(arguments: argparse.Namespace, manager: InstanceManager) -> int:
    run = _found(arguments, manager)
    run.close()
    say(json.dumps({"run": run.id}) if arguments.json else f"{run.id} is closed; its instances end themselves")
    return 0


def _found(arguments: argparse.Namespace, manager: InstanceManager) -> JobRun:
    return manager.attach(arguments.name, arguments.run or "", region=arguments.region, on=arguments.on)


def _stayed(arguments: argparse.Namespace, manager: InstanceManager, run: JobRun) -> int:
    return _followed(arguments, manager, run, lambda run: run.stay())


def _followed(
    arguments: argparse.Namespace, manager: InstanceManager, run: JobRun, way: Callable[[JobRun], JobsRecord]
) -> int:
    """Wait in that way until all have ended. Ctrl-C leaves them running."""
    try:
        return _told(arguments, way(run))
    except KeyboardInterrupt:
        back = f"spot_connect jobs attach {shlex.quote(run.name)} --run {run.id}"
        manager.reporter.note(f"{run.id} goes on without you; `{back}` comes back to it")
        raise


def _told(arguments: argparse.Namespace, record: JobsRecord) -> int:
    """Print what is known; the exit status that goes with it."""
    if arguments.json:
        say_json(_plain(record))
    else:
        show_table(COLUMNS, [cells(job) for job in record.jobs], title=record.summary)
        for instance, trouble in record.troubles.items():
            say(f"{instance} cannot work: {trouble}")
        if record.capacity and not record.has_ended:
            say(record.capacity)
    if not record.has_ended:
        return STILL_RUNNING
    return 0 if record.state == "succeeded" else SOME_FAILED


def _plain(record: JobsRecord) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(json.dumps(asdict(replace(record, order=None)), default=_stamp))
    del told["order"]
    return {**told, "counts": record.counts, "interruptions": record.interruptions}


def _stamp(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else ""
