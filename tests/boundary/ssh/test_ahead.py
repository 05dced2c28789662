"""What is sent before its turn: that it works where a server goes along, and costs no more than a line where not."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from spot_connect.core.errors import SshLost, SshRefused
from spot_connect.core.models import Address
from spot_connect.ssh.command import run
from spot_connect.ssh.connection import Connection
from spot_connect.ssh.pipe import Pipe
from tests.boundary.ssh.servers import Proxy, Server, asyncssh_server, make_key, openssh


class Place:
    """Starts servers, each with a line to it whose calls can be counted."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack

    def openssh(self, settings: str) -> tuple[Server, Proxy]:
        return self._with_proxy(self._stack.enter_context(openssh(self._folder, settings=settings)))

    def asyncssh(self, **options: object) -> tuple[Server, Proxy]:
        return self._with_proxy(self._stack.enter_context(asyncssh_server(self._folder, **options)))

    def _with_proxy(self, server: Server) -> tuple[Server, Proxy]:
        return server, self._stack.enter_context(Proxy(server.address))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(tmp_path, stack)


def said(server: Server, proxy: Proxy) -> tuple[bytes, bytes]:
    """What a command that travels with the login says, and what the next one says on the same line."""
    with server.connection(address=proxy.address, known=()) as connection:
        with Pipe(connection, "echo first") as pipe:
            first = pipe.read_line()
        return first, run(connection, "echo second").stdout


@pytest.mark.parametrize(
    "settings",
    [
        "",
        "MaxAuthTries 1",
        "HostKeyAlgorithms rsa-sha2-512",
        "HostKeyAlgorithms ecdsa-sha2-nistp256",
        "KexAlgorithms diffie-hellman-group14-sha256,ecdh-sha2-nistp256",
        "Banner {folder}/banner",
        "PermitUserRC no\nPermitTTY no\nAllowTcpForwarding no",
        "Ciphers aes256-ctr\nMACs hmac-sha2-256",
    ],
)
def test_one_line_is_enough_where_the_guesses_are_right(place: Place, tmp_path: Path, settings: str) -> None:
    (tmp_path / "banner").write_text("Authorized use only.\n" * 500)
    server, proxy = place.openssh(settings.format(folder=tmp_path))
    assert said(server, proxy) == (b"first", b"second\n")
    assert proxy.calls == 1


@pytest.mark.parametrize("kind", ["curve25519-sha256@libssh.org", "curve25519-sha256", "diffie-hellman-group14-sha256"])
def test_a_server_that_wants_another_key_exchange_gets_it_on_a_second_line(place: Place, kind: str) -> None:
    server, proxy = place.openssh(f"KexAlgorithms {kind}")
    assert said(server, proxy) == (b"first", b"second\n")
    assert proxy.calls == 2


def test_further_lines_do_not_guess_again_what_was_wrong(place: Place) -> None:
    """Sixteen lines that are given up would have OpenSSH shut us out."""
    server, proxy = place.openssh("KexAlgorithms diffie-hellman-group14-sha256")
    with server.connection(address=proxy.address) as connection:
        connection.open()
        for _ in range(3):
            with connection.another() as further:
                further.open()
    assert proxy.calls == 2 + 3


def test_the_second_line_checks_the_host_key_again(place: Place) -> None:
    server, proxy = place.openssh("KexAlgorithms curve25519-sha256@libssh.org")
    seen: list[object] = []
    with server.connection(address=proxy.address, verify=seen.append) as connection:
        connection.open()
    assert seen == [server.host_key]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds packets back")
def test_all_that_can_be_said_before_the_server_speaks_comes_at_once(place: Place) -> None:
    server, _ = place.openssh("")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server.connection(address=Address(*listening.getsockname())).open_soon()
        with listening.accept()[0] as line:
            first = line.recv(65536)
            line.settimeout(0)
            with pytest.raises(BlockingIOError):
                line.recv(1)
    greeting, _, packets = first.partition(b"\r\n")
    kinds = []
    while packets:
        kinds.append(packets[5])
        packets = packets[4 + int.from_bytes(packets[:4], "big") :]
    # RFC 4253, 12: KEXINIT, and of the exchange (RFC 5656, 7.1) KEX_ECDH_INIT.
    assert (greeting[:8], kinds) == (b"SSH-2.0-", [20, 30])


