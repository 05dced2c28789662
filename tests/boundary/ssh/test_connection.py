"""What a connection promises, whatever server is at the other end."""

from __future__ import annotations

import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spot_connect.core.errors import HostKeyChanged, SshLost, SshRefused, SshUnreachable, UsageError
from spot_connect.core.models import Address
from spot_connect.core.waiting import Clock
from spot_connect.ssh.command import run
from spot_connect.ssh.connection import Connection
from spot_connect.ssh.host_keys import HostKey
from spot_connect.ssh.readiness import wait_for_login, wait_until_ready
from tests.boundary.ssh.servers import Proxy, Server, free_port, make_key


def test_logs_in_at_first_use_and_stays_open(connection: Connection) -> None:
    assert not connection.is_open
    assert run(connection, "echo hello").stdout == b"hello\n"
    assert connection.is_open
    connection.close()
    assert not connection.is_open
    assert run(connection, "echo again").stdout == b"again\n"


def test_shows_the_servers_own_key_to_verify(server: Server) -> None:
    seen: list[HostKey] = []
    with server.connection(verify=seen.append) as connection:
        connection.open()
    assert seen == [server.host_key]


def test_a_pinned_key_is_asked_for_before_any_other_kind(server: Server) -> None:
    for key in (server.host_key, *server.other_keys):
        seen: list[HostKey] = []
        with server.connection(known=(key,), verify=seen.append) as connection:
            connection.open()
        assert seen == [key]


def test_a_changed_host_key_is_refused_before_anything_is_sent(server: Server, tmp_path: Path) -> None:
    def refuse(key: HostKey) -> None:
        raise HostKeyChanged(f"{key.fingerprint} is not pinned")

    # With a key that the server would refuse: had the login come first, that would be the error.
    make_key(tmp_path / "other")
    with server.connection(verify=refuse, key_file=tmp_path / "other") as connection:
        with pytest.raises(HostKeyChanged, match="is not pinned"):
            connection.open()
        assert not connection.is_open


