"""What a box sees of the file system, as a list; and the two ways of making it so.

``build`` uses the kernel's calls directly, in a process that has just left its namespaces. It was preferred to running
``unshare(1)``: that program's options differ between releases, it cannot mount without helpers, and every box would
need one more process to wait in. ``bwrap_arguments`` writes the same list for bubblewrap, which some systems allow to
make namespaces when they forbid it to others.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spot_connect.local.boxes import linux
from spot_connect.local.boxes.layout import RUN, Directory, home_of
from spot_connect.local.boxes.order import Order

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_NO_EXTRAS = linux.ATTR_NOSUID | linux.ATTR_NODEV
_KEPT = ("mount", "umount")  # ours hand on to the system's own what is not theirs
_COMMANDS = ("sudo", "shutdown", "poweroff", "halt", "reboot", "cloud-init", *_KEPT)
_SYSTEM_BIN = ("/usr/bin", "/usr/sbin", "/bin", "/sbin")


@dataclass(frozen=True, slots=True)
class Mount:
    """``source`` seen at ``target``; an empty source is an empty directory."""

    target: str
    source: str = ""
    writable: bool = False


def mounts(order: Order) -> list[Mount]:
    """Everything laid over the read-only view of this machine, outermost first."""
    directory = Directory(Path(order.directory))
    hidden = [Mount(path) for path in _outermost(("/home", "/run", "/media", "/srv", *order.hidden))]
    own = [
        Mount("/tmp", str(directory / "tmp"), writable=True),  # noqa: S108 - as the instance sees it; here it lies in its own directory
        Mount("/var/tmp", str(directory / "tmp"), writable=True),  # noqa: S108 - as the instance sees it; here it lies in its own directory
        Mount("/root", str(directory / "root"), writable=True),
        Mount("/var/log", str(directory / "log"), writable=True),
        Mount("/mnt", str(directory / "mnt"), writable=True),
    ]
    inside = [
        Mount(home_of(order.username), str(directory / "home"), writable=True),
        Mount(f"{RUN}/boot", str(directory / "boot"), writable=True),
        Mount(f"{RUN}/bin", order.shims),
    ]
    outer = [*hidden, *(mount for mount in own if Path(mount.target).is_dir())]
    return [*outer, *inside, *_etc(directory), *_needed(outer), *_stand_ins(order.shims)]


def _outermost(paths: Sequence[str]) -> list[str]:
    """The directories among ``paths`` that exist and are not inside another of them."""
    real = [Path(os.path.realpath(path)) for path in paths if Path(path).is_dir()]
    return [str(path) for path in dict.fromkeys(real) if not any(other in path.parents for other in real)]


def _etc(directory: Directory) -> Iterator[Mount]:
    # Known limit: when this machine replaces such a file, as useradd does, the kernel takes ours off until the next
    # start of the box.
    for name in ("passwd", "group", "hostname", "hosts"):
        if Path("/etc", name).exists():
            yield Mount(f"/etc/{name}", str(directory / "etc" / name))


def _needed(outer: list[Mount]) -> Iterator[Mount]:
    """What programs must still find although something was laid over it: Python, the name servers."""
    covered = [os.path.realpath(mount.target) + "/" for mount in outer]
    for path in (sys.base_prefix, sys.prefix, "/etc/resolv.conf", "/run/current-system"):
        real = os.path.realpath(path)
        if any(real.startswith(cover) for cover in covered) and Path(real).exists():
            yield Mount(real, real)


def _stand_ins(shims: str) -> Iterator[Mount]:
    """Our commands over the system's own, for callers who name them by path."""
    real: set[str] = set()
    for folder in _SYSTEM_BIN:
        for command in _COMMANDS:
            path = Path(folder, command)
            if not path.is_file() or (target := os.path.realpath(path)) in real:
                continue
            real.add(target)
            if Path(target).name == command:
                if command in _KEPT:
                    yield Mount(f"{RUN}/system/{command}", target)
                yield Mount(target, f"{shims}/{command}")
            elif Path(target).name == "systemctl":
                # shutdown and its kin are usually names of systemctl: ours looks at the name it was called by.
                yield Mount(f"{RUN}/systemctl", target)
                yield Mount(target, f"{shims}/systemctl")


