"""Servers that put commands for the terminal into whatever an SSH server may say before and after the host key."""

from __future__ import annotations

import socket
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import asyncssh
import pytest

from spot_connect.core.errors import SshError
from spot_connect.core.models import Address
from spot_connect.ssh.connection import Connection
from spot_connect.ssh.readiness import wait_until_ready
from tests.boundary.ssh.servers import asyncssh_server, make_key

ESCAPES = "\x1b]0;pwned\x07\x9b2J\u202e"
RAW = ESCAPES.encode()
OPENSSH = b"SSH-2.0-OpenSSH_9.9\r\n"


def disconnect(words: bytes) -> bytes:
    """A packet before the key exchange (RFC 4253, 6 and 11.1) that ends the line with these words."""
    payload = b"\x01" + (11).to_bytes(4, "big") + len(words).to_bytes(4, "big") + words + bytes(4)
    padding = 8 - (len(payload) + 5) % 8 + 8
    return (len(payload) + padding + 1).to_bytes(4, "big") + bytes([padding]) + payload + bytes(padding)


@contextmanager
def saying(words: bytes) -> Iterator[Address]:
    """A server that says the same to everybody, and hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                caller, _ = listener.accept()
                with caller, suppress(OSError):
                    caller.sendall(words)
                    caller.shutdown(socket.SHUT_WR)
                    while caller.recv(65536):
                        pass

    server = threading.Thread(target=serve)
    server.start()
    try:
        yield Address("127.0.0.1", listener.getsockname()[1])
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        server.join(20)


def must_be_harmless(error: BaseException) -> None:
    """Neither the error nor the traceback, with those that led to it, has anything for a terminal to act on."""
    assert str(error).isprintable()
    whole = "".join(traceback.format_exception(error)).replace("\n", "")
    assert whole.isprintable(), whole


@pytest.mark.parametrize(
    "words",
    [
        RAW + b"\r\n",
        b"SSH-2.0-" + RAW + b"\r\n",
        b"SSH-9" + RAW + b"-x\r\n",
        b"SSH-" + RAW + b"\r\n",
        RAW + b"\r\n" + OPENSSH,
        OPENSSH + disconnect(RAW),
        OPENSSH + disconnect(b"\xff\xfe\x1b[2J"),
        OPENSSH + disconnect(RAW * 2000),
        OPENSSH + RAW * 100,
        b"HTTP/1.1 200 OK\r\n" + RAW * 100,
    ],
)
def test_nothing_that_is_said_before_the_host_key_reaches_the_terminal(tmp_path, words):
    make_key(tmp_path / "key")
    with saying(words) as address:
        connection = Connection(address, "ec2-user", tmp_path / "key", verify=lambda key: None, connect_seconds=5)
        with connection, pytest.raises(SshError) as caught:
            connection.open()
    must_be_harmless(caught.value)
    assert len(str(caught.value)) < 1000


def test_what_greets_instead_of_a_server_is_shown_as_it_is_written(tmp_path):
    with saying(RAW) as address, pytest.raises(SshError) as caught:
        wait_until_ready(address, seconds=0.5)
    must_be_harmless(caught.value)


class Farewell(asyncssh.SSHServer):
    """Lets nobody in, and says why."""

    def begin_auth(self, username: str) -> bool:
        raise asyncssh.DisconnectError(asyncssh.DISC_BY_APPLICATION, f"{ESCAPES} get lost\nspot_connect: all is well")


@pytest.mark.parametrize("version", ["OpenSSH_9.9", "Other"])
def test_the_words_of_a_server_that_hangs_up_are_one_line_that_is_fit_to_show(tmp_path, version, monkeypatch):
    listen = asyncssh.listen

    def listen_and_refuse(*arguments: object, **options: object) -> object:
        return listen(*arguments, **{**options, "server_factory": Farewell})

    monkeypatch.setattr(asyncssh, "listen", listen_and_refuse)
    with (
        asyncssh_server(tmp_path, server_version=version) as server,
        server.connection() as connection,
        pytest.raises(SshError) as caught,
    ):
        connection.open()
    must_be_harmless(caught.value)
    assert r"\x1b]0;pwned\x07" in str(caught.value)
    assert r"get lost\nspot_connect" in str(caught.value)


class Banner(asyncssh.SSHServer):
    """Lets nobody in after a banner."""

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._line = conn

    def begin_auth(self, username: str) -> bool:
        self._line.send_auth_banner(f"{ESCAPES}welcome\n")
        return True

    def public_key_auth_supported(self) -> bool:
        return False


def test_a_banner_before_the_login_is_not_shown(tmp_path, monkeypatch, capfd):
    listen = asyncssh.listen

    def listen_with_banner(*arguments: object, **options: object) -> object:
        return listen(*arguments, **{**options, "server_factory": Banner})

    monkeypatch.setattr(asyncssh, "listen", listen_with_banner)
    with asyncssh_server(tmp_path) as server:
        make_key(tmp_path / "other")
        with server.connection(key_file=tmp_path / "other") as connection, pytest.raises(SshError) as caught:
            connection.open()
    must_be_harmless(caught.value)
    assert "pwned" not in "".join(capfd.readouterr())
