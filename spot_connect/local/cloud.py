"""What the parts of the daemon share."""

from __future__ import annotations

import os
import secrets
import socket
import string
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any, Protocol

from spot_connect.core.models import Address
from spot_connect.local.faults import Faults
from spot_connect.local.lag import Lag
from spot_connect.local.places import read_json, write_json

if TYPE_CHECKING:
    from spot_connect.local.interruptions import Interruptions
    from spot_connect.local.machines import Machines
    from spot_connect.local.rights import Rights

ACCOUNT = "123456789012"
EFS_SECONDS = "SPOT_CONNECT_LOCAL_EFS_SECONDS"
_EFS_SECONDS = "0.3"
_KEY_ID_CHARACTERS = string.ascii_uppercase + "234567"


class Boxes(Protocol):
    """The supervisor of the machines, as the daemon uses it."""

    @property
    def level(self) -> Any:
        """How the machines are isolated."""

    @property
    def description(self) -> str:
        """What that means, and what it does not protect."""

    @property
    def uid(self) -> int | None:
        """The user that machines run as; ``None`` where it is the daemon's own."""

    @property
    def file_systems(self) -> Any:
        """The directories of the elastic file systems."""

    def start(self, spec: Any) -> Any:
        """Start the machine."""

    def stop(self, instance_id: str) -> None:
        """End the machine and everything in it; its files stay."""

    def discard(self, instance_id: str) -> None:
        """Forget the files of the machine."""

    def mount(self, instance_id: str, source: Path, target: str) -> None:
        """Show a directory of ``file_systems`` in the machine."""

    def unmount(self, instance_id: str, target: str, *, lazy: bool = False) -> None:
        """Undo ``mount``."""

    def mounts(self, instance_id: str) -> Mapping[str, Path]:
        """What is mounted in the machine, by mount point."""

    def drop_lines(self, instance_id: str) -> int:
        """Break every SSH connection of the machine; how many there were."""

    def log(self, instance_id: str) -> str:
        """What the machine's console shows."""

    def close(self) -> None:
        """End every machine."""


@dataclass(slots=True)
class Settings:
    """What stays the same over restarts, so that exported variables stay valid."""

    access_key: str = field(default_factory=lambda: "AKIA" + _random(_KEY_ID_CHARACTERS, 16))
    secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(30))
    port: int = 0
    ssh_port: int = 0

    @classmethod
    def load(cls, path: Path) -> Settings:
        """The settings in the file; new ones where it has none."""
        found = read_json(path)
        return cls(**{name: found[name] for name in cls.__slots__ if name in found})

    def save(self, path: Path) -> None:
        """Write the settings to the file."""
        write_json(path, asdict(self))


class Addresses:
    """Loopback addresses for instances; an address of AWS would lead the caller to a stranger's machine."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = Lock()
        self.next = 1

    def take(self) -> str:
        """An address on which nobody listens on our SSH port."""
        if sys.platform != "linux":
            return "127.0.0.1"
        while True:
            with self._lock:
                number, self.next = self.next, self.next + 1
            host = f"127.31.{number // 254 % 256}.{number % 254 + 1}"
            if _is_free(host, self._port):
                return host

    def with_port(self, host: str) -> Address:
        """Where the machine with that address listens for SSH."""
        # Only Linux answers on all of 127.0.0.0/8; elsewhere the machines share one address.
        return Address(host, self._port if sys.platform == "linux" else free_port(host))


class Cloud:
    """The running local cloud."""

    machines: Machines
    interruptions: Interruptions
    rights: Rights

    def __init__(self, settings: Settings, boxes: Boxes, boot_seconds: float) -> None:
        self.settings = settings
        self.boxes = boxes
        self.boot_seconds = boot_seconds
        self.file_system_seconds = float(os.environ.get(EFS_SECONDS) or _EFS_SECONDS)
        self.addresses = Addresses(settings.ssh_port)
        self.launching = RLock()
        self.faults = Faults()
        self.lag = Lag(self.faults, self.now)
        self.notes: list[str] = []
        self.restored: list[str] = []
        self.started = time.time()
        self.ahead = 0.0
        self.on_change: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        """Where the cloud listens."""
        return f"http://127.0.0.1:{self.settings.port}"

    def now(self) -> float:
        """Seconds since the epoch by this cloud's clock, which can be put forward."""
        return time.time() + self.ahead

    def knows(self, access_key: str) -> bool:
        """Whether the id is ours, or that of a user or a role in this cloud."""
        if secrets.compare_digest(access_key.encode(), self.settings.access_key.encode()):
            return True
        return bool(access_key) and access_key in set(_issued_keys())

    def backends(self) -> Iterator[Any]:
        """The EC2 of every Region in use."""
        from moto.ec2.models import ec2_backends

        for _, _, backend in list(ec2_backends.iter_backends()):
            yield backend

    def count(self) -> Mapping[str, int]:
        """How many instances are in which state."""
        counts: dict[str, int] = {}
        for instance in self.machines.all():
            counts[instance.state] = counts.get(instance.state, 0) + 1
        return counts


def free_port(host: str) -> int:
    """A TCP port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _issued_keys() -> Iterator[str]:
    from moto.iam.models import iam_backends
    from moto.sts.models import sts_backends

    for regions in list(iam_backends.values()):
        for iam in list(regions.values()):
            yield from list(iam.access_keys)
    for regions_of_sts in list(sts_backends.values()):
        for sts in list(regions_of_sts.values()):
            yield from [role.access_key_id for role in list(sts.assumed_roles)]


def _random(characters: str, length: int) -> str:
    return "".join(secrets.choice(characters) for _ in range(length))
