"""Commands of the user's that run before the machine is taken away, and the files that say that it will be."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from spot_connect.interruption import modes
from spot_connect.interruption.ledger import home

SHARE = 3 / 4
"""Of the time from the notice to the end, what a hook may take."""
REBALANCE_SECONDS = 110.0


def notice_file() -> Path:
    """Exists from the notice on: ``{"deadline": ..., "seen": ...}`` in seconds since the epoch."""
    return home() / "notice.json"


def rebalance_file() -> Path:
    """Exists from the recommendation to rebalance on."""
    return home() / "rebalance.json"


def hooks_file() -> Path:
    """The hooks of the instance itself: ``{"on_interrupt": ..., "on_rebalance": ...}``."""
    return home() / "hooks.json"


def start(command: str | None, deadline: float, environment: Mapping[str, str]) -> threading.Thread | None:
    """Run the hook beside the caller, until :data:`SHARE` of the time is over; ``None`` where there is no hook."""
    if not command:
        return None
    left = max(0.0, deadline - time.time())
    variables = {
        **environment,
        "SPOT_CONNECT_SECONDS_LEFT": str(int(left)),
        "SPOT_CONNECT_DEADLINE": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(deadline)),
    }
    thread = threading.Thread(target=_run, args=(command, left * SHARE, variables), daemon=True)
    thread.start()
    return thread


def _run(command: str, seconds: float, environment: Mapping[str, str]) -> None:
    with (home() / "hooks.log").open("ab") as log, modes.for_the_user():
        child = subprocess.Popen(  # noqa: S603 - the user's own command, for which this is made
            ["bash", "-c", command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,  # noqa: S607 - where bash lies depends on the image
            cwd=str(Path.home()), env=dict(environment), start_new_session=True,
        )  # fmt: skip
    try:
        status = child.wait(seconds)
        said = f"ended with status {status}"
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, 9)
        said = f"was ended after {seconds:.0f} s"
    sys.stderr.write(f"{time.strftime('%FT%T')} hook {said}: {command}\n")
