"""Where boxes may live, and what they must not see."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from spot_connect.core.errors import LocalCloudError

_FIRST_UID, _UIDS = 60600, 500  # between systemd's home and dynamic users: nobody hands these out


def box_uid(root: Path) -> int:
    """The user id that all boxes under ``root`` become when the daemon is root: the same every time, and nobody's.

    One for all of them, so that instances can share a file system as ``ec2-user`` of each.
    """
    import pwd

    taken = {entry.pw_uid for entry in pwd.getpwall()}
    start = int.from_bytes(hashlib.sha256(os.fsencode(root.absolute())).digest()[:4], "big")
    candidates = (_FIRST_UID + (start + step) % _UIDS for step in range(_UIDS))
    uid = next((candidate for candidate in candidates if candidate not in taken), None)
    if uid is None:
        last = _FIRST_UID + _UIDS - 1
        raise LocalCloudError("cannot choose a user id for instances", f"all of {_FIRST_UID} to {last} are taken")
    return uid


def hidden(root: Path) -> tuple[str, ...]:
    """Directories that a box must find empty: the user's home and the state of spot-connect."""
    state = root.parents[1] if root.parts[-2:] == ("local", "boxes") else root
    wanted = [Path.home(), Path(os.environ.get("SPOT_CONNECT_HOME") or state), state]
    shown = ("/", "/usr", "/etc", "/var", "/tmp", "/root", "/bin", "/dev")  # noqa: S108 - what the instance is shown of the system
    paths = dict.fromkeys(os.path.realpath(path) for path in wanted)
    return tuple(path for path in paths if path not in shown)


def for_boxes(root: Path, *, reachable: bool) -> Path:
    """The directory that boxes are kept in: ``root``, or another when an unprivileged user must reach it and cannot.

    Raises:
        LocalCloudError: somebody else got hold of that other directory.
    """
    if not reachable:
        return root
    if all(parent.stat().st_mode & stat.S_IXOTH for parent in root.absolute().parents):
        root.chmod(0o711)
        return root
    name = hashlib.sha256(os.fsencode(root.absolute())).hexdigest()[:16]
    place = Path("/var/tmp", f"spot-connect-{name}")  # noqa: S108 - its owner and mode are looked at
    place.mkdir(mode=0o711, exist_ok=True)
    status = place.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise LocalCloudError(f"cannot keep instances in {place}", "it belongs to somebody else", "Have it removed.")
    place.chmod(0o711)
    return place
