"""Where things are: an instance's directory on the host, and the same things as the box sees them."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from spot_connect.local.boxes.order import Order

BOX_UID = 1000
RUN = "/run/spot-connect"
OUTPUT_LOG = "cloud-init-output.log"
_TAIL = 64 * 1024


def close(directory: Path, uid: int | None) -> None:
    """Make the directory if it is missing; the boxes' user, if it has one, can pass through, and nobody else."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if uid is not None:
        os.chown(directory, -1, uid)
    directory.chmod(0o700 if uid is None else 0o710)


@dataclass(frozen=True, slots=True)
class Directory:
    """An instance's directory on the host. It belongs to the daemon; only the parts in ``PARTS`` belong to the box."""

    path: Path

    PARTS = {"home": 0o700, "root": 0o755, "tmp": 0o1777, "log": 0o755, "mnt": 0o755, "boot": 0o755}  # noqa: RUF012

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def make(self, uid: int | None) -> None:
        """Create what is missing. Nothing is written inside a part: the box may have put a link there."""
        close(self.path, uid)
        for name, mode in self.PARTS.items():
            part = self.path / name
            if not part.is_dir():
                part.mkdir()
                part.chmod(mode)
            if uid is not None:
                os.chown(part, uid, uid, follow_symlinks=False)
        (self.path / "etc").mkdir(exist_ok=True)
        (self.path / "newroot").mkdir(exist_ok=True)

    def output_tail(self) -> str:
        """The end of what user data has written. The box owns that file, so links and pipes are not followed."""
        try:
            descriptor = os.open(self.path / "log" / OUTPUT_LOG, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return ""
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return ""
            file.seek(max(0, status.st_size - _TAIL))
            return file.read(_TAIL).decode(errors="replace")


@dataclass(frozen=True, slots=True)
class View:
    """Paths as processes in the box use them."""

    home: str
    root_home: str
    log: str
    boot: str
    shims: str

    @property
    def output_log(self) -> str:
        """Where user data's output goes."""
        return f"{self.log}/{OUTPUT_LOG}"


def home_of(username: str) -> str:
    """The home directory a login of that name expects."""
    return "/root" if username == "root" else f"/home/{username}"


def view_of(order: Order) -> View:
    """The paths of the box that ``order`` describes."""
    if order.level.isolated:
        return View(home_of(order.username), "/root", "/var/log", f"{RUN}/boot", f"{RUN}/bin")
    directory = order.directory
    return View(f"{directory}/home", f"{directory}/home", f"{directory}/log", f"{directory}/boot", order.shims)


def write_etc(directory: Directory, username: str, hostname: str, address: str, uid: int) -> None:
    """The files of /etc that a box has of its own."""
    home = home_of(username)
    users = [f"{username}:x:{uid}:{uid}:EC2 Default User:{home}:/bin/bash", "nobody:x:65534:65534:nobody:/:/bin/false"]
    if username != "root":
        users.insert(0, "root:x:0:0:root:/root:/bin/bash")
    # No "tty" group: openpty's chown to it fails where devpts is mounted without gid=5.
    groups = [f"{username}:x:{uid}:", "nogroup:x:65534:"] + ([] if username == "root" else ["root:x:0:"])
    hosts = f"127.0.0.1 localhost\n::1 localhost\n{address} {hostname}\n"
    for name, text in {
        "passwd": "\n".join(users) + "\n",
        "group": "\n".join(groups) + "\n",
        "hostname": f"{hostname}\n",
        "hosts": hosts,
    }.items():
        (directory / "etc" / name).write_text(text)
