"""Finding out which levels work here, by trying them.

Run as ``python -m spot_connect.local.boxes.probe``: prints the probes as JSON.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from spot_connect.local.boxes import entry, linux
from spot_connect.local.boxes.layout import Directory, write_etc
from spot_connect.local.boxes.levels import Level, Probe
from spot_connect.local.boxes.order import Order

_SECONDS = 20
_CHECK = "test -w $HOME && test ! -w /etc && test -d /proc/1 && echo works"
_UID = 60599


def probe_levels() -> tuple[Probe, ...]:
    """Every level, strongest first, and whether it works on this machine for this user.

    It is tried in a process of its own, in the way that an instance would be made. ``plain`` always works.
    """
    if sys.platform != "linux":
        return (*(Probe(level, False, "namespaces need Linux") for level in _tried()), Probe(Level.PLAIN, True))  # noqa: FBT003
    line = [sys.executable, "-m", "spot_connect.local.boxes.probe"]
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=_SECONDS, check=True, cwd="/")  # noqa: S603 - a check that is written here
        found = json.loads(done.stdout)
    except (subprocess.SubprocessError, OSError, ValueError) as error:
        found = {level.value: str(error) for level in _tried()}
    tried = (Probe(level, not found[level.value], found[level.value]) for level in _tried())
    return (*tried, Probe(Level.PLAIN, True))  # noqa: FBT003


def _tried() -> tuple[Level, ...]:
    return tuple(level for level in Level if level.isolated)


def _try(level: Level, folder: Path) -> str:
    """Why ``level`` does not work; empty when it does."""
    uid = _UID if os.geteuid() == 0 else None
    directory = Directory(folder / level.value)
    shims = folder / "shims"
    shims.mkdir(exist_ok=True)
    for name in ("sudo", "shutdown", "poweroff", "halt", "reboot", "cloud-init", "mount", "umount", "systemctl"):
        (shims / name).touch()
    directory.make(uid)
    write_etc(directory, "ec2-user", "probe", "127.0.0.1", uid or 1000)
    order = Order("i-probe", "probe", "ec2-user", (), level, str(directory.path), str(shims), "", "", "", uid=uid)
    ours, theirs = socket.socketpair()
    output, result = os.pipe()
    go, gone = os.pipe()
    try:
        holder = entry.start_holder(order) if level is Level.NS_BWRAP else None
    except OSError as error:
        return str(error)
    launcher = os.fork()
    if launcher == 0:
        _launch(order, theirs, holder, (go, result))
    os.close(result)
    os.waitpid(launcher, 0)
    os.write(gone, b"g")
    with os.fdopen(output) as reader:
        said = reader.read().strip()
    if holder is not None:
        holder.process.kill()
        holder.process.wait()
    ours.close()
    theirs.close()
    return "" if said == "works" else said or "the sandbox could not be made"


def _launch(order: Order, channel: socket.socket, holder: entry.Holder | None, pipes: tuple[int, int]) -> None:
    go, result = pipes
    try:
        entry.launch(order, channel, holder, lambda: _look_around(order, go, result))
    except OSError as error:
        os.write(result, str(error).encode())
    finally:
        os._exit(0)


def _look_around(order: Order, go: int, result: int) -> None:
    try:
        entry.settle(order, go)
        os.dup2(result, 1)
        os.execve("/bin/sh", ["sh", "-c", _CHECK], {"HOME": "/home/ec2-user", "PATH": "/usr/bin:/bin"})  # noqa: S606 - a check that is written here
    except OSError as error:
        os.write(result, str(error).encode())


def main() -> None:
    """Try every level and print why each does not work."""
    linux.adopt_orphans()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        json.dump({level.value: _try(level, folder) for level in _tried()}, sys.stdout)


if __name__ == "__main__":
    main()
