"""The few Linux calls that Python does not offer on every version we support."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000

MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18

ATTR_RDONLY = 0x1
ATTR_NOSUID = 0x2
ATTR_NODEV = 0x4

NS_GET_USERNS = 0xB701

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_SYS_MOUNT_SETATTR = 442  # the same number on every architecture
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_MNT_DETACH = 2
_UMOUNT_NOFOLLOW = 8
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_AT_EMPTY_PATH = 0x1000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: Any) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the namespaces in ``flags`` for new ones."""
    _call("unshare", ctypes.c_int(flags))


def setns(descriptor: int, kind: int = 0) -> None:
    """Enter the namespace behind an open file."""
    _call("setns", ctypes.c_int(descriptor), ctypes.c_int(kind))


def sethostname(name: str) -> None:
    """Name the machine, in this UTS namespace."""
    _call("sethostname", name.encode(), ctypes.c_size_t(len(name.encode())))


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Attach a file system or a bind to ``target``.

    Raises:
        OSError: the kernel refused; the message names the target.
    """
    try:
        _call(
            "mount", os.fsencode(source), os.fsencode(target), kind.encode() or None,
            ctypes.c_ulong(flags), options.encode() or None,
        )  # fmt: skip
    except OSError as error:
        raise OSError(error.errno, f"mount {kind or 'bind'} on {target}: {os.strerror(error.errno or 0)}") from error


class _MountAttr(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")]


def restrict(target: str, attributes: int) -> None:
    """Add mount attributes (read-only, …) to ``target`` and every mount below it; Linux 5.12 or later."""
    attr = _MountAttr(attributes, 0, 0, 0)
    _call(
        "syscall", ctypes.c_long(_SYS_MOUNT_SETATTR), ctypes.c_int(_AT_FDCWD), os.fsencode(target),
        ctypes.c_uint(_AT_RECURSIVE), ctypes.byref(attr), ctypes.c_size_t(ctypes.sizeof(attr)),
    )  # fmt: skip


def copy_mount(descriptor: int) -> int:
    """The directory behind ``descriptor`` as a mount that is nowhere yet; Linux 5.2 or later.

    Raises:
        OSError: the kernel refused, or is too old.
    """
    _libc.syscall.restype = ctypes.c_long
    flags = _OPEN_TREE_CLONE | _AT_EMPTY_PATH | os.O_CLOEXEC
    made = int(_libc.syscall(ctypes.c_long(_SYS_OPEN_TREE), ctypes.c_int(descriptor), b"", ctypes.c_uint(flags)))
    if made < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"open_tree: {os.strerror(number)}")
    return made


def attach(mount: int, target: str, attributes: int) -> None:
    """Attach what ``copy_mount`` made at ``target``, with mount attributes added.

    Raises:
        OSError: the kernel refused, or is too old.
    """
    attr = _MountAttr(attributes, 0, 0, 0)
    _call(
        "syscall", ctypes.c_long(_SYS_MOUNT_SETATTR), ctypes.c_int(mount), b"", ctypes.c_uint(_AT_EMPTY_PATH),
        ctypes.byref(attr), ctypes.c_size_t(ctypes.sizeof(attr)),
    )  # fmt: skip
    _call(
        "syscall", ctypes.c_long(_SYS_MOVE_MOUNT), ctypes.c_int(mount), b"", ctypes.c_int(_AT_FDCWD),
        os.fsencode(target), ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH),
    )  # fmt: skip


def unmount(target: str, *, lazy: bool = False) -> None:
    """Detach what is mounted at ``target``.

    Raises:
        OSError: it is in use, or nothing is mounted there.
    """
    _call("umount2", os.fsencode(target), ctypes.c_int(_UMOUNT_NOFOLLOW | (_MNT_DETACH if lazy else 0)))


def pivot(new_root: str) -> None:
    """Make ``new_root`` the root directory and let go of the old one."""
    os.chdir(new_root)
    # Both names being "." stacks the old root under the new one, so no directory is needed to put it in.
    _call("pivot_root", b".", b".")
    _call("umount2", b".", ctypes.c_int(_MNT_DETACH))
    os.chdir("/")


def _prctl(option: int, value: int) -> None:
    _call("prctl", ctypes.c_int(option), *(ctypes.c_ulong(part) for part in (value, 0, 0, 0)))


def die_with_parent(signal: int) -> None:
    """Ask for ``signal`` when the parent dies. Forgotten by the kernel whenever the user id changes."""
    _prctl(_PR_SET_PDEATHSIG, signal)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def map_user(uid: int, gid: int, outer_uid: int, outer_gid: int) -> None:
    """In a fresh user namespace: be ``uid:gid``, who is ``outer_uid:outer_gid`` outside."""
    process = Path("/proc/self")
    (process / "setgroups").write_text("deny")
    (process / "uid_map").write_text(f"{uid} {outer_uid} 1")
    (process / "gid_map").write_text(f"{gid} {outer_gid} 1")


class _CapHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


def become(uid: int, gid: int) -> None:
    """Be this user and nobody else, for good."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def give_up_privileges() -> None:
    """No capability now, and none to be had from a set-user-id program."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    header = _CapHeader(_CAPABILITY_VERSION_3, 0)
    _call("capset", ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))


def forbid_inspection() -> None:
    """Keep this process's memory and files from other processes of the same user."""
    _prctl(_PR_SET_DUMPABLE, 0)