def test_a_wrong_key_is_refused_once_with_advice(server: Server, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    with server.connection(key_file=tmp_path / "other") as connection, pytest.raises(SshRefused) as caught:
        connection.open()
    assert "-un" in caught.value.advice
    assert str(tmp_path / "other") in caught.value.advice


def test_a_key_with_a_passphrase_is_refused_with_advice(server: Server, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", tmp_path / "locked"], check=True)
    with server.connection(key_file=tmp_path / "locked") as connection, pytest.raises(UsageError) as caught:
        connection.open()
    assert "passphrase" in caught.value.what
    assert "ssh-keygen -p" in caught.value.advice


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----"]
)
def test_a_broken_key_is_refused(server: Server, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken").write_bytes(content)
    with (
        server.connection(key_file=tmp_path / "broken") as connection,
        pytest.raises(UsageError, match="not a private"),
    ):
        connection.open()


def test_a_missing_key_is_refused(server: Server, tmp_path: Path) -> None:
    with server.connection(key_file=tmp_path / "none") as connection, pytest.raises(UsageError, match="cannot read"):
        connection.open()


@pytest.mark.parametrize("form", ["PEM", "RFC4716"])
def test_rsa_keys_work_in_both_forms(server: Server, tmp_path: Path, form: str) -> None:
    make_key(tmp_path / "rsa", "rsa", "-b", "2048", "-m", form)
    with server.connection(key_file=tmp_path / "rsa") as connection, pytest.raises(SshRefused):
        connection.open()


def test_the_key_is_read_before_anybody_is_called() -> None:
    key = Path("unused")
    connection = Connection(Address("127.0.0.1", free_port()), "me", key, verify=lambda _: None)
    with pytest.raises(UsageError, match="cannot read"):
        connection.open()


def test_a_refused_port_is_unreachable(server: Server) -> None:
    connection = server.connection(address=Address("127.0.0.1", free_port()))
    with pytest.raises(SshUnreachable, match="connection refused"):
        connection.open()


def test_a_name_that_does_not_resolve_is_unreachable(server: Server) -> None:
    with pytest.raises(SshUnreachable):
        server.connection(address=Address("no-such-host.invalid", 22)).open()


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n"])
def test_something_else_at_the_port_is_unreachable(server: Server, greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            line, _ = listener.accept()
            with line:
                line.sendall(greeting)
                line.shutdown(socket.SHUT_WR)
                while line.recv(1000):
                    pass

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(SshUnreachable):
            server.connection(address=Address("127.0.0.1", listener.getsockname()[1])).open()
        thread.join(10)


def test_no_thread_is_left_when_the_handshake_fails(server: Server) -> None:
    before = set(threading.enumerate())
    test_something_else_at_the_port_is_unreachable(server, b"SSH-2.0-x\r\n")
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    assert set(threading.enumerate()) <= before


def test_reconnects_after_the_line_died_while_idle(server: Server, proxy: Proxy) -> None:
    with server.connection(address=proxy.address) as connection:
        assert run(connection, "echo one").stdout == b"one\n"
        proxy.cut()
        assert run(connection, "echo two").stdout == b"two\n"


def test_many_threads_find_the_line_dead_and_open_one_for_all(server: Server, proxy: Proxy) -> None:
    with server.connection(address=proxy.address) as connection, ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert run(connection, "echo one").stdout == b"one\n"
            proxy.cut()
            answers = list(pool.map(lambda number: run(connection, f"echo {number}").stdout, range(8)))
            assert answers == [f"{number}\n".encode() for number in range(8)]


def test_a_line_that_breaks_under_a_command_is_never_a_success(server: Server, proxy: Proxy) -> None:
    with server.connection(address=proxy.address) as connection, pytest.raises(SshLost, match="not heard"):
        run(connection, "echo started; sleep 5", on_stdout=lambda _: proxy.cut())


def test_many_threads_share_one_line(server: Server, connection: Connection) -> None:
    answers: list[bytes] = []

    def ask() -> None:
        answers.extend(run(connection, "echo x").stdout for _ in range(10))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [b"x\n"] * 80


def test_ready_is_told_as_soon_as_the_server_greets(server: Server) -> None:
    wait_until_ready(server.address, seconds=10)


def test_a_server_that_comes_up_while_waiting_is_noticed() -> None:
    looks = [0]
    greeter = threading.Thread(target=lambda: listener.accept()[0].sendall(b"SSH-2.0-late\r\n"))

    def sleep(seconds: float) -> None:
        looks[0] += 1
        if looks[0] == 10:
            listener.listen()
            greeter.start()

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = Address("127.0.0.1", listener.getsockname()[1])
        wait_until_ready(address, seconds=600, clock=Clock(lambda: looks[0] * 0.05, sleep))
        greeter.join(10)
    # Ten looks with the port closed, and no more than a fifth of a second's after that.
    assert 10 <= looks[0] <= 15


def test_not_ready_tells_what_was_seen_last() -> None:
    time = [0.0]
    clock = Clock(now=lambda: time[0], sleep=lambda seconds: time.__setitem__(0, time[0] + seconds))
    with pytest.raises(SshUnreachable, match="refused") as caught:
        wait_until_ready(Address("127.0.0.1", free_port()), seconds=60, clock=clock)
    assert "security group" in caught.value.advice


def test_waiting_ends_when_the_instance_has_died() -> None:
    time, asked = [0.0], []
    clock = Clock(now=lambda: time[0], sleep=lambda seconds: time.__setitem__(0, time[0] + seconds))

    def alive() -> None:
        asked.append(time[0])
        if len(asked) == 3:
            raise RuntimeError("terminated")

    with pytest.raises(RuntimeError, match="terminated"):
        wait_until_ready(Address("127.0.0.1", free_port()), seconds=600, clock=clock, alive=alive)
    assert all(later - sooner >= 3 for sooner, later in zip([0.0, *asked], asked, strict=False))


def test_a_port_that_opens_but_does_not_greet_is_not_ready() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        pytest.raises(SshUnreachable, match="no SSH server greets"),
    ):
        wait_until_ready(Address("127.0.0.1", listener.getsockname()[1]), seconds=0.3)


def test_a_login_is_awaited_until_the_key_is_installed(server: Server, tmp_path: Path) -> None:
    late = tmp_path / "late"
    make_key(late)
    times = [0.0]

    def sleep(seconds: float) -> None:
        times.append(times[-1] + seconds)
        late.write_bytes(server.key_file.read_bytes())

    with server.connection(key_file=late) as connection:
        wait_for_login(connection, seconds=30, clock=Clock(lambda: times[-1], sleep))
        assert connection.is_open
    assert len(times) == 2


def test_a_login_refused_to_the_end_is_a_refusal(server: Server, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    time = [0.0]
    clock = Clock(lambda: time[0], lambda seconds: time.__setitem__(0, time[0] + seconds))
    with server.connection(key_file=tmp_path / "other") as connection, pytest.raises(SshRefused):
        wait_for_login(connection, seconds=2, clock=clock)
