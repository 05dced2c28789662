"""The process of one box: its SSH server, its user data, its boot."""

from __future__ import annotations

import asyncio
import contextlib
import encodings.idna  # noqa: F401 - imported late by getaddrinfo, when its file may be out of reach
import gc
import logging
import os
import signal
import socket
import sys
from pathlib import Path

import asyncssh

from spot_connect.core.errors import DeadlinePassed
from spot_connect.local.boxes import entry, userdata
from spot_connect.local.boxes.children import Children
from spot_connect.local.boxes.furnishing import environment, furnish
from spot_connect.local.boxes.layout import View, home_of, view_of
from spot_connect.local.boxes.levels import Level
from spot_connect.local.boxes.order import Order, tell
from spot_connect.local.boxes.processes import end_descendants
from spot_connect.local.boxes.server import BoxServer, BoxSFTP, Lines, server_options
from spot_connect.local.boxes.sessions import Account


def run(order: Order, listener: socket.socket, channel: socket.socket, go: int) -> None:
    """Be the box until the daemon ends it. Returns only when it could not start."""
    try:
        entry.settle(order, go)
        gc.enable()  # what the zygote froze stays untouched, and so shared
        os.umask(0o022)
        view = view_of(order)
        furnish(order, view)
        os.chdir(view.home)
        asyncio.run(_serve(order, view, listener, channel))
    except Exception as error:
        logging.exception("box %s", order.instance_id)
        tell(channel, "failed", str(error))


async def _serve(order: Order, view: View, listener: socket.socket, channel: socket.socket) -> None:
    ended = asyncio.Event()
    lines = Lines()
    channel.settimeout(0)
    asyncio.get_running_loop().add_reader(channel.fileno(), _hear, channel, lines, ended)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    children = Children()
    children.watch()
    tell(channel, "ready")
    boot = asyncio.ensure_future(_boot(order, view, listener, channel, children, lines))
    over = asyncio.ensure_future(ended.wait())
    await asyncio.wait([boot, over], return_when=asyncio.FIRST_COMPLETED)
    if boot.done():
        boot.result()
    await over
    if order.level is Level.PLAIN:
        with contextlib.suppress(DeadlinePassed):
            end_descendants(os.getpid(), order.instance_id)
    os._exit(0)


def _hear(channel: socket.socket, lines: Lines, ended: asyncio.Event) -> None:
    """What the daemon says, or that it has gone."""
    try:
        said = channel.recv(4096)
    except BlockingIOError:
        return
    except OSError:
        said = b""
    if not said:
        ended.set()
    for _ in range(said.count(b"\n")):
        tell(channel, "dropped", str(lines.drop()))


async def _boot(
    order: Order, view: View, listener: socket.socket, channel: socket.socket, children: Children, lines: Lines
) -> None:
    await asyncio.sleep(order.boot_seconds)
    account = Account(children, environment(order, view), view.home, _shell())
    mapped = {} if order.level.isolated else {home_of(order.username): view.home, "/var/log": view.log}

    def connection() -> BoxServer:
        return BoxServer(order.username, view, account, mapped, lines)

    await asyncssh.listen(sock=listener, options=server_options(order.host_key), server_factory=connection)
    tell(channel, "running")
    try:
        await userdata.run(order, view, account)
    except OSError:
        logging.exception("user data of %s", order.instance_id)


def _shell() -> str:
    return "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh"


def warm_up() -> None:
    """Import whatever a connection imports late: in a box those files may be out of reach, and here it is paid once."""
    asyncio.run(_handshake())


class _Anybody(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        """Let our own trial in."""
        return False


async def _handshake() -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    options = server_options(key.export_private_key().decode())
    listener = await asyncssh.listen(
        "127.0.0.1", 0, options=options, server_factory=_Anybody, sftp_factory=lambda channel: BoxSFTP(channel, {})
    )
    with contextlib.suppress(asyncssh.Error, OSError):
        async with (
            asyncssh.connect(
                "127.0.0.1", listener.get_port(), known_hosts=None, username="nobody", client_keys=[key], config=None
            ) as conn,
            conn.start_sftp_client() as sftp,
        ):
            await sftp.listdir("/")
    listener.close()
    await listener.wait_closed()


if sys.platform == "win32":
    raise ImportError("boxes need a POSIX system")
