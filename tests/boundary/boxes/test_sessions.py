"""A box answers SSH like the sshd of an EC2 instance."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import subprocess

import asyncssh
import paramiko
import pytest

from .conftest import until


def test_login_lands_in_the_users_home(shared):
    assert shared.output("pwd; echo $HOME").split() == [shared.home] * 2


def test_the_environment_is_the_boxs_own(shared, monkeypatch):
    names = {line.partition("=")[0] for line in shared.output("env").splitlines()}
    assert {"HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "SSH_CONNECTION", "SPOT_CONNECT_BOX"} <= names
    assert "PYTHONPATH" not in names


def test_a_name_is_known_in_a_namespace(shared):
    if not shared.cloud.isolated:
        pytest.skip("plain boxes share the system's users and host name")
    assert shared.output("whoami; hostname").split() == ["ec2-user", "ip-172-31-0-4"]


def test_an_ordinary_users_box_has_uid_1000(shared):
    if shared.cloud.who.is_root or not shared.cloud.isolated:
        pytest.skip("only a user namespace maps the uid")
    assert shared.output("id -u") == "1000"


@pytest.mark.parametrize("status", [0, 37, 255])
def test_the_exit_status_comes_back(shared, status):
    assert shared.run(f"exit {status}")[0] == status
    assert shared.ssh(f"exit {status}").returncode == status


def test_an_exit_by_signal_is_told(shared):
    async def exit_signal():
        options = {"username": "ec2-user", "client_keys": [shared.key.path], "known_hosts": None, "config": None}
        async with asyncssh.connect(shared.host, shared.port, **options) as conn:
            return (await conn.run("kill -TERM $$")).exit_signal

    assert asyncio.run(exit_signal())[0] == "TERM"


def test_streams_are_kept_apart_and_bytes_untouched(shared):
    data = bytes(range(256)) * 300
    with shared.connect() as client:
        stdin, stdout, stderr = client.exec_command("cat; echo wrong >&2")
        stdin.write(data)
        stdin.channel.shutdown_write()
        assert stdout.read() == data
        assert stderr.read() == b"wrong\n"


def test_fifty_megabytes_arrive_whole(shared):
    size = 50_000_000
    done = shared.ssh(f"head -c {size} /dev/zero | tee >(sha256sum >&2)")
    assert len(done.stdout) == size
    assert done.stderr.split()[0].decode() == hashlib.sha256(bytes(size)).hexdigest()


def test_a_slow_reader_gets_everything(shared):
    with shared.connect() as client:
        _, stdout, _ = client.exec_command("seq 1 2000000")
        lines = 0
        while piece := stdout.channel.recv(8192):
            lines += piece.count(b"\n")
        assert lines == 2_000_000


def test_input_larger_than_every_buffer_arrives(shared):
    data = b"x" * 20_000_000
    assert int(shared.ssh("wc -c", input=data).stdout) == len(data)


def test_a_command_that_ignores_its_input_ends(shared):
    assert shared.ssh("exit 3", input=b"y" * 5_000_000).returncode == 3


def test_a_login_shell_reads_commands(shared):
    done = shared.ssh(input=b"shopt -q login_shell && echo login; command -v sudo; exit 5\n", options=["-T"])
    assert done.returncode == 5
    assert done.stdout.split()[0] == b"login"
    assert done.stdout.split()[1].endswith(b"/sudo")


def test_a_terminal_has_the_clients_size_and_type(shared):
    with shared.connect() as client:
        channel = client.get_transport().open_session()
        channel.get_pty("vt220", 91, 33)
        channel.exec_command("tty; stty size; echo $TERM; exit 4")
        lines = channel.makefile("rb").read().decode().split("\r\n")
        assert lines[0].startswith("/dev/pts/")
        assert lines[1:3] == ["33 91", "vt220"]
        assert channel.recv_exit_status() == 4


def test_a_terminal_follows_the_window(shared):
    with shared.connect() as client:
        shell = terminal(client)
        # Bash runs its own trap at the prompt only if the signal meets it there; a child in a loop always does.
        shell.send('bash -c \'trap "stty size; exit" WINCH; echo rea""dy; while :; do sleep 0.05; done\'\n')
        read_until(shell, b"ready\r\n")
        shell.resize_pty(123, 45)
        read_until(shell, b"45 123\r\n")


def test_ctrl_c_interrupts_at_a_terminal(shared):
    with shared.connect() as client:
        shell = terminal(client)
        shell.send("sh -c 'echo slee''ping; exec sleep 1000'\n")
        read_until(shell, b"sleeping\r\n")
        shell.send("\x03")
        shell.send("echo status=$?\n")
        read_until(shell, b"status=130")
        shell.send("exit 9\n")
        assert shell.recv_exit_status() == 9


def terminal(client):
    shell = client.invoke_shell("xterm", 80, 24)
    shell.settimeout(60)
    read_until(shell, b"$ ")
    return shell


def read_until(channel, wanted):
    data = b""
    while wanted not in data:
        piece = channel.recv(4096)
        assert piece, data
        data += piece
    return data


def test_everything_on_a_terminal_is_sent_before_the_end(shared):
    done = shared.ssh("seq 1 100000", options=["-tt"], stdin=subprocess.DEVNULL)
    assert done.stdout.split()[-1] == b"100000"
    assert len(done.stdout.split()) == 100_000


def test_the_client_can_signal(shared):
    with shared.connect() as client:
        channel = client.get_transport().open_session()
        channel.exec_command("trap 'echo caught; exit 6' USR1; echo ready; while :; do sleep 0.05; done")
        read_until(channel, b"ready")
        message = paramiko.Message()
        message.add_byte(paramiko.common.cMSG_CHANNEL_REQUEST)
        message.add_int(channel.remote_chanid)
        message.add_string("signal")
        message.add_boolean(b=False)
        message.add_string("USR1")
        client.get_transport()._send_user_message(message)
        read_until(channel, b"caught")
        assert channel.recv_exit_status() == 6


def test_hanging_up_a_terminal_hangs_up_its_programs(shared):
    with shared.connect() as client:
        channel = client.get_transport().open_session()
        channel.get_pty()
        channel.exec_command("trap 'touch ~/hung-up; exit' HUP; echo ready; while :; do sleep 0.05; done")
        read_until(channel, b"ready")
    until(lambda: shared.run("test -e ~/hung-up")[0] == 0)


def test_the_status_comes_at_once_although_children_hold_the_output(shared):
    with shared.connect() as client:
        channel = client.get_transport().open_session()
        channel.exec_command("sleep 1000 & echo $!; exit 8")
        child = int(read_until(channel, b"\n"))
        assert channel.recv_exit_status() == 8
        shared.run(f"kill {child}")
        assert channel.recv(100) == b""


def test_a_detached_child_does_not_hold_the_session(shared):
    child = int(shared.ssh("nohup sleep 1000 >/dev/null 2>&1 </dev/null & echo $!").stdout)
    assert shared.run(f"kill -0 {child}")[0] == 0
    shared.run(f"kill {child}")


@pytest.mark.parametrize("username", ["root", "ubuntu", "nobody"])
def test_nobody_else_gets_in(shared, username):
    with pytest.raises(paramiko.AuthenticationException):
        shared.connect(username=username)


def test_another_key_does_not_get_in(shared, tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    with pytest.raises(paramiko.AuthenticationException):
        shared.connect(key_filename=str(tmp_path / "other"))


def test_a_password_is_not_even_asked_for(shared):
    done = shared.ssh("true", options=["-o", "PreferredAuthentications=password,keyboard-interactive"])
    assert done.returncode == 255
    assert b"(publickey)" in done.stderr


def test_a_key_added_on_the_box_gets_in(start, tmp_path):
    machine = start()
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", str(tmp_path / "other")], check=True)
    machine.run("cat >> ~/.ssh/authorized_keys", (tmp_path / "other.pub").read_bytes())
    machine.connect(key_filename=str(tmp_path / "other")).close()


def test_interrupting_the_client_leaves_the_server_well(shared):
    line = ["ssh", *shared.options, "-p", str(shared.port), f"ec2-user@{shared.host}", "echo ready; exec sleep 1000"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert shared.run("true")[0] == 0