def build(order: Order) -> None:
    """Make the list true for this process. It must be the first of new mount and pid namespaces.

    Raises:
        OSError: the kernel refused a step.
    """
    root = str(Directory(Path(order.directory)) / "newroot")
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    linux.mount("/", root, flags=linux.MS_BIND | linux.MS_REC)
    linux.restrict(root, linux.ATTR_RDONLY | _NO_EXTRAS)
    for mount in mounts(order):
        _lay(root, mount)
    _devices(root)
    linux.mount("proc", f"{root}/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
    linux.pivot(root)


def _lay(root: str, mount: Mount) -> None:
    # Resolved here, because an absolute link followed under the new root would lead back to the old one.
    target = root + os.path.realpath(mount.target)
    if not mount.source:
        linux.mount("tmpfs", target, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=755")
        return
    if Path(mount.source).is_dir():
        Path(target).mkdir(parents=True, exist_ok=True)
    elif not Path(target).exists():
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(target).touch()
    linux.mount(mount.source, target, flags=linux.MS_BIND | linux.MS_REC)
    linux.restrict(target, _NO_EXTRAS if mount.writable else _NO_EXTRAS | linux.ATTR_RDONLY)


def _devices(root: str) -> None:
    dev = Path(root, "dev")
    linux.mount("tmpfs", str(dev), "tmpfs", linux.MS_NOSUID, "mode=755")
    for name in _DEVICES:
        (dev / name).touch()
        linux.mount(f"/dev/{name}", str(dev / name), flags=linux.MS_BIND)
    for name, mode in (("pts", 0o755), ("shm", 0o1777)):
        (dev / name).mkdir()
        (dev / name).chmod(mode)
    options = "newinstance,ptmxmode=0666,mode=620"
    linux.mount("devpts", str(dev / "pts"), "devpts", linux.MS_NOSUID | linux.MS_NOEXEC, options)
    linux.mount("tmpfs", str(dev / "shm"), "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=1777")
    for name, target in {
        "ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0",
        "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
    }.items():  # fmt: skip
        (dev / name).symlink_to(target)


# As the first process it cannot be killed from inside, and a shell that waits also buries orphans.
_HOLD = "echo; exec >/dev/null; while :; do sleep 2147483; done"


def bwrap_arguments(order: Order, info: int, as_user: tuple[int, int] | None) -> list[str]:
    """The bubblewrap command that makes the same sandbox and holds it open; it writes a newline when it is complete.

    Args:
        order: the box.
        info: descriptor that bubblewrap tells its child's pid on.
        as_user: the uid and gid seen inside a user namespace; ``None`` makes no user namespace.
    """
    line = ["bwrap", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", order.hostname]
    line += ["--die-with-parent", "--as-pid-1", "--info-fd", str(info), "--ro-bind", "/", "/"]
    if as_user is not None:
        line += ["--unshare-user", "--uid", str(as_user[0]), "--gid", str(as_user[1])]
    else:
        line += ["--cap-drop", "ALL"]
    laid: list[Path] = []
    for mount in mounts(order):
        target = Path(os.path.realpath(mount.target))
        # Left to itself, bubblewrap makes the folders on the way for its own user only.
        for folder in reversed(target.parents):
            if any(cover in folder.parents for cover in laid):
                line += ["--dir", str(folder)]
        how = ["--bind" if mount.writable else "--ro-bind", mount.source] if mount.source else ["--tmpfs"]
        line += [*how, str(target)]
        laid.append(target)
    return [*line, "--dev", "/dev", "--proc", "/proc", "--chdir", "/", "--", "/bin/sh", "-c", _HOLD]
