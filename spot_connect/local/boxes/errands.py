"""Mounting in a box that runs, by a fork of the zygote.

With namespaces it is a real mount. The directory is copied as a mount that is nowhere, in a mount namespace of the
helper's own, and attached in the box's. Nothing else of the host becomes reachable: the path to the directory is never
visible in the box. Without namespaces it is a link, made with the box's rights.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from spot_connect.local.boxes import linux
from spot_connect.local.boxes.order import Errand

_ATTRIBUTES = linux.ATTR_NOSUID | linux.ATTR_NODEV


def run(errand: Errand, view: int) -> None:
    """Do it. ``view`` is the box's mount namespace, -1 where it has none.

    Raises:
        OSError: it could not be done.
    """
    if view < 0:
        _link(errand)
    elif errand.root:
        _mount(errand, view)
    else:
        _own(view)
        linux.setns(view)
        linux.unmount(errand.target, lazy=errand.lazy)


def _mount(errand: Errand, view: int) -> None:
    _own(view)
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    tree = linux.copy_mount(_below(errand.root, errand.sub))
    try:
        linux.setns(view)
        linux.attach(tree, errand.target, _ATTRIBUTES)
    finally:
        # An open descriptor makes the mount busy, and this process may outlive its answer.
        os.close(tree)


def _own(view: int) -> None:
    """Enter the user namespace that the box's mounts belong to, unless it is ours."""
    owner = fcntl.ioctl(view, linux.NS_GET_USERNS)
    if os.fstat(owner).st_ino != Path("/proc/self/ns/user").stat().st_ino:
        linux.setns(owner)


def _below(root: str, sub: str) -> int:
    """The directory ``sub`` of ``root``. Whoever uses the file system may have put links in it; none is followed."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
    found = os.open(root, flags)
    for name in Path(sub).parts:
        if name == os.pardir:
            raise OSError(errno.EINVAL, "a path in a file system cannot lead upwards")
        found = os.open(name, flags, dir_fd=found)
    return found


def _link(errand: Errand) -> None:
    if errand.uid is not None:
        linux.become(errand.uid, errand.uid)
    target = Path(errand.target)
    if Path(errand.home) not in target.parent.resolve().joinpath(target.name).parents:
        raise OSError(errno.EPERM, f"without namespaces only directories below {errand.home} can be mounted on")
    covered = target.with_name(f".{target.name}.covered")
    if errand.root:
        _cover(target, covered, Path(errand.root, errand.sub))
    else:
        target.unlink()
        covered.rename(target)


def _cover(target: Path, covered: Path, source: Path) -> None:
    """Put a link in the place of a directory, which is kept beside it."""
    if not source.is_dir():
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    if target.is_symlink() and target.readlink() == source:
        return  # left by a daemon that was killed
    target.rename(covered)
    target.symlink_to(source)
