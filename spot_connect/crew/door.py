"""What a client of the user's own needs to come in: the way, the key, and the versions to have."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from spot_connect.crew import enlisting
from spot_connect.crew.batch import find
from spot_connect.interruption.__main__ import UNKNOWN

_VERSIONS = (
    "import json, sys; from importlib.metadata import version;"
    "print(json.dumps({'python': sys.version_info[:2], 'dask': %s}))"
)


def show(asked: dict[str, Any]) -> int:
    """How to reach the head, which then waits for who has asked; without an address while there is none."""
    batch = find(asked["run"])
    if batch is None:
        return UNKNOWN
    if batch.end() is None:
        # Before the look that counts: the head looks for visits first, and ends the run then.
        batch.announce_visit()
    term = batch.term()
    start = term.start() if term else {}
    return _tell(
        {
            "outcome": (batch.end() or {}).get("outcome") or "",
            "instance": start.get("instance") or "",
            "address": start.get("address") or "",
            "tls": (batch.directory / "tls.pem").read_text(),
            "members": batch.members(),
        }
    )


def python(asked: dict[str, Any]) -> int:
    """The versions that this machine works with; none where a Python has to be installed first."""
    known = enlisting.suitable()
    likely = known or enlisting.likely()
    if not likely:
        return _tell({})
    program = _VERSIONS % ("version('distributed')" if known else repr(enlisting.DASK))
    return _tell(json.loads(subprocess.check_output([likely, "-c", program])))  # noqa: S603 - a Python that was found here, with a program of ours


def _tell(record: dict[str, Any]) -> int:
    sys.stdout.write(json.dumps(record) + "\n")
    return 0
