"""Make a machine a member: a Python with dask.distributed, made where there is none, and the member started in it."""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spot_connect.core.packages import install
from spot_connect.crew.batch import find
from spot_connect.interruption import modes
from spot_connect.interruption.__main__ import detach, hand_in
from spot_connect.interruption.ledger import base, home

DASK = "2026.8.0"
_VERSIONS = {"distributed": f"distributed=={DASK}"}
CHOSEN = "SPOT_CONNECT_PYTHON"
"""Names a Python on the instance that has dask.distributed."""
_NAMES = ("python3", "python3.13", "python3.12", "python3.11", "python3.10")
# Debian's Python comes without what makes virtual environments.
_FITS = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))"
_HAS_DASK = "import distributed"
_HAS_BOTO = "import distributed, boto3"


def start(asked: dict[str, Any]) -> None:
    """Begin it in the background; a Python may have to be made, which takes a minute."""
    detach("jobs-enlist", asked, log="crew.log")


def enlist(asked: dict[str, Any]) -> int:
    """Become the member, unless this machine is one already; the exit status is 1 when no Python could be made."""
    batch = find(asked["run"])
    if batch is None:
        return 1
    # It is open, and so locked, until the member has ended: exec keeps it.
    lock = os.open(home() / f"member-{batch.id}", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    os.set_inheritable(lock, True)  # noqa: FBT003 - it takes no keyword
    try:
        python = _python(with_boto=bool(batch.spec.get("role")))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is to be heard of, as long as this machine costs
        said = str(getattr(error, "stderr", "") or error).strip().splitlines()
        batch.sign_up(asked["instance"], trouble=f"no Python with dask: {said[-1] if said else error}")
        return 1
    place = unpacked()
    given, line = os.pipe()
    os.dup2(given, sys.stdin.fileno())
    with os.fdopen(line, "wb") as written:
        hand_in(written, {**asked, "directory": str(batch.directory)})
    with modes.for_the_user():
        os.execv(python, [python, str(place), "jobs-member"])  # noqa: S606 - a program by its path
    return 1


def _python(*, with_boto: bool) -> str:
    """A Python with dask, and with boto3 where the machine may have something to ask AWS."""
    if not with_boto:
        return suitable() or made(["distributed"])
    return suitable(_HAS_BOTO) or made(["distributed", "boto3"])


def suitable(has: str = _HAS_DASK) -> str:
    """A Python of this machine that has dask.distributed; empty when none has."""
    candidates = [os.environ.get(CHOSEN), str(_own_python()), *(shutil.which(name) for name in _NAMES)]
    return next((one for one in candidates if one and _succeeds([one, "-c", has])), "")


def made(packages: Sequence[str]) -> str:
    """A new virtual environment with dask.distributed.

    What was downloaded is kept on the file system, so that the machines that come later neither wait for the network
    nor get another version.
    """
    python = likely() or _installed()
    _call([python, "-m", "venv", "--clear", str(home() / "crew-python")])
    wanted = [_VERSIONS.get(name, name) for name in packages]
    wheels = base() / "wheels" / f"{'-'.join(packages)}-{DASK}-{_tag(python)}"
    if not wheels.is_dir():
        _download(wheels, wanted)
    pip = [str(_own_python()), "-m", "pip", "install", "-q", "--no-index", "--find-links", str(wheels)]
    _call([*pip, *wanted])
    return str(_own_python())


def likely() -> str:
    """The Python of this machine that a virtual environment can be made of; empty where one has to be installed."""
    return next((found for found in map(shutil.which, _NAMES) if found and _succeeds([found, "-c", _FITS])), "")


def unpacked() -> Path:
    """The program as files beside its archive: Python starts faster from what it may compile once."""
    archive = Path(sys.path[0])
    if archive.is_dir():
        return archive
    place = archive.with_suffix(".d")
    if not place.exists():
        fresh = place.with_name(f".{place.name}.{os.getpid()}")
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(fresh)
        try:
            fresh.rename(place)
        except OSError:
            shutil.rmtree(fresh)
    return place


def _own_python() -> Path:
    return home() / "crew-python" / "bin" / "python"


def _installed() -> str:
    """A Python from the distribution's packages."""
    script = install(apt="python3-venv python3-pip", dnf="python3.11 python3.11-pip", zypper="python311")
    _call(["sh", "-s", "Python"], script)
    found = likely()
    if not found:
        raise RuntimeError("this distribution has no Python 3.10 or later; use a newer image, or one that has it")
    return found


def _download(wheels: Path, wanted: Sequence[str]) -> None:
    fresh = wheels.with_name(f".{wheels.name}.{platform.node()}.{os.getpid()}")
    fresh.mkdir(parents=True)
    _call([str(_own_python()), "-m", "pip", "wheel", "-q", "-w", str(fresh), *wanted])
    try:
        fresh.rename(wheels)
    except OSError:
        # Another machine was first, with the same wheels.
        shutil.rmtree(fresh)


def _tag(python: str) -> str:
    version = subprocess.check_output([python, "-c", "import sys; print('%d%d' % sys.version_info[:2])"])  # noqa: S603 - a Python that was found here, with a program of ours
    return f"cp{version.decode().strip()}-{platform.machine()}"


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.call(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0  # noqa: S603 - commands of this module alone
    except OSError:
        return False


def _call(command: list[str], script: str = "") -> None:
    sys.stderr.write(f"{time.strftime('%FT%T')} {' '.join(command)}\n")
    with modes.for_the_user():
        subprocess.run(  # noqa: S603 - commands of this module alone
            command, check=True, input=script, stdout=sys.stderr, stderr=subprocess.PIPE, text=True
        )
