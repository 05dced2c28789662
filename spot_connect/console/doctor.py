"""The verb ``doctor``."""

from __future__ import annotations

import argparse

from spot_connect.core.findings import Finding, State
from spot_connect.doctor.examination import Report, examined
from spot_connect.launching.realm import Realm, choose_realm
from spot_connect.screen.reporter import Screen
from spot_connect.screen.streams import say, say_json
from spot_connect.store.where import local_is_chosen

_STATE_WIDTH = max(len(state) for state in State) + 2
_MANY = {State.FAULT: "faults", State.WARNING: "warnings", State.UNKNOWN: "things that could not be looked at"}
_ONE = {State.FAULT: "fault", State.WARNING: "warning", State.UNKNOWN: "thing that could not be looked at"}


def show_findings(arguments: argparse.Namespace) -> int:
    """Print what stands in the way of a launch; the exit status, 1 if there is a fault."""
    screen = Screen(local=local_is_chosen(arguments.use_local))
    realm = choose_realm(arguments.use_local, screen)
    report = examined(realm, arguments.profile, arguments.region, arguments.keydir, screen)
    if arguments.json:
        say_json(record(realm, report))
    else:
        _show(report)
        screen.note(_total(report))
    return 1 if report.state is State.FAULT else 0


def _show(report: Report) -> None:
    width = max(len(finding.check) for finding in report.findings) + 2
    for finding in report.findings:
        say(f"{finding.state:<{_STATE_WIDTH}}{finding.check:<{width}}{finding.says}")
        if finding.mend:
            say(f"{'':<{_STATE_WIDTH + width}}{finding.mend}")


def _total(report: Report) -> str:
    counts = {state: sum(finding.state is state for finding in report.findings) for state in _MANY}
    told = [f"{count} {(_ONE if count == 1 else _MANY)[state]}" for state, count in counts.items() if count]
    return f"{report.profile} in {report.region}: {', '.join(told) or 'nothing stands in the way'}"


def record(realm: Realm, report: Report) -> dict[str, object]:
    """The report as ``--json`` has it: docs/doctor.md."""
    return {
        "cloud": "local" if realm.is_local else "aws",
        "region": report.region,
        "profile": report.profile,
        "state": str(report.state),
        "checks": [_record(finding) for finding in report.findings],
    }


def _record(finding: Finding) -> dict[str, object]:
    return {
        "check": finding.check,
        "state": str(finding.state),
        "says": finding.says,
        "mend": finding.mend or None,
        "details": dict(finding.details),
    }
