"""Waiting for a boot must not have the server shut us out, as OpenSSH does since 9.8 (PerSourcePenalties).

https://man.openbsd.org/sshd_config#PerSourcePenalties
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from spot_connect.core.errors import SshUnreachable
from spot_connect.core.models import Address
from spot_connect.ssh.command import run
from spot_connect.ssh.connection import Connection
from spot_connect.ssh.readiness import wait_for_login, wait_until_ready
from tests.boundary.ssh.servers import SSHD, make_key, openssh

NO_LOGIN, REFUSED, ENFORCED_FROM, MOST = 1.0, 5.0, 15.0, 600.0
STARTS_AFTER = 5.0


class Penalising:
    """A server that shuts an address out by OpenSSH's own figures; its port may be open before it greets."""

    def __init__(self, folder: Path, *, refuses: int = 0) -> None:
        self.key_file = folder / "user"
        make_key(self.key_file)
        make_key(folder / "host")
        self._host = folder / "host"
        self._key = (folder / "user.pub").read_text()
        self.refuses = refuses
        self.connections = self.shut_out = 0
        self._until = 0.0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.address = Address(*self.listener.getsockname())
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def greet(self) -> None:
        """Begin to serve."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(20)

    def close(self) -> None:
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(20)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(20)
        self._loop.close()
        self.listener.close()

    def connection(self) -> Connection:
        return Connection(self.address, "somebody", self.key_file, verify=lambda key: None)

    async def _listen(self) -> None:
        self._acceptor = await asyncssh.listen(
            sock=self.listener,
            server_factory=lambda: _Guarded(self),
            server_host_keys=[str(self._host)],
            process_factory=lambda process: process.exit(0),
        )

    async def _stop(self) -> None:
        self._acceptor.close()
        await self._acceptor.wait_closed()

    def is_shut(self) -> bool:
        """Whether the address may not come in now."""
        self.connections += 1
        left = self._until - time.monotonic()
        if left >= ENFORCED_FROM or (left > 0 and self.shut_out):
            self.shut_out += 1
            return True
        return False

    def penalise(self, seconds: float) -> None:
        now = time.monotonic()
        self._until = min(max(self._until, now) + seconds, now + MOST)
        if self._until - now >= ENFORCED_FROM:
            self.shut_out += 1

    def takes(self, key: asyncssh.SSHKey) -> bool:
        self.refuses -= 1
        return self.refuses < 0 and key == asyncssh.import_public_key(self._key)


class _Guarded(asyncssh.SSHServer):
    def __init__(self, door: Penalising) -> None:
        self._door = door
        self._asked = self._in = False

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._shut = self._door.is_shut()
        if self._shut:
            conn.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._in and not self._shut:
            self._door.penalise(REFUSED if self._asked else NO_LOGIN)

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self._asked = True
        return self._door.takes(key)

    def auth_completed(self) -> None:
        self._in = True


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Penalising]:
    with contextlib.closing(Penalising(tmp_path)) as server:
        yield server


def test_a_port_that_is_open_long_before_anybody_greets_does_not_shut_us_out(guarded: Penalising) -> None:
    """As where systemd listens for sshd, and hands over all connections that have come meanwhile."""
    late = threading.Timer(STARTS_AFTER, guarded.greet)
    late.start()
    with guarded.connection() as connection:
        try:
            wait_until_ready(guarded.address, seconds=60, for_login=connection)
            wait_for_login(connection, seconds=60)
        finally:
            late.join()
        assert connection.is_open
        # Further lines, as for many files, are let in, too.
        for _ in range(5):
            with connection.another() as further:
                assert run(further, "true").exit_status == 0
    assert guarded.shut_out == 0


def test_the_connection_that_was_greeted_is_the_one_that_logs_in(guarded: Penalising) -> None:
    guarded.greet()
    with guarded.connection() as connection:
        wait_until_ready(guarded.address, seconds=20, for_login=connection)
        wait_for_login(connection, seconds=20)
        assert guarded.connections == 1


def test_a_key_that_comes_late_does_not_shut_us_out(guarded: Penalising) -> None:
    guarded.refuses = 4
    guarded.greet()
    with guarded.connection() as connection:
        wait_until_ready(guarded.address, seconds=20, for_login=connection)
        wait_for_login(connection, seconds=60)
        assert connection.is_open
    assert guarded.shut_out == 0


def test_a_greeting_that_nobody_logs_in_by_is_closed(guarded: Penalising) -> None:
    guarded.greet()
    wait_until_ready(guarded.address, seconds=20)
    with guarded.connection() as connection:
        wait_until_ready(guarded.address, seconds=20, for_login=connection)
        wait_until_ready(guarded.address, seconds=20, for_login=connection)
        assert run(connection, "true").exit_status == 0


def test_servers_that_hang_up_are_asked_ever_less_often() -> None:
    accepted = []

    def hang_up() -> None:
        with contextlib.suppress(OSError):
            while True:
                connected, _ = listener.accept()
                accepted.append(connected)
                connected.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=hang_up)
        thread.start()
        try:
            with pytest.raises(Exception, match=r"hung up|reset"):
                wait_until_ready(Address(*listener.getsockname()), seconds=8)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
    assert 2 <= len(accepted) <= 6


@pytest.mark.parametrize("waits", [True, False])
def test_who_is_shut_out_is_told_so(tmp_path: Path, waits: bool) -> None:
    make_key(tmp_path / "key")

    def knock(address: Address) -> None:
        if waits:
            wait_until_ready(address, seconds=0.5)
        Connection(address, "somebody", tmp_path / "key", verify=lambda key: None).open()

    def refuse() -> None:
        with contextlib.suppress(OSError):
            while True:
                connected, _ = listener.accept()
                connected.sendall(b"Not allowed at this time\r\n")
                connected.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address(*listener.getsockname())
        thread = threading.Thread(target=refuse)
        thread.start()
        try:
            with pytest.raises(SshUnreachable) as caught:
                knock(address)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
    assert "Not allowed at this time" in caught.value.said
    assert "shuts your address out" in caught.value.advice


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[object]:
    """OpenSSH's own server, which penalises even the loopback address."""
    settings = "PerSourcePenalties yes\nPerSourcePenaltyExemptList none"
    (tmp_path / "try").write_text(settings)
    known = subprocess.run([SSHD, "-T", "-f", str(tmp_path / "try")], capture_output=True, text=True, check=False)
    if "Bad configuration option" in known.stderr:
        pytest.skip("this OpenSSH has no PerSourcePenalties")
    with openssh(tmp_path, settings=settings) as server:
        yield server


def test_openssh_itself_does_not_shut_us_out(strict: object, tmp_path: Path) -> None:
    late = tmp_path / "late"
    make_key(late)
    with strict.connection(key_file=late) as connection:

        def install() -> None:
            late.write_bytes(strict.key_file.read_bytes())

        timer = threading.Timer(8.0, install)
        timer.start()
        try:
            wait_until_ready(strict.address, seconds=20, for_login=connection)
            wait_for_login(connection, seconds=60)
        finally:
            timer.join()
        for _ in range(5):
            with connection.another() as further:
                assert run(further, "true").exit_status == 0
    assert b"penalty" not in (tmp_path / "log").read_bytes()
