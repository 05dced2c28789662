"""SSH servers on the loopback interface to hold our boundary against: OpenSSH's own and asyncssh's."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import getpass
import os
import pwd
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import termios
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import asyncssh
import pytest

from spot_connect.core.models import Address
from spot_connect.local.boxes.supervisor import BoxSpec, Supervisor
from spot_connect.ssh.command import run
from spot_connect.ssh.connection import Connection
from spot_connect.ssh.host_keys import HostKey, parse_public_key
from spot_connect.ssh.readiness import wait_until_ready

SSHD = "/usr/sbin/sshd"


@dataclass(frozen=True)
class Server:
    """A running server, and what a client needs to log in to it."""

    name: str
    address: Address
    username: str
    key_file: Path
    host_key: HostKey
    other_keys: tuple[HostKey, ...] = ()

    def connection(self, **changes: object) -> Connection:
        """A connection that accepts this server's key; ``changes`` replace arguments."""
        given = {
            "address": self.address,
            "username": self.username,
            "key_file": self.key_file,
            "verify": lambda key: None,
            "known": (self.host_key,),
            **changes,
        }
        return Connection(given.pop("address"), given.pop("username"), given.pop("key_file"), **given)


def make_key(path: Path, kind: str = "ed25519", *options: str) -> HostKey:
    """A new key pair at ``path`` and ``path.pub``."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(path), *options], check=True)
    return parse_public_key(path.with_name(path.name + ".pub").read_text())


@contextlib.contextmanager
def openssh(
    folder: Path, rekey: str = "8M", sessions: int = 100, settings: str = "", shell: str = "/bin/bash"
) -> Iterator[Server]:
    """OpenSSH's server as the current user; ``settings`` come before the usual ones, and win.

    Only for root it can give another login shell than the user's own.

    The limit is far below OpenSSH's own, so that every large test meets new session keys.
    """
    with several_openssh(folder, 1, rekey, sessions, settings, shell) as (server,):
        yield server


@contextlib.contextmanager
def several_openssh(
    folder: Path,
    count: int,
    rekey: str = "default none",
    sessions: int = 100,
    settings: str = "",
    shell: str = "/bin/bash",
) -> Iterator[tuple[Server, ...]]:
    """As many of OpenSSH's servers, each with a port of its own; they share their keys and what is set."""
    if not Path(SSHD).exists():
        pytest.skip("OpenSSH's server is not installed")
    host_key, key_file = make_key(folder / "host_ed25519"), folder / "user"
    others = make_key(folder / "host_ecdsa", "ecdsa"), make_key(folder / "host_rsa", "rsa", "-b", "2048")
    make_key(key_file)
    usual = _CONFIG.format(folder=folder, rekey=rekey, sessions=sessions)
    (folder / "config").write_text(f"{settings}\n{usual}")
    addresses = [Address("127.0.0.1", port) for port in free_ports(count)]
    processes = []
    try:
        with (folder / "log").open("wb") as log:
            command = [*_surroundings(folder, shell), SSHD, "-D", "-e", "-f", str(folder / "config"), "-p"]
            for address in addresses:
                process = subprocess.Popen([*command, str(address.port)], stdin=subprocess.DEVNULL, stderr=log)
                processes.append(process)
        for address, process in zip(addresses, processes, strict=True):
            wait_until_ready(address, seconds=20, alive=partial(_require_running, process, folder / "log"))
        yield tuple(Server("openssh", address, getpass.getuser(), key_file, host_key, others) for address in addresses)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(10)


@contextlib.contextmanager
def local_cloud_box(folder: Path) -> Iterator[Server]:
    """The server that every machine of the local cloud has."""
    key_file = folder / "user"
    make_key(key_file)
    supervisor = Supervisor(folder / "boxes")
    try:
        lines = (key_file.with_name("user.pub").read_text(),)
        box = supervisor.start(BoxSpec("i-0123456789abcdef0", "box", "ec2-user", lines, "127.0.0.1", 0))
        address = Address(box.host, box.port)
        yield Server("local-cloud", address, "ec2-user", key_file, parse_public_key(box.host_key))
    finally:
        supervisor.close()


_CONFIG = """
ListenAddress 127.0.0.1
HostKey {folder}/host_ecdsa
HostKey {folder}/host_rsa
HostKey {folder}/host_ed25519
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
PrintLastLog no
MaxStartups 100
MaxSessions {sessions}
RekeyLimit {rekey}
Subsystem sftp internal-sftp
"""