def test_a_server_that_opens_no_session_is_told_as_such(place: Place) -> None:
    server, proxy = place.openssh("MaxSessions 0")
    with server.connection(address=proxy.address) as connection:
        with pytest.raises(SshLost):
            Pipe(connection, "echo first")
        with pytest.raises(SshLost):
            connection.channel()


def test_what_calls_itself_openssh_and_is_not_is_logged_in_to_in_order(place: Place) -> None:
    server, proxy = place.asyncssh(server_version="OpenSSH_9.9")
    assert said(server, proxy) == (b"first", b"second\n")


def test_another_server_is_spoken_to_in_order_after_the_key_exchange(place: Place) -> None:
    server, proxy = place.asyncssh()
    assert said(server, proxy) == (b"first", b"second\n")
    assert proxy.calls == 1


def test_a_server_of_another_make_with_another_key_exchange(place: Place) -> None:
    server, proxy = place.asyncssh(kex_algs=["ecdh-sha2-nistp384"])
    assert said(server, proxy) == (b"first", b"second\n")
    assert proxy.calls == 2


def test_a_forced_command_takes_the_place_of_ours(place: Place, tmp_path: Path) -> None:
    server, proxy = place.openssh("ForceCommand echo forced")
    with server.connection(address=proxy.address) as connection, Pipe(connection, "echo first") as pipe:
        assert pipe.read_line() == b"forced"
    assert proxy.calls == 1


@pytest.mark.parametrize("settings", ["", "MaxAuthTries 1"])
def test_a_refused_key_is_refused_though_a_command_went_along(place: Place, tmp_path: Path, settings: str) -> None:
    server, proxy = place.openssh(settings)
    make_key(tmp_path / "other")
    with (
        server.connection(address=proxy.address, key_file=tmp_path / "other") as connection,
        pytest.raises(SshRefused),
    ):
        Pipe(connection, f"touch {tmp_path}/done")
    assert not (tmp_path / "done").exists()


def test_a_command_that_was_announced_is_started_once(place: Place, tmp_path: Path) -> None:
    server, proxy = place.openssh("")
    command = f"echo once >> {tmp_path}/told; cat {tmp_path}/told"
    with server.connection(address=proxy.address) as connection:
        connection.open_soon(command)
        with Pipe(connection, command) as pipe:
            assert pipe.read_line() == b"once"
            with pytest.raises(EOFError):
                pipe.read(1)


def test_a_command_that_was_announced_and_has_ended_is_not_started_again(place: Place, tmp_path: Path) -> None:
    server, proxy = place.openssh("")
    told = tmp_path / "told"
    command = f"echo once >> {told}; cat {told}"
    with server.connection(address=proxy.address) as connection:
        connection.open_soon(command)
        run(connection, f"until [ -s {told} ]; do sleep 0.05; done; sleep 0.5")
        with Pipe(connection, command) as pipe:
            assert pipe.read(5) == b"once\n"
            with pytest.raises(EOFError):
                pipe.read(1)


def test_another_command_than_was_announced_gets_a_session_of_its_own(place: Place) -> None:
    server, proxy = place.openssh("")
    with server.connection(address=proxy.address) as connection:
        connection.open_soon("echo announced")
        with Pipe(connection, "echo another") as pipe:
            assert pipe.read_line() == b"another"
        assert run(connection, "echo third").stdout == b"third\n"
        with Pipe(connection, "echo announced") as pipe:
            assert pipe.read_line() == b"announced"
    assert proxy.calls == 1


def test_any_server_takes_more_than_its_window_over_a_line_without_delay(connection: Connection) -> None:
    for _ in range(2):
        with Pipe(connection, "head -c 9000000 | wc -c") as pipe:
            pipe.write(bytes(9_000_000))
            assert pipe.read_line().strip() == b"9000000"
