"""From the zygote's fork to a process that is in its box and has nothing but the box's rights."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spot_connect.local.boxes import linux, sandbox
from spot_connect.local.boxes.layout import BOX_UID
from spot_connect.local.boxes.levels import Level
from spot_connect.local.boxes.order import Order, tell

_OWN = linux.CLONE_NEWNS | linux.CLONE_NEWPID | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS
_LINUX = sys.platform == "linux"


@dataclass(frozen=True, slots=True)
class Holder:
    """A bubblewrap process under way, and where it tells its news."""

    process: subprocess.Popen[bytes]
    info: int

    def close(self) -> None:
        """Let go of the pipes; the process lives on."""
        os.close(self.info)
        if self.process.stdout is not None:
            self.process.stdout.close()


def start_holder(order: Order) -> Holder:
    """Start bubblewrap for ``order``. Its life hangs on the calling *thread*: call from one that stays.

    Raises:
        OSError: there is no bubblewrap.
    """
    reader, writer = os.pipe()
    inside = None if order.uid is not None else (BOX_UID, BOX_UID)
    line = sandbox.bwrap_arguments(order, writer, inside)
    try:
        process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, pass_fds=[writer])  # noqa: S603 - our own program
    except OSError:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    return Holder(process, reader)


def launch(order: Order, channel: socket.socket, holder: Holder | None, box: Callable[[], None]) -> None:
    """In a fork of the zygote: make or enter the sandbox, fork ``box`` into it, tell the supervisor whom to hold.

    Raises:
        OSError: the sandbox could not be made or entered.
    """
    held, view = 0, -1
    if holder is not None:
        held, view = _enter(holder)
        if order.uid is not None:
            Path("/dev/shm").chmod(0o1777)  # noqa: S108 - bubblewrap keeps it for its own user, who is root here
    elif order.level is Level.NS_UNSHARE:
        _leave(order)
        # Taken now: nobody may look into the box's process later, and the box lays another /proc.
        view = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    child = os.fork()
    if child == 0:
        if view >= 0:
            os.close(view)
        _run(box)
    first = held or child
    descriptor = os.pidfd_open(first) if _LINUX else -1
    tell(channel, "made", str(first), tuple(each for each in (descriptor, view) if each >= 0))


def _run(box: Callable[[], None]) -> None:
    try:
        box()
    finally:
        os._exit(1)


def _leave(order: Order) -> None:
    uid, gid = os.getuid(), os.getgid()
    linux.unshare(_OWN if order.uid is not None else _OWN | linux.CLONE_NEWUSER)
    if order.uid is None:
        linux.map_user(BOX_UID, BOX_UID, uid, gid)


def _enter(holder: Holder) -> tuple[int, int]:
    """Join bubblewrap's namespaces once it is ready; its first process's pid, and its mount namespace."""
    pid = _first_process(holder)
    if holder.process.stdout is None or not holder.process.stdout.read(1):
        raise OSError("bubblewrap ended while it made the sandbox")
    kinds = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in ("mnt", "pid", "ipc", "uts")]
    inner = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
    # With a /dev of its own bubblewrap nests two user namespaces; the mounts belong to the outer one.
    owner = fcntl.ioctl(kinds[0], linux.NS_GET_USERNS)
    # Compared before anything is entered: the sandbox's /proc does not know this process.
    mine = Path("/proc/self/ns/user").stat().st_ino
    if os.fstat(owner).st_ino != mine:
        linux.setns(owner)
    for kind in kinds:
        linux.setns(kind)
    if os.fstat(inner).st_ino != os.fstat(owner).st_ino:
        linux.setns(inner)
    return pid, kinds[0]


def _first_process(holder: Holder) -> int:
    text = b""
    while not text.rstrip().endswith(b"}"):  # it arrives in pieces
        piece = os.read(holder.info, 4096)
        if not piece:
            raise OSError("bubblewrap could not make the sandbox")
        text += piece
    return int(json.loads(text)["child-pid"])


def settle(order: Order, go: int) -> None:
    """In the box process: finish the sandbox and give up every right that is not the box's.

    ``go`` answers when this process's parent is the zygote, so that dying with the parent means with the zygote.

    Raises:
        OSError: a step was refused; the process must not go on.
    """
    if order.level is Level.NS_UNSHARE:
        sandbox.build(order)
        linux.sethostname(order.hostname)
    if order.uid is not None:
        linux.become(order.uid, order.uid)
    if not _LINUX:
        return
    linux.give_up_privileges()
    linux.forbid_inspection()
    if not os.read(go, 1):
        raise OSError("the daemon has gone")
    if order.level is Level.PLAIN:
        # No namespace ends with this process: it must live to end what it started.
        linux.die_with_parent(signal.SIGTERM)
        linux.adopt_orphans()
    else:
        linux.die_with_parent(signal.SIGKILL)