def _surroundings(folder: Path, shell: str) -> list[str]:
    """What lets sshd run as root in a container: its directory, a home of its own, and terminals it may chown.

    Where /dev/pts was mounted without a group, sshd cannot give a new terminal to the group "tty"; without
    such a group it does not try. In a process namespace of its own no process can outlive it.
    """
    if os.geteuid() != 0:
        return []
    if not shutil.which("bwrap"):
        pytest.skip("sshd as root needs bubblewrap around it")
    home = folder / "home"
    home.mkdir()
    me = pwd.getpwuid(0)
    users = Path("/etc/passwd").read_text().replace(f":{me.pw_dir}:{me.pw_shell}", f":{home}:{shell}", 1)
    (folder / "passwd").write_text(users)
    groups = Path("/etc/group").read_text().splitlines(keepends=True)
    (folder / "group").write_text("".join(line for line in groups if not line.startswith("tty:")))
    return [
        *(
            "bwrap",
            "--dev-bind",
            "/",
            "/",
            "--tmpfs",
            "/run",
            "--dir",
            "/run/sshd",
            "--size",
            "1048576",
            "--tmpfs",
            "/run/full",
        ),
        *("--ro-bind", str(folder / "passwd"), "/etc/passwd", "--ro-bind", str(folder / "group"), "/etc/group"),
        *("--unshare-pid", "--proc", "/proc", "--die-with-parent"),
    ]


def _require_running(process: subprocess.Popen[bytes], log: Path) -> None:
    if process.poll() is not None:
        pytest.fail(f"sshd ended: {log.read_text()}")


def free_port() -> int:
    """A port nobody listens on now."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """As many different ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


@contextlib.contextmanager
def asyncssh_server(folder: Path, **options: object) -> Iterator[Server]:
    """A server of asyncssh's, in a thread, that runs real processes; ``options`` are more of asyncssh's own."""
    key_file = folder / "user"
    make_key(key_file)
    host_key = make_key(folder / "host")
    (folder / "home").mkdir()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="asyncssh")
    thread.start()
    machine = _Machine(folder / "home")
    try:
        port = _on(loop, machine.listen(folder / "host", folder / "user.pub", options)).result(20)
        yield Server("asyncssh", Address("127.0.0.1", port), "somebody", key_file, host_key)
    finally:
        _on(loop, machine.stop()).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


def _on(loop: asyncio.AbstractEventLoop, work: object) -> Future[int]:
    return asyncio.run_coroutine_threadsafe(work, loop)  # type: ignore[arg-type]


class _Machine:
    def __init__(self, home: Path) -> None:
        self._home = home
        self._children: set[asyncio.subprocess.Process] = set()

    async def listen(self, host_key: Path, authorized: Path, options: Mapping[str, object]) -> int:
        home = self._home

        class Files(asyncssh.SFTPServer):
            def map_path(self, path: bytes) -> bytes:
                return os.fsencode(home / os.fsdecode(path))

            def realpath(self, path: bytes) -> bytes:
                return os.path.realpath(self.map_path(path))

        class Open(asyncssh.SSHServer):
            def connection_requested(self, *_: object) -> bool:
                return True

            def server_requested(self, *_: object) -> bool:
                return True

        self._server = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=Open,
            server_host_keys=[str(host_key)],
            authorized_client_keys=str(authorized),
            process_factory=self._handle,
            sftp_factory=Files,
            encoding=None,
            line_editor=False,
            **options,
        )
        return int(self._server.get_port())

    async def stop(self) -> None:
        for child in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        self._server.close()
        await self._server.wait_closed()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for child in self._children:
            # A pipe that nobody read to its end stays open, and would complain when it is collected, wherever that is.
            child._transport.close()  # type: ignore[attr-defined]
            await child.wait()

    async def _handle(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        run = self._at_terminal if process.term_type else self._piped
        status = await run(process)
        if status < 0:
            process.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
        else:
            process.exit(status)

    async def _child(self, process: asyncssh.SSHServerProcess[bytes], **options: object) -> asyncio.subprocess.Process:
        words = ["bash", "-c", process.command] if process.command else ["bash", "--noprofile", "--norc", "-l"]
        environment = {**os.environ, "HOME": str(self._home), "SHELL": "/bin/bash", "SHLVL": "0"}
        if process.term_type:
            environment["TERM"] = process.term_type
        child = await asyncio.create_subprocess_exec(
            *words, cwd=self._home, env=environment, start_new_session=True, **options
        )
        self._children.add(child)
        return child

    async def _piped(self, process: asyncssh.SSHServerProcess[bytes]) -> int:
        pipe = asyncio.subprocess.PIPE
        child = await self._child(process, stdin=pipe, stdout=pipe, stderr=pipe)
        feed = asyncio.create_task(_feed(process, child.stdin))
        await asyncio.gather(_copy(child.stdout, process.stdout), _copy(child.stderr, process.stderr))
        status = await child.wait()
        self._children.discard(child)
        feed.cancel()
        return status

    async def _at_terminal(self, process: asyncssh.SSHServerProcess[bytes]) -> int:
        master, slave = os.openpty()
        _resize(master, *process.term_size[:2])
        child = await self._child(
            process, stdin=slave, stdout=slave, stderr=slave, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        )
        os.close(slave)
        feed = asyncio.create_task(_type(process, master, child))
        await _shown(master, process)
        status = await child.wait()
        self._children.discard(child)
        feed.cancel()
        os.close(master)
        return status


async def _feed(process: asyncssh.SSHServerProcess[bytes], stdin: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncssh.DisconnectError):
        while data := await process.stdin.read(65536):
            stdin.write(data)
            await stdin.drain()
        stdin.close()


async def _copy(source: asyncio.StreamReader, target: asyncssh.SSHWriter[bytes]) -> None:
    # What a client that has gone leaves unread is read on, as a pipe that nobody empties would stop the process.
    while data := await source.read(65536):
        with contextlib.suppress(ConnectionError, asyncssh.DisconnectError):
            target.write(data)
            await target.drain()


async def _type(process: asyncssh.SSHServerProcess[bytes], master: int, child: asyncio.subprocess.Process) -> None:
    while True:
        try:
            data = await process.stdin.read(65536)
        except asyncssh.TerminalSizeChanged as change:
            _resize(master, change.width, change.height)
            continue
        except asyncssh.DisconnectError:
            data = b""
        if not data:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGHUP)
            return
        # A program that reads slowly must not keep the loop from reading what it writes.
        await asyncio.to_thread(os.write, master, data)


