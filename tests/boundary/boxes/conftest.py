"""Boxes at every level this machine allows, for root and for an ordinary user, through every client at hand."""

from __future__ import annotations

import functools
import itertools
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
import pytest

REPOSITORY = Path(__file__).parents[3]
LEVELS = ("ns-unshare", "ns-bwrap", "plain")
NOBODY = 65534
PATIENCE = 60
_ids = itertools.count(int.from_bytes(os.urandom(6), "big") << 16)


@dataclass(frozen=True)
class Who:
    """Somebody the daemon runs as."""

    name: str
    options: dict = field(hash=False, compare=False, default_factory=dict)
    python: str = sys.executable
    path: str = ""

    @property
    def is_root(self):
        return self.name == "root"

    def environment(self, home):
        return {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": self.path, "PYTHONDONTWRITEBYTECODE": "1"}


def _everybody():
    me = Who("root" if os.geteuid() == 0 else "user", path=os.pathsep.join([str(REPOSITORY), *filter(None, sys.path)]))
    return [me, _nobody()] if me.is_root else [me]


def _nobody():
    """An ordinary user, with an interpreter of the same version that such a user may run; ours may be root's own."""
    packages = [path for path in sys.path if path.endswith("site-packages")]
    wanted = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    options = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    for python in (sys.executable, f"/usr/bin/{wanted}", f"/usr/local/bin/{wanted}"):
        who = Who("nobody", options, python, os.pathsep.join([str(REPOSITORY), *packages]))
        if _can_run(who):
            return who
    return Who("nobody", options, "")


def _can_run(who):
    line = [who.python, "-c", "import asyncssh, spot_connect.core"]
    settings = {"env": who.environment("/"), "cwd": "/", "capture_output": True} | who.options
    try:
        return subprocess.run(line, check=False, **settings).returncode == 0
    except OSError:
        return False


@functools.cache
def _probe(who):
    done = _spawn(who, "/", "probe")
    output, _ = done.communicate(timeout=PATIENCE)
    return json.loads(output)


def _spawn(who, home, *arguments):
    return subprocess.Popen(
        [who.python, str(Path(__file__).with_name("driver.py")), *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/", env=who.environment(home), **who.options,
    )  # fmt: skip


class Cloud:
    """A driver process, and what a test asks of it."""

    def __init__(self, who, level, folder):
        self.who, self.level, self.folder = who, level, folder
        self.root = folder / "local" / "boxes"
        self.process = _spawn(who, folder, str(self.root), level)
        self.events = queue.Queue()
        self.ids = set()
        self._answers = {}
        self._arrived = threading.Condition()
        self._numbers = itertools.count()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.about = self.ask("about")

    @property
    def isolated(self):
        return self.level != "plain"

    def _read(self):
        for line in self.process.stdout:
            told = json.loads(line)
            if "event" in told:
                self.events.put((told["event"], told["instance_id"]))
                continue
            with self._arrived:
                self._answers[told["number"]] = told
                self._arrived.notify_all()
        with self._arrived:
            self._arrived.notify_all()

    def post(self, what, **arguments):
        with self._arrived:
            number = next(self._numbers)
            self.process.stdin.write(json.dumps({"number": number, "do": what} | arguments) + "\n")
            self.process.stdin.flush()
        return number

    def answer(self, number):
        with self._arrived:
            assert self._arrived.wait_for(lambda: number in self._answers, PATIENCE), "no answer from the driver"
            return self._answers.pop(number)

    def result(self, number):
        told = self.answer(number)
        if "refused" in told:
            raise RuntimeError(told["refused"])
        return told["result"]

    def ask(self, what, *instance_id):
        return self.result(self.post(what, **({"instance_id": instance_id[0]} if instance_id else {})))

    def wait_for(self, name, instance_id):
        while (event := self.events.get(timeout=PATIENCE)) != (name, instance_id):
            assert event[1] != instance_id or event[0] != "ended", f"{instance_id} ended"

    def spec(self, key, **changes):
        return {
            "instance_id": f"i-{next(_ids) % 16**17:017x}",
            "hostname": "ip-172-31-0-4",
            "username": "ec2-user",
            "authorized_keys": [key.public],
            "host": "127.31.0.4",
            "port": 0,
            "environment": {},
        } | changes

    def start(self, key, **changes):
        spec = self.spec(key, **changes)
        self.ids.add(spec["instance_id"])
        return Machine(self, key, spec, self.result(self.post("start", spec=spec)))

    def mount(self, machine, file_system="fs-0a", *, at="efs", sub=""):
        target = at if at.startswith("/") else f"{machine.home}/{at}"
        self.result(self.post("mount", instance_id=machine.id, file_system=file_system, sub=sub, target=target))
        return target

    def unmount(self, machine, target, *, lazy=False):
        return self.result(self.post("unmount", instance_id=machine.id, target=target, lazy=lazy))

    def close(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)


@dataclass(frozen=True)
class Key:
    path: str
    public: str


class Machine:
    """A started box, and the clients to reach it."""

    def __init__(self, cloud, key, spec, box):
        self.cloud, self.key, self.spec = cloud, key, spec
        self.id, self.host, self.port, self.host_key = box["instance_id"], box["host"], box["port"], box["host_key"]
        self.username = spec["username"]
        self.options = [
            "-F", "none", "-i", key.path, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
        ]  # fmt: skip

    def connect(self, **changes):
        client = paramiko.SSHClient()
        client.get_host_keys().add(f"[{self.host}]:{self.port}", "ssh-ed25519", self._paramiko_key())
        arguments = {"username": self.username, "key_filename": self.key.path, "timeout": PATIENCE} | changes
        client.connect(self.host, self.port, allow_agent=False, look_for_keys=False, **arguments)
        return client

    def _paramiko_key(self):
        import base64

        return paramiko.Ed25519Key(data=base64.b64decode(self.host_key.split()[1]))

    def run(self, command, stdin=b""):
        """(status, output, errors) of a command, through paramiko."""
        with self.connect() as client:
            channel = client.get_transport().open_session()
            channel.settimeout(PATIENCE)
            channel.exec_command(command)
            if stdin:
                channel.sendall(stdin)
            channel.shutdown_write()
            output, errors = channel.makefile("rb").read(), channel.makefile_stderr("rb").read()
            return channel.recv_exit_status(), output.decode(), errors.decode()

    def output(self, command):
        status, output, errors = self.run(command)
        assert status == 0, (status, output, errors)
        return output.strip()

    def ssh(self, *command, options=(), **arguments):
        line = ["ssh", *self.options, "-p", str(self.port), *options, f"{self.username}@{self.host}", *command]
        return subprocess.run(line, capture_output=True, check=False, timeout=PATIENCE, **arguments)

    def copy(self, program, *arguments):
        """scp or sftp, with the address of this machine in place of BOX:."""
        flags = ["-P", str(self.port)]
        where = [argument.replace("BOX:", f"{self.username}@{self.host}:") for argument in arguments]
        return subprocess.run(
            [program, *self.options, *flags, *where], capture_output=True, check=False, timeout=PATIENCE
        )

    @property
    def home(self):
        return "/home/ec2-user" if self.cloud.isolated else self.output("echo $HOME")

    def answers(self):
        with socket.socket() as probe:
            return probe.connect_ex((self.host, self.port)) == 0


def _clouds():
    return [pytest.param((who, level), id=f"{who.name}-{level}") for who in _everybody() for level in LEVELS]


@pytest.fixture(scope="session", params=_clouds())
def cloud(request):
    who, level = request.param
    made = make_cloud(who, level)
    yield made
    finish(made)


def make_cloud(who, level):
    if not who.python:
        pytest.skip("no interpreter that an ordinary user may run")
    reason = _probe(who)[level]
    if reason:
        pytest.skip(f"{level} does not work here: {reason}")
    folder = Path(tempfile.mkdtemp(prefix="boxes-"))
    if "user" in who.options:
        os.chown(folder, NOBODY, NOBODY)
    return Cloud(who, level, folder)


def finish(cloud):
    if cloud.process.poll() is None:
        for instance_id in cloud.ids:
            cloud.ask("discard", instance_id)
        cloud.close()
    assert processes_of(cloud) == []
    for folder in (cloud.folder, cloud.about["place"], cloud.about["file_systems"]):
        shutil.rmtree(folder, ignore_errors=True)
    assert cloud.process.returncode in (0, -signal.SIGKILL)


def processes_of(cloud):
    """Live processes that bear the mark of one of the cloud's instances, as the host sees them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            marks = [part[17:] for part in path.read_bytes().split(b"\0") if part.startswith(b"SPOT_CONNECT_BOX=")]
        except OSError:
            continue
        if cloud.ids.intersection(mark.decode() for mark in marks):
            found.append(int(path.parent.name))
    return found


def has_ended(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def until(condition):
    """Wait for something that happens in another process; the test's own time limit ends a vain wait."""
    pause = threading.Event()
    while not (found := condition()):
        pause.wait(0.01)
    return found


@pytest.fixture(scope="session")
def key(tmp_path_factory):
    path = tmp_path_factory.mktemp("key") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return Key(str(path), path.with_suffix(".pub").read_text().strip())


@pytest.fixture
def start(cloud, key):
    """Starts machines and discards them after the test."""
    made = []

    def start(**changes):
        made.append(cloud.start(key, **changes))
        return made[-1]

    yield start
    for machine in made:
        cloud.ask("discard", machine.id)


@pytest.fixture(scope="session")
def shared(cloud, key):
    """A machine that tests may use but not change for each other."""
    machine = cloud.start(key)
    yield machine
    cloud.ask("discard", machine.id)
