"""`spot_connect --help` against a bare interpreter.

Both in a virtual environment made for it, into which the package is installed as a user installs it: an editable
install would slow both sides down.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.ground import quiet
from benchmarks.options import Options, as_script
from benchmarks.timing import Number, interleave_programs, ratio

ROOT = Path(__file__).parents[1]
_PACKAGE = ("spot_connect", "setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in")


def measure(options: Options) -> list[Number]:
    """The help text, and as much of an interpreter as nothing at all needs."""
    with _installed() as programs:
        sides = {
            "`spot_connect --help`": [str(programs / "spot_connect"), "--help"],
            "`python -c pass`": [str(programs / "python"), "-c", "pass"],
        }
        ours, peer = interleave_programs(
            {label: partial(_run, command) for label, command in sides.items()},
            options.rounds or 60,
            warm_up=5,
        )
    return [ratio("start-up", ours, peer, most=2)]


def _run(command: list[str]) -> None:
    subprocess.run(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=True)


@contextmanager
def _installed() -> Iterator[Path]:
    """The programs of a virtual environment with the package in it, without its dependencies."""
    with tempfile.TemporaryDirectory(prefix="sc-") as name:
        source, target = Path(name, "source"), Path(name, "venv")
        source.mkdir()
        for part in _PACKAGE:
            here = ROOT / part
            if here.is_dir():
                shutil.copytree(here, source / part, ignore=shutil.ignore_patterns("__pycache__"))
            elif here.exists():
                shutil.copy(here, source)
        venv.create(target, with_pip=False, symlinks=True)
        programs = target / ("Scripts" if sys.platform == "win32" else "bin")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        flags = ["--no-build-isolation"] if _has_build_backend() else []
        quiet(*pip, "wheel", "--no-deps", *flags, "--wheel-dir", name, str(source))
        (wheel,) = Path(name).glob("*.whl")
        # Help needs no dependency.
        quiet(*pip, "--python", str(programs / "python"), "install", "--no-deps", "--no-index", str(wheel))
        yield programs


def _has_build_backend() -> bool:
    """Whether our own environment can build the package; if not, pip fetches what does."""
    try:
        return int(version("setuptools").partition(".")[0]) >= 77
    except PackageNotFoundError:
        return False


if __name__ == "__main__":
    sys.exit(as_script(__doc__, measure))
