"""What the zygote is told: boxes to make, and errands to run in those that exist."""

from __future__ import annotations

import base64
import json
import socket
from dataclasses import asdict, dataclass, field

from spot_connect.local.boxes.levels import Level


@dataclass(frozen=True, slots=True)
class Order:
    """One box to be made.

    ``directory`` is the instance's directory on the host. ``uid`` is the user it becomes; ``None`` keeps the daemon's.
    """

    instance_id: str
    hostname: str
    username: str
    authorized_keys: tuple[str, ...]
    level: Level
    directory: str
    shims: str
    host_key: str
    address: str
    python: str
    file_systems: str = ""
    hidden: tuple[str, ...] = ()
    uid: int | None = None
    user_data: bytes = b""
    environment: dict[str, str] = field(default_factory=dict)
    boot_seconds: float = 0.0

    def to_json(self) -> bytes:
        """The order as bytes."""
        plain = asdict(self) | {"level": self.level.value, "user_data": base64.b64encode(self.user_data).decode()}
        return json.dumps(plain).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Order:
        """The order in ``text``."""
        plain = json.loads(text)
        plain["level"] = Level(plain["level"])
        plain["user_data"] = base64.b64decode(plain["user_data"])
        plain["authorized_keys"] = tuple(plain["authorized_keys"])
        plain["hidden"] = tuple(plain["hidden"])
        return cls(**plain)


@dataclass(frozen=True, slots=True)
class Errand:
    """A mount to be made in a running box, or taken away again.

    ``root`` is a file system's directory on the host, ``sub`` what is wanted of it; both empty to unmount. ``home`` is
    where a box without namespaces may have links put; empty for all others.
    """

    target: str
    root: str = ""
    sub: str = ""
    home: str = ""
    uid: int | None = None
    lazy: bool = False

    def to_json(self) -> bytes:
        """The errand as bytes."""
        return json.dumps({"errand": asdict(self)}).encode()


DROP_LINES = b"drop lines\n"
"""What the daemon says to a box that is to break its SSH connections; it never says anything else."""


def send(channel: socket.socket, order: Order | Errand, descriptors: list[int]) -> None:
    """Send the order, with the descriptors attached to its first byte."""
    body = order.to_json()
    socket.send_fds(channel, [len(body).to_bytes(4, "big")], descriptors)
    channel.sendall(body)


def receive(channel: socket.socket) -> tuple[Order | Errand, list[int]] | None:
    """The next order or errand and its descriptors; ``None`` when the other side is gone."""
    header, descriptors, _, _ = socket.recv_fds(channel, 4, 4)
    if len(header) < 4:
        return None
    text = _exactly(channel, int.from_bytes(header, "big"))
    errand = json.loads(text).get("errand")
    return (Order.from_json(text) if errand is None else Errand(**errand)), descriptors


def _exactly(channel: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = channel.recv(size - len(data))
        if not piece:
            raise EOFError("the order ended early")
        data += piece
    return data


def tell(channel: socket.socket, event: str, said: str = "", descriptors: tuple[int, ...] = ()) -> None:
    """One line to the supervisor; nobody listening any more is no error."""
    line = json.dumps({"event": event, "said": said}).encode() + b"\n"
    try:
        socket.send_fds(channel, [line], list(descriptors))
    except OSError:
        return
