"""User data at boot, as cloud-init would: scripts run once per instance, their output goes to the log.

A script here runs as the box's user, with ``HOME=/root`` where the box has a ``/root`` of its own: at every namespace
level.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from spot_connect.local.boxes.children import Streams
from spot_connect.local.boxes.layout import View
from spot_connect.local.boxes.order import Order
from spot_connect.local.boxes.sessions import Account

DONE = "done"
ERROR = "error"
RUNNING = "running"


async def run(order: Order, view: View, account: Account) -> None:
    """Execute the user data unless this instance has before; the outcome is in ``<boot>/status``."""
    status = Path(view.boot, "status")
    if status.exists() and status.read_text().strip() in (DONE, ERROR):
        return
    status.write_text(RUNNING + "\n")
    with Path(view.output_log).open("ab", buffering=0) as log:
        log.write(_line("running 'modules:final'"))
        code = await _execute(order, view, account, log.fileno())
        log.write(_line("finished" if code == 0 else f"user data failed with status {code}"))
    status.write_text((DONE if code == 0 else ERROR) + "\n")


def _line(text: str) -> bytes:
    return f"Cloud-init v. 22.2.2 {text} at {time.strftime('%a, %d %b %Y %H:%M:%S +0000', time.gmtime())}.\n".encode()


async def _execute(order: Order, view: View, account: Account, log: int) -> int:
    if not order.user_data.strip():
        return 0
    if not order.user_data.startswith(b"#!"):
        os.write(log, b"User data is stored but not executed: only scripts that begin with #! are.\n")
        Path(view.boot, "user-data").write_bytes(order.user_data)
        return 0
    script = Path(view.boot, "part-001")
    script.write_bytes(order.user_data)
    script.chmod(0o700)
    variables = {**account.environment, "HOME": view.root_home}
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        _, end = account.children.start([str(script)], str(script), variables, "/", Streams(nothing, log, log))
        return os.waitstatus_to_exitcode(await asyncio.shield(end))
    except OSError as error:
        os.write(log, f"{script}: {error}\n".encode())
        return 126
    finally:
        os.close(nothing)
