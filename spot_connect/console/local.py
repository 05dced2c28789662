"""The verb ``local``: start, stop and look at the local cloud."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from spot_connect.core.errors import LocalCloudError, UsageError
from spot_connect.core.untrusted import printable
from spot_connect.launching.ending import all_named
from spot_connect.launching.realm import choose_realm
from spot_connect.local import service
from spot_connect.screen.reporter import Screen
from spot_connect.screen.streams import say, say_json

_ASLEEP = "the local cloud is not running"
_WAKE = "Run `spot_connect local up` first."
_FAULT_FIELDS = {
    "instance_type": "instance_type",
    "zone": "zone",
    "ec2_action": "action",
    "code": "code",
    "status": "status",
    "seconds": "seconds",
    "seed": "seed",
    "times": "times",
    "right": "action",
    "role": "role",
}


def act(arguments: argparse.Namespace) -> int:
    """Do one of the actions; the exit status."""
    actions: dict[str, Callable[[argparse.Namespace, Screen], int]] = {
        "up": _up,
        "down": _down,
        "status": _status,
        "env": _environment,
        "reset": _reset,
        "logs": _logs,
        "interrupt": _interrupt,
        "fault": _fault,
    }
    return actions[arguments.action](arguments, Screen(local=True))


def _up(arguments: argparse.Namespace, screen: Screen) -> int:
    with ExitStack() as steps:
        report = service.up(
            isolation=arguments.isolation,
            fresh=arguments.fresh,
            boot_seconds=arguments.boot_seconds,
            on_wait=lambda text: steps.enter_context(screen.step(text)),
        )
    screen.note(f"cloud {'already' if report.already_running else 'is'} up at {report.endpoint.url}")
    screen.note(f"isolation {report.level}: {report.description}")
    for note in report.notes:
        screen.note(note)
    return 0


def _down(_: argparse.Namespace, screen: Screen) -> int:
    with screen.step("stopping the local cloud"):
        was_up = service.down()
    screen.note("cloud is down; what it held is kept" if was_up else _ASLEEP)
    return 0


def _status(arguments: argparse.Namespace, screen: Screen) -> int:
    report = service.status()
    if arguments.json:
        say_json({"running": False} if report is None else _record(report))
    elif report is None:
        screen.note(f"{_ASLEEP}; `spot_connect local up` starts it")
    else:
        counts = ", ".join(f"{count} {state}" for state, count in report.instances.items()) or "no instances"
        screen.note(f"cloud is up at {report.endpoint.url} (process {report.pid}): {counts}")
        screen.note(f"isolation {report.level}: {report.description}")
    return 0 if report else 1


def _record(report: service.StatusReport) -> dict[str, object]:
    record = asdict(report)
    record["endpoint"] = report.endpoint.url
    return {"running": True, **record}


def _environment(_: argparse.Namespace, screen: Screen) -> int:
    if service.status() is None:
        raise LocalCloudError(f"cannot show its variables: {_ASLEEP}", advice=_WAKE)
    shell = "powershell" if os.name == "nt" else "sh"
    say(*service.shell_lines(service.environment(service.ensure_up()), shell).splitlines())
    screen.note('set them with: eval "$(spot_connect local env)"')
    return 0


def _reset(_: argparse.Namespace, screen: Screen) -> int:
    with screen.step("ending every instance and forgetting everything"):
        service.reset()
    screen.note("cloud is empty")
    return 0


def _interrupt(arguments: argparse.Namespace, screen: Screen) -> int:
    realm = choose_realm(local=True)
    if service.status() is None:
        raise LocalCloudError(f"cannot interrupt {', '.join(arguments.names)}", _ASLEEP, _WAKE)
    for instance in all_named(realm, arguments.names, arguments.region, screen):
        if arguments.rebalance:
            service.call(None, "POST", f"instances/{instance.id}/rebalance")
            screen.note(f"{instance.name} ({instance.id}) is told to expect an interruption")
        else:
            seconds = {} if arguments.notice is None else {"in": arguments.notice}
            said = service.call(None, "POST", f"instances/{instance.id}/interrupt", seconds)
            screen.note(f"{instance.name} ({instance.id}) ends at {said['deadline']}")
    return 0


def _fault(arguments: argparse.Namespace, screen: Screen) -> int:
    if service.status() is None:
        raise LocalCloudError("cannot plan faults", _ASLEEP, _WAKE)
    actions = {"line": _drop_lines, "list": _show_faults, "clear": _clear_faults}
    return actions.get(arguments.kind, _plan_fault)(arguments, screen)


def _plan_fault(arguments: argparse.Namespace, screen: Screen) -> int:
    given = {key: getattr(arguments, name) for name, key in _FAULT_FIELDS.items() if hasattr(arguments, name)}
    if hasattr(arguments, "policy"):
        given["policy"] = _policy(arguments.policy)
    planned = service.call(None, "POST", "faults", {"kind": arguments.kind, **given})
    screen.note(f"planned: {planned['says']}")
    return 0


def _policy(path: str) -> object:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {printable(path)}", error.strerror or "") from error
    except ValueError as error:
        raise UsageError(f"cannot use {printable(path)} as a policy", f"it is no JSON: {error}") from error


def _drop_lines(arguments: argparse.Namespace, screen: Screen) -> int:
    for instance in all_named(choose_realm(local=True), arguments.names, arguments.region, screen):
        count = service.call(None, "POST", f"instances/{instance.id}/drop-lines")["dropped"]
        screen.note(f"{instance.name} ({instance.id}): {count} SSH connection{'s' * (count != 1)} dropped")
    return 0


def _show_faults(arguments: argparse.Namespace, screen: Screen) -> int:
    faults = service.call(None, "GET", "faults")["faults"]
    if arguments.json:
        say_json(faults)
        return 0
    for fault in faults:
        screen.note(fault["says"])
    if not faults:
        screen.note("no faults are planned")
    return 0


def _clear_faults(_: argparse.Namespace, screen: Screen) -> int:
    cleared = service.call(None, "DELETE", "faults")["faults"]
    screen.note(f"cleared {len(cleared)} fault{'s' * (len(cleared) != 1)}")
    return 0


def _logs(arguments: argparse.Namespace, screen: Screen) -> int:
    if not arguments.follow:
        say(*service.log_text().rstrip("\n").split("\n"))
        return 0
    for piece in filter(None, service.follow_log()):
        say(*piece.rstrip("\n").split("\n"))
    return 0
