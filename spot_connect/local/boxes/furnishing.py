"""What a box's user finds: files in the home directory, and variables in the environment."""

from __future__ import annotations

import os
from pathlib import Path

from spot_connect.local.boxes.layout import View
from spot_connect.local.boxes.order import Order

# Login shells set PATH anew from /etc/profile; ours must come first again.
# And nobody at the prompt may take the rehearsal for the real thing.
_RC = """[ -z "$PS1" ] || PS1='LOCAL \\u@\\h:\\w\\$ '
case ":$PATH:" in
  *":$SPOT_CONNECT_SHIMS:"*) ;;
  *) PATH="$SPOT_CONNECT_SHIMS:$PATH"; export PATH ;;
esac
"""
_PROFILE = '[ -f "$HOME/.bashrc" ] && . "$HOME/.bashrc"\n'
_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


def furnish(order: Order, view: View) -> None:
    """Write what a new home has, with the box's own rights; what is there stays as its user left it.

    Raises:
        OSError: the home cannot be written.
    """
    for home in dict.fromkeys((view.home, view.root_home)):
        _write_once(Path(home, ".bashrc"), _RC)
        _write_once(Path(home, ".bash_profile"), _PROFILE)
    folder = Path(view.home, ".ssh")
    folder.mkdir(mode=0o700, exist_ok=True)
    keys = "".join(f"{key.strip()}\n" for key in order.authorized_keys)
    _write_once(folder / "authorized_keys", keys, 0o600)


def _write_once(path: Path, text: str, mode: int = 0o644) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def environment(order: Order, view: View) -> dict[str, str]:
    """Every variable of a process in the box, but those of its session. Nothing of the daemon's own leaks in."""
    # Where links lead that stand for mounts.
    linked = {} if order.level.isolated else {"SPOT_CONNECT_FILE_SYSTEMS": order.file_systems}
    return {
        "LANG": "C.UTF-8",
        **linked,
        **order.environment,
        "PATH": f"{view.shims}:{_PATH}",
        "HOME": view.home,
        "USER": order.username,
        "LOGNAME": order.username,
        "SHELL": "/bin/bash",
        "SPOT_CONNECT_BOX": order.instance_id,
        "SPOT_CONNECT_SHIMS": view.shims,
        "SPOT_CONNECT_BOOT": view.boot,
        "SPOT_CONNECT_PYTHON": order.python,
    }
