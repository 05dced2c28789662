"""Whether a path is safe: nobody but this user and the system can change what it leads to.

The rules are those that OpenSSH's ``StrictModes`` has for the way to ``authorized_keys``, followed up to the root:
every directory belongs to this user or to root, and nobody else can write to it. A sticky directory, as ``/tmp`` is,
may be written to by all, because what lies in it can be renamed by its owner alone. Links are followed one by one, so
that the directory of each of them is looked at as well. On Windows there are no such modes, and nothing is checked.

It imports little: a command over a held line looks here, too.
"""

from __future__ import annotations

import errno
import os
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_OTHERS = 0o077
_OTHERS_WRITE = 0o022
_MOST_LINKS = 40
"""As many as Linux follows."""
_ANOTHER = "set SPOT_CONNECT_HOME to a directory of your own"


def check(path: str, top: str = "") -> None:
    """Refuse a file or a directory that others can change; what is missing of it is no error.

    Directories at and below ``top`` have to be this user's own. If others can enter one, it is closed to them, and a
    line of the logger ``spot_connect`` says so.

    Args:
        path: where it is, absolute.
        top: the topmost directory that is to be private; with none, no mode is ever changed.

    Raises:
        StateError: others can change it; the error names the directory, its mode and what mends it.

    Example:
        >>> check("/")
    """
    if sys.platform == "win32":
        return
    inside = os.path.realpath(top) if top else ""
    for step, found in _steps(path):
        _judge(step, found, path, is_inside=bool(inside) and (step + "/").startswith(inside + "/"))


def make(path: str, top: str = "", *, is_checked: bool = True) -> None:
    """Make a directory and what is missing above it, each with mode 0700 whatever the umask; before, as :func:`check`.

    Unless ``is_checked``, whoever else can change it does not matter.

    Raises:
        OSError: it cannot be made.
        StateError: others can change it; then nothing was made.
    """
    if is_checked:
        check(path, top)
    missing = []
    step = path
    while not os.path.exists(step):
        missing.append(step)
        step = os.path.dirname(step)
    for step in reversed(missing):
        _make_one(step)
    if not os.path.isdir(path):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))


def is_safe(directory: str) -> bool:
    """Whether it is a directory of this user that nobody else can enter or replace; nothing is mended.

    Example:
        >>> is_safe("/tmp")
        False
    """
    if sys.platform == "win32":
        return True
    try:
        found = os.stat(directory)
        is_reached = not any(_is_strange(step) or _is_open(path, step) for path, step in _steps(directory))
    except OSError:
        return False
    is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & _OTHERS
    return is_own and is_reached


def _make_one(step: str) -> None:
    try:
        os.mkdir(step, 0o700)
    except FileExistsError:
        # Somebody was faster; a link that leads nowhere is no directory.
        if not os.path.isdir(step):
            raise
        return
    if sys.platform != "win32" and stat.S_IMODE(os.lstat(step).st_mode) & 0o700 != 0o700:
        os.chmod(step, 0o700)


def _steps(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Every directory and link on the way, from the root on, as far as it exists; what it leads to comes last."""
    here = "/"
    yield here, os.lstat(here)
    names = path.split("/")[::-1]
    links = 0
    while names:
        name = names.pop()
        if name in ("", "."):
            continue
        if name == "..":
            here = os.path.dirname(here)
            continue
        step = os.path.join(here, name)
        try:
            found = os.lstat(step)
        except (FileNotFoundError, NotADirectoryError):
            return
        yield step, found
        if not stat.S_ISLNK(found.st_mode):
            here = step
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        target = os.readlink(step)
        names += target.split("/")[::-1]
        here = "/" if target.startswith("/") else here


def _judge(step: str, found: os.stat_result, path: str, *, is_inside: bool) -> None:
    if is_inside and stat.S_ISDIR(found.st_mode):
        if found.st_uid != os.geteuid():
            raise _of_another(step, found.st_uid, path)
        if found.st_mode & _OTHERS:
            _close(step, found)
    elif _is_strange(found):
        raise _of_another(step, found.st_uid, path)
    elif _is_open(step, found):
        raise _open_to_others(step, found, path)


def _is_strange(found: os.stat_result) -> bool:
    """Whether it belongs to another user, who can always change it."""
    return found.st_uid != os.geteuid() and not _is_the_systems(found.st_uid)


def _is_open(step: str, found: os.stat_result) -> bool:
    """Whether others may write to it, and could do harm with that."""
    if not found.st_mode & _OTHERS_WRITE or stat.S_ISLNK(found.st_mode):
        return False
    if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX:
        return False
    return bool(found.st_mode & 0o002) or not _is_a_group_of_one(step, found)


def _is_the_systems(user: int) -> bool:
    if user == 0:
        return True
    # In a user namespace, as rootless containers and sandboxes have, whatever belongs to a user from outside seems to
    # belong to "nobody", the system's own directories among them: they cannot be told apart.
    try:
        with open("/proc/sys/kernel/overflowuid", encoding="ascii") as overflow:
            if user != int(overflow.read()):
                return False
        with open("/proc/self/uid_map", encoding="ascii") as users:
            return users.read().split() != ["0", "0", "4294967295"]
    except (OSError, ValueError):
        return False


def _is_a_group_of_one(step: str, found: os.stat_result) -> bool:
    """Whether the group is the private one of the owner.

    Where each user has a group of the same name (Debian, Fedora), the umask is 002 and homes may be writable to that
    group: Debian's OpenSSH takes them, too. A second member, another user's primary group, or an access list, whose
    mask is what the group's bits show then, make it a group of several.
    """
    import grp
    import pwd

    try:
        owner = pwd.getpwuid(found.st_uid)
        group = grp.getgrgid(found.st_gid)
        has_list = "system.posix_acl_access" in os.listxattr(step) if sys.platform == "linux" else False
    except (KeyError, OSError):
        return False
    if has_list or group.gr_name != owner.pw_name or owner.pw_gid != found.st_gid:
        return False
    return not set(group.gr_mem) - {owner.pw_name} and not any(
        user.pw_gid == found.st_gid and user.pw_uid != found.st_uid for user in pwd.getpwall()
    )


def _close(step: str, found: os.stat_result) -> None:
    import logging

    os.chmod(step, 0o700)
    logging.getLogger("spot_connect").warning(
        "%s could be entered by others (mode %04o); only you can enter it now", step, stat.S_IMODE(found.st_mode)
    )


def _of_another(step: str, user: int, path: str) -> Exception:
    from spot_connect.core.errors import StateError

    said = f"{_it(step, path)} belongs to {_name(user)}, who could change what is in it"
    if os.geteuid() == 0:
        return StateError(f"cannot use {path} as root", said, f"Run this without sudo, or {_ANOTHER}.")
    return StateError(f"cannot use {path}", said, f"Have it removed or given to you, or {_ANOTHER}.")


def _open_to_others(step: str, found: os.stat_result, path: str) -> Exception:
    import shlex

    from spot_connect.core.errors import StateError

    said = f"{_it(step, path)} has mode {stat.S_IMODE(found.st_mode):04o}, so that others could change it"
    advice = f"Look whether somebody has; then run: chmod go-w {shlex.quote(step)}"
    return StateError(f"cannot use {path}", said, advice)


def _it(step: str, path: str) -> str:
    return "it" if step == path else step


def _name(user: int) -> str:
    import pwd

    try:
        return f"the user {pwd.getpwuid(user).pw_name}"
    except KeyError:
        return f"the user with the number {user}"
