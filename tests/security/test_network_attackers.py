"""Somebody on the network between the client and the instance, who answers in its place or changes what passes."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh
import pytest

from spot_connect.core.errors import HostKeyChanged, SshError
from spot_connect.core.models import Address
from spot_connect.ssh.command import run
from spot_connect.ssh.connection import Connection
from spot_connect.ssh.host_keys import HostKey
from tests.boundary.ssh.servers import make_key, openssh

_IGNORE = 2  # RFC 4253, 12


class Impostor:
    """An SSH server with a key of its own that lets everybody in and remembers all that it was told."""

    def __init__(self, folder: Path) -> None:
        self.key = make_key(folder / "impostor")
        self.heard: list[str] = []
        self._folder = folder

    @contextmanager
    def listening(self) -> Iterator[Address]:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            server = asyncio.run_coroutine_threadsafe(self._listen(), loop).result(20)
            yield Address("127.0.0.1", server.get_port())
            loop.call_soon_threadsafe(server.close)
            asyncio.run_coroutine_threadsafe(server.wait_closed(), loop).result(20)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(20)
            loop.close()

    async def _listen(self) -> asyncssh.SSHAcceptor:
        heard = self.heard

        class Open(asyncssh.SSHServer):
            def begin_auth(self, username: str) -> bool:
                heard.append(username)
                return False

        def told(process: asyncssh.SSHServerProcess[str]) -> None:
            heard.append(process.command or "shell")
            process.exit(0)

        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=Open,
            server_host_keys=[str(self._folder / "impostor")],
            process_factory=told,
        )


def accept_only(key: HostKey):
    """A check that knows one key."""

    def verify(shown: HostKey) -> None:
        if shown != key:
            raise HostKeyChanged(f"{shown.fingerprint} is not pinned")

    return verify


def test_an_impostor_hears_neither_the_user_nor_the_command(tmp_path: Path) -> None:
    impostor = Impostor(tmp_path)
    pinned = make_key(tmp_path / "real")
    make_key(tmp_path / "user")
    with impostor.listening() as address:
        for known in ((pinned,), ()):
            line = Connection(address, "me", tmp_path / "user", verify=accept_only(pinned), known=known)
            with line, pytest.raises(HostKeyChanged):
                run(line, "echo secret")
        assert impostor.heard == []
        # The server does hear those who accept its key, so the test can fail.
        with Connection(address, "me", tmp_path / "user", verify=accept_only(impostor.key)) as line:
            run(line, "echo hello")
        assert impostor.heard[0] == "me"
        assert any("echo hello" in said for said in impostor.heard)


class Inserting:
    """A line that puts one more packet into what the server sends, while nothing is encrypted yet (CVE-2023-48795)."""

    def __init__(self, target: Address, *, inserts: bool) -> None:
        self._target = target
        self._inserts = inserts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = Address("127.0.0.1", self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Inserting:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._thread.join(20)

    def _serve(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        server = socket.create_connection((self._target.host, self._target.port))
        back = threading.Thread(target=_copied, args=(client, server))
        back.start()
        with client, server:
            # The server's greeting, and its offer, are let through as they are.
            greeting = b""
            while not greeting.endswith(b"\n"):
                greeting += server.recv(1)
            client.sendall(greeting)
            if self._inserts:
                client.sendall(_packet(bytes([_IGNORE]) + (0).to_bytes(4, "big")))
            _copied(server, client)
        back.join(20)


def _copied(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def _packet(payload: bytes) -> bytes:
    padding = 8 - (len(payload) + 5) % 8 + 8
    return (len(payload) + padding + 1).to_bytes(4, "big") + bytes([padding]) + payload + os.urandom(padding)


@pytest.mark.parametrize("inserts", [False, True])
def test_a_packet_put_in_before_the_keys_ends_the_connection(tmp_path: Path, inserts: bool) -> None:
    with openssh(tmp_path) as server, Inserting(server.address, inserts=inserts) as between:
        line = server.connection(address=between.address)
        if not inserts:
            assert run(line, "echo hello").stdout == b"hello\n"
            line.close()
            return
        with line, pytest.raises(SshError):
            run(line, "echo hello")