async def _shown(master: int, process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Pass the terminal's output on until its last process has gone."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def show() -> None:
        try:
            process.stdout.write(os.read(master, 65536))
        except OSError:
            loop.remove_reader(master)
            ended.set_result(None)

    loop.add_reader(master, show)
    await ended


def _resize(master: int, columns: int, rows: int) -> None:
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@dataclass(frozen=True)
class There:
    """A directory on the server's machine, which need not have our file system."""

    connection: Connection
    folder: str

    def path(self, name: str) -> str:
        """The absolute path of ``name`` in the directory."""
        return f"{self.folder}/{name}"

    def write(self, name: str, content: bytes) -> str:
        """A file in the directory; its absolute path."""
        self.run(f"cat > {shlex.quote(name)}", content)
        return self.path(name)

    def read(self, name: str) -> bytes:
        """What the file holds."""
        return self.run(f"cat -- {shlex.quote(name)}")

    def names(self) -> list[bytes]:
        """Everything below the directory."""
        found = self.run("find . -mindepth 1 -print0").split(b"\0")
        return sorted(name.removeprefix(b"./") for name in found if name)

    def run(self, command: str, stdin: bytes = b"") -> bytes:
        """The output of a command in the directory."""
        finished = run(self.connection, f"cd {self.folder}; {command}", stdin=stdin)
        assert finished.exit_status == 0, finished
        return finished.stdout


class Proxy:
    """A TCP line to a server that can be cut like a cable, or held for a while."""

    def __init__(self, target: Address) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = Address("127.0.0.1", self._listener.getsockname()[1])
        self._lines: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._is_mute = False
        self._is_free = threading.Event()
        self._is_free.set()
        self._start(self._accept)

    def __enter__(self) -> Proxy:
        return self

    @property
    def calls(self) -> int:
        """How often a client has connected."""
        return len(self._lines) // 2

    def __exit__(self, *_: object) -> None:
        # Only a shutdown wakes a thread that waits in accept.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def cut(self) -> None:
        """End every line that is up; new ones are still taken."""
        for line in self._lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def mute(self) -> None:
        """Swallow all from now on, as a network does that has forgotten the line; neither end is told."""
        self._is_mute = True

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Pass nothing on meanwhile, in no direction."""
        self._is_free.clear()
        try:
            yield
        finally:
            self._is_free.set()

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection((self._target.host, self._target.port))
                self._lines += [near, far]
                self._start(self._pass, near, far)
                self._start(self._pass, far, near)

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._is_free.wait()
                if not self._is_mute:
                    target.sendall(data)
        for line in (source, target):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
