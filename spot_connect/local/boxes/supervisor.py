"""What the daemon holds: every box it has started, and the way to start and end them."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import selectors
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spot_connect.core.errors import LocalCloudError
from spot_connect.local.boxes import console, keys, places, processes, shims
from spot_connect.local.boxes.anchor import Anchor
from spot_connect.local.boxes.filesystems import FileSystems
from spot_connect.local.boxes.layout import BOX_UID, Directory, write_etc
from spot_connect.local.boxes.levels import Level, Probe, describe
from spot_connect.local.boxes.order import DROP_LINES, Errand, Order, send
from spot_connect.local.boxes.probe import probe_levels
from spot_connect.local.places import opened_log

__all__ = ["Box", "BoxSpec", "Probe", "Supervisor", "probe_levels"]

_START_SECONDS = 30.0
_Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BoxSpec:
    """An instance to be made; it is to listen at ``host:port``, port 0 meaning any free one."""

    instance_id: str
    hostname: str
    username: str
    authorized_keys: tuple[str, ...]
    host: str
    port: int
    user_data: bytes = b""
    environment: Mapping[str, str] = field(default_factory=dict)
    boot_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Box:
    """A started instance: where it listens, or will after its boot, and its host key as an OpenSSH line."""

    instance_id: str
    host: str
    port: int
    host_key: str


@dataclass(slots=True)
class _Running:
    box: Box
    channel: socket.socket
    anchor: Anchor
    unread: bytes = b""
    view: int = -1
    """Its mount namespace, where it has one."""
    mounts: dict[str, Path] = field(default_factory=dict)
    """What is mounted where, as the instance sees it."""
    dropped: queue.SimpleQueue[int] = field(default_factory=queue.SimpleQueue)
    """How many lines it has broken, each time that it was told to."""

    def close(self) -> None:
        """Let go of it."""
        self.dropped.put(0)  # whoever waits for an answer gets one
        self.channel.close()
        if self.view >= 0:
            os.close(self.view)
            self.view = -1


class Supervisor:
    """Starts and ends boxes. Every method may be called from any thread.

    Args:
        root: directory for the instances; made if missing.
        level: how boxes are held; by default the strongest that works here.
        on_running: told an instance's id when its SSH server listens: by ``start`` itself when there is no boot to
            wait for, else by a thread of the supervisor.
        on_ended: told an instance's id when its box ended without being stopped; by that thread.

    Raises:
        LocalCloudError: the directory cannot be used safely.
    """

    def __init__(
        self, root: Path, *, level: Level | None = None, on_running: _Told | None = None, on_ended: _Told | None = None
    ) -> None:
        self.uid = places.box_uid(root) if os.geteuid() == 0 else None
        """The user that all boxes are, if the daemon is root; else they are the daemon's own."""
        self._tell = {"running": on_running, "ended": on_ended}
        self._root = root
        self._closed = False
        self._lock = threading.RLock()
        self._running: dict[str, _Running] = {}
        self._turns: dict[str, threading.RLock] = {}
        self._order_lock = threading.Lock()
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._zygote, self._orders = _start_zygote(root)
        self.probes = probe_levels() if level is None else ()
        self.level = level or next(probe.level for probe in self.probes if probe.works)
        self.description = describe(self.level)
        self._hidden = places.hidden(root)
        self._place = places.for_boxes(root, reachable=self.uid is not None and self.level is Level.PLAIN)
        beside = self._place.parent if self._place == root else self._place
        self.file_systems = FileSystems(beside / "efs", self.uid)
        self._shims = shims.install(self._place / "shims")
        self._reap_leftovers()
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        self._selector.register(self._orders, selectors.EVENT_READ, None)
        self._watcher = threading.Thread(target=self._watch, name="boxes", daemon=True)
        self._watcher.start()

    def start(self, spec: BoxSpec) -> Box:
        """Start the instance, anew or again with the files it had.

        Returns when the box is made; with ``boot_seconds`` 0 it also listens.

        Raises:
            LocalCloudError: it is running already, or the system refused.
        """
        directory = self._directory(spec.instance_id)
        with self._turn(spec.instance_id):
            if spec.instance_id in self._running:
                raise LocalCloudError(f"cannot start {spec.instance_id}", "it is running already")
            try:
                running = self._make(spec, directory)
            except OSError as error:
                raise LocalCloudError(f"cannot start {spec.instance_id}", str(error)) from error
            console.begin(directory, spec.hostname, running.box.host_key)
            self._adopt(running)
        if spec.boot_seconds == 0:
            self._say("running", spec.instance_id)
        return running.box

    def _turn(self, instance_id: str) -> threading.RLock:
        """What makes starting and stopping one instance take turns."""
        with self._lock:
            return self._turns.setdefault(instance_id, threading.RLock())

    def _make(self, spec: BoxSpec, directory: Directory) -> _Running:
        directory.make(self.uid)
        key = keys.host_key(directory / "ssh_host_ed25519_key")
        listener = _reserve(spec.host, spec.port)
        host, port = listener.getsockname()[:2]
        write_etc(directory, spec.username, spec.hostname, host, self.uid or BOX_UID)
        box = Box(spec.instance_id, host, port, key.public)
        return self._order(self._order_for(spec, directory, key.private, host), listener, box)

    def _order_for(self, spec: BoxSpec, directory: Directory, private: str, address: str) -> Order:
        return Order(
            instance_id=spec.instance_id,
            hostname=spec.hostname,
            username=spec.username,
            authorized_keys=tuple(spec.authorized_keys),
            level=self.level,
            directory=str(directory.path),
            shims=str(self._shims),
            host_key=private,
            address=address,
            python=sys.executable,
            file_systems=str(self.file_systems.root),
            hidden=self._hidden,
            uid=self.uid,
            user_data=spec.user_data,
            environment=dict(spec.environment),
            boot_seconds=spec.boot_seconds,
        )

    def _order(self, order: Order, listener: socket.socket, box: Box) -> _Running:
        ours, theirs = socket.socketpair()
        with listener, theirs, self._order_lock:
            send(self._orders, order, [listener.fileno(), theirs.fileno()])
        running = _Running(box, ours, Anchor())
        ours.settimeout(_START_SECONDS)
        try:
            _await(running, "running" if order.boot_seconds == 0 else "ready")
        except OSError:
            running.anchor.end(order.instance_id, plain=self.level is Level.PLAIN)
            running.close()
            raise
        return running

    def _adopt(self, running: _Running) -> None:
        with self._lock:
            self._running[running.box.instance_id] = running
            running.channel.settimeout(0)
            self._selector.register(running.channel, selectors.EVENT_READ, running)
        self._waker.send(b"w")

    def stop(self, instance_id: str) -> None:
        """End everything in the instance; its files stay. Nothing happens when it is not running."""
        with self._turn(instance_id):
            with self._lock:
                running = self._running.pop(instance_id, None)
                if running is None:
                    return
                self._selector.unregister(running.channel)
            running.anchor.end(instance_id, plain=self.level is Level.PLAIN)
            if self.level is Level.PLAIN:
                self._unlink_all(running)
            running.close()

    def mount(self, instance_id: str, source: Path, target: str) -> None:
        """Mount a directory of ``file_systems`` at ``target`` in a running instance, until it ends.

        It is a mount point with namespaces and a link without. Mounting the same there again does nothing.

        Raises:
            LocalCloudError: the instance does not run, something else is mounted there, or the system refused.
        """
        root, sub = self._split(source)
        with self._turn(instance_id):
            running = self._require(instance_id)
            before = running.mounts.get(target)
            if before not in (None, source):
                raise LocalCloudError(f"cannot mount at {target}", f"{target} is busy")
            if before is None:
                self._send_errand(running, Errand(target, str(root), sub, self._home_of(instance_id), self.uid))
                running.mounts[target] = source

    def unmount(self, instance_id: str, target: str, *, lazy: bool = False) -> None:
        """Undo ``mount``.

        Raises:
            LocalCloudError: nothing of ours is mounted there, or it is in use.
        """
        with self._turn(instance_id):
            running = self._require(instance_id)
            if target not in running.mounts:
                raise LocalCloudError(f"cannot unmount {target}", "not mounted.")
            home = self._home_of(instance_id)
            self._send_errand(running, Errand(target, home=home, uid=self.uid, lazy=lazy))
            del running.mounts[target]

    def mounts(self, instance_id: str) -> Mapping[str, Path]:
        """What is mounted in the instance now, by mount point; nothing when it does not run."""
        running = self._running.get(instance_id)
        return dict(running.mounts) if running else {}

    def drop_lines(self, instance_id: str) -> int:
        """Break every SSH connection of the instance; how many there were. What runs in it goes on.

        Raises:
            LocalCloudError: the instance does not run, or does not answer.
        """
        running = self._require(instance_id)
        try:
            running.channel.send(DROP_LINES)
            return running.dropped.get(timeout=_START_SECONDS)
        except (OSError, queue.Empty) as error:
            raise LocalCloudError(f"cannot drop the lines of {instance_id}", str(error) or "no answer") from error

    def _split(self, source: Path) -> tuple[Path, str]:
        """The directory of the file system, and the path in it."""
        try:
            name, *rest = source.relative_to(self.file_systems.root).parts
        except ValueError as error:
            raise LocalCloudError(f"cannot mount {source}", "it is in no file system") from error
        return self.file_systems.directory(name), "/".join(rest)

    def _require(self, instance_id: str) -> _Running:
        running = self._running.get(instance_id)
        if running is None:
            raise LocalCloudError(f"cannot reach into {instance_id}", "it does not run")
        return running

    def _home_of(self, instance_id: str) -> str:
        """Where links may be put; with namespaces there are none."""
        return "" if self.level.isolated else os.path.realpath(self._directory(instance_id) / "home")

    def _send_errand(self, running: _Running, errand: Errand) -> None:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs, self._order_lock:
                view = [running.view] if running.view >= 0 else []
                send(self._orders, errand, [theirs.fileno(), *view])
            ours.settimeout(_START_SECONDS)
            try:
                _await(_Running(running.box, ours, Anchor()), "done")
            except OSError as error:
                raise LocalCloudError(f"cannot change what is mounted at {errand.target}", str(error)) from error

    def _unlink_all(self, running: _Running) -> None:
        """Ends what would outlive the instance: links, where there are no mounts."""
        for target in running.mounts:
            errand = Errand(target, home=self._home_of(running.box.instance_id), uid=self.uid)
            with contextlib.suppress(LocalCloudError, OSError):  # the zygote may have gone
                self._send_errand(running, errand)

    def discard(self, instance_id: str) -> None:
        """Stop the instance and remove its files."""
        directory = self._directory(instance_id)
        with self._turn(instance_id):
            self.stop(instance_id)
            shutil.rmtree(directory.path, ignore_errors=True)

    def log(self, instance_id: str) -> str:
        """What the instance's console shows; empty for one that never started here."""
        return console.text(self._directory(instance_id))

    def close(self) -> None:
        """End every instance and the zygote; a second call does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            names = list(self._running)
        for name in names:
            self.stop(name)
        with contextlib.suppress(OSError):  # the zygote may have gone first
            self._orders.shutdown(socket.SHUT_RDWR)
        self._zygote.wait()
        self._watcher.join()
        self._selector.close()
        for end in (self._orders, self._woken, self._waker):
            end.close()
        kept = [self._place / "instances", self.file_systems.root]
        if self._place != self._root and not any(any(path.iterdir()) for path in kept if path.is_dir()):
            shutil.rmtree(self._place, ignore_errors=True)

    def _directory(self, instance_id: str) -> Directory:
        if not instance_id or instance_id.startswith(".") or "/" in instance_id:
            raise LocalCloudError(f"{instance_id!r} cannot name an instance")
        return Directory(self._place / "instances" / instance_id)

    def _reap_leftovers(self) -> None:
        """End what a killed daemon's plain boxes left behind."""
        folder = self._place / "instances"
        folder.mkdir(mode=0o711, exist_ok=True)
        for pid in processes.marked(path.name for path in folder.iterdir()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, 9)

    def _watch(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._orders:
                    self._all_ended()
                    return
                if key.data is None:
                    self._woken.recv(4096)
                else:
                    self._hear(key.data)

    def _all_ended(self) -> None:
        """The zygote is gone, and every box with it."""
        with self._lock:
            rest = list(self._running.values())
        for running in rest:
            self._ended(running)

    def _hear(self, running: _Running) -> None:
        try:
            data = running.channel.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._ended(running)
            return
        *lines, running.unread = (running.unread + data).split(b"\n")
        for line in lines:
            told = json.loads(line)
            if told["event"] == "running":
                self._say("running", running.box.instance_id)
            elif told["event"] == "dropped":
                running.dropped.put(int(told["said"]))

    def _ended(self, running: _Running) -> None:
        name = running.box.instance_id
        with self._lock:
            if self._running.get(name) is not running:
                return
        self.stop(name)
        self._say("ended", name)

    def _say(self, event: str, instance_id: str) -> None:
        listener = self._tell[event]
        if listener is None:
            return
        try:
            listener(instance_id)
        except Exception:
            logging.getLogger(__name__).exception("on_%s(%s)", event, instance_id)


def _start_zygote(root: Path) -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair()
    with theirs, opened_log(root / "boxes.log") as log:
        line = [sys.executable, "-m", "spot_connect.local.boxes.zygote", str(theirs.fileno())]
        process = subprocess.Popen(  # noqa: S603 - our own program
            line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[theirs.fileno()],
            start_new_session=True, cwd="/",
        )  # fmt: skip
    return process, ours


def _reserve(host: str, port: int) -> socket.socket:
    """A socket bound as wished, else to the nearest that works; not yet listening, so connections are refused."""
    for address in ((host, port), (host, 0), ("127.0.0.1", 0)):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError:
            listener.close()
        else:
            return listener
    raise OSError(f"no address to listen on, not even on 127.0.0.1 instead of {host}")


def _await(running: _Running, event: str) -> None:
    while True:
        data, descriptors, _, _ = socket.recv_fds(running.channel, 4096, 2)
        if not data:
            raise OSError("the box ended before it was complete")
        *lines, running.unread = (running.unread + data).split(b"\n")
        for line in lines:
            told = json.loads(line)
            if told["event"] == "made":
                running.anchor = Anchor(int(told["said"]), descriptors[0] if descriptors else -1)
                running.view = descriptors[1] if len(descriptors) > 1 else -1
            elif told["event"] == "failed":
                raise OSError(told["said"])
            elif told["event"] == event:
                return
