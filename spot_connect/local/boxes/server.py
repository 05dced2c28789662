"""The SSH server of a box, and its SFTP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Awaitable, Mapping
from typing import cast

import asyncssh
from asyncssh.constants import MSG_CHANNEL_REQUEST

from spot_connect.local.boxes.layout import View
from spot_connect.local.boxes.sessions import Account, BoxProcess, serve_session

_AT_ONCE = struct.pack("ii", 1, 0)


def server_options(host_key: str) -> asyncssh.SSHServerConnectionOptions:
    """How a box speaks SSH: one host key, keys only, bytes untouched."""
    return asyncssh.SSHServerConnectionOptions(
        server_host_keys=[asyncssh.import_private_key(host_key)],
        encoding=None,
        line_editor=False,
        agent_forwarding=False,
        password_auth=False,
        kbdint_auth=False,
        gss_host=None,
        host_based_auth=False,
        server_version="OpenSSH_9.2",
    )


class Lines:
    """The SSH connections that are open."""

    def __init__(self) -> None:
        self._open: set[asyncssh.SSHServerConnection] = set()

    def add(self, conn: asyncssh.SSHServerConnection) -> None:
        """One more."""
        self._open.add(conn)

    def discard(self, conn: asyncssh.SSHServerConnection) -> None:
        """It has ended."""
        self._open.discard(conn)

    def drop(self) -> int:
        """Break them all, without a goodbye; how many there were."""
        count = len(self._open)
        while self._open:
            conn = self._open.pop()
            # Reset, so that what is under way is lost, as on a line that breaks.
            conn.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            conn.abort()
        return count


class BoxChannel(asyncssh.SSHServerChannel[bytes]):
    """A session that takes requests while it is being opened, as OpenSSH's does: a client need not wait for that.

    asyncssh opens it in a task of its own and hangs up at what comes before.
    """

    def process_packet(self, pkttype: int, pktid: int, packet: asyncssh.packet.SSHPacket) -> bool | Awaitable[None]:
        """Handle one packet, once the session is open."""
        if pkttype == MSG_CHANNEL_REQUEST and self._recv_state == "closed":
            return self._process_later(pkttype, pktid, packet)
        return super().process_packet(pkttype, pktid, packet)

    async def _process_later(self, pkttype: int, pktid: int, packet: asyncssh.packet.SSHPacket) -> None:
        while self._recv_state == "closed" and self._conn:
            await asyncio.sleep(0)
        super().process_packet(pkttype, pktid, packet)


class BoxServer(asyncssh.SSHServer):
    """One connection to a box."""

    def __init__(self, username: str, view: View, account: Account, mapped: Mapping[str, str], lines: Lines) -> None:
        self._username = username
        self._view = view
        self._account = account
        self._mapped = mapped
        self._lines = lines
        self._conn: asyncssh.SSHServerConnection

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """A client has connected."""
        self._conn = conn
        self._lines.add(conn)
        conn.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._lines.discard(self._conn)

    def begin_auth(self, username: str) -> bool:
        """Authentication is always required; only the box's own user has keys to authenticate with."""
        if username == self._username:
            with contextlib.suppress(OSError, ValueError):
                self._conn.set_authorized_keys(f"{self._view.home}/.ssh/authorized_keys")
        return True

    def public_key_auth_supported(self) -> bool:
        """Keys are the only way in."""
        return True

    def session_requested(self) -> tuple[asyncssh.SSHServerChannel[bytes], BoxProcess]:
        """A session of the box's own kind."""
        channel = self._conn.create_server_channel(encoding=None)
        channel.__class__ = BoxChannel
        return channel, BoxProcess(self._serve, self._sftp, 3, True)  # noqa: FBT003 - asyncssh's signature

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        if isinstance(process, BoxProcess):
            await serve_session(process, self._account)

    def _sftp(self, channel: asyncssh.channel.SSHChannel[bytes]) -> BoxSFTP:
        return BoxSFTP(channel, self._mapped)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        """Forwarding from the client: allowed, as sshd does."""
        return True

    def server_requested(self, listen_host: str, listen_port: int) -> bool:
        """Forwarding to the client: allowed, as sshd does."""
        return True


class BoxSFTP(asyncssh.SFTPServer):
    """SFTP with the rights and the view of the process it runs in.

    ``mapped`` names directories that are elsewhere: at the plain level ``/home/ec2-user`` is the instance's home.
    """

    def __init__(self, channel: asyncssh.channel.SSHChannel[bytes], mapped: Mapping[str, str]) -> None:
        super().__init__(cast("asyncssh.SSHServerChannel[bytes]", channel))
        self._mapped = {os.fsencode(theirs): os.fsencode(ours) for theirs, ours in mapped.items()}

    def map_path(self, path: bytes) -> bytes:
        """The path to use for the one the client named."""
        for theirs, ours in self._mapped.items():
            if path == theirs or path.startswith(theirs + b"/"):
                return ours + path[len(theirs) :]
        return path

    def exit(self) -> None:
        """The client has finished; without a status OpenSSH's scp reports failure."""
        if isinstance(self.channel, asyncssh.SSHServerChannel):
            with contextlib.suppress(OSError):
                self.channel.exit(0)
