"""The package as a user installs it: an editable install would slow every start down."""

from __future__ import annotations

import shutil
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.ground import quiet

ROOT = Path(__file__).parents[1]
_PACKAGE = ("spot_connect", "setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in")


@contextmanager
def installed(*, with_dependencies: bool = False) -> Iterator[Path]:
    """The programs of a virtual environment with the package in it; dependencies are those of this environment."""
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
        quiet(*pip, "--python", str(programs / "python"), "install", "--no-deps", "--no-index", str(wheel))
        if with_dependencies:
            _lend_dependencies(target)
        yield programs


def _lend_dependencies(target: Path) -> None:
    # A path in such a file is searched last, and brings none of the editable installs there.
    theirs = sysconfig.get_path("purelib", vars={"base": str(target), "platbase": str(target)})
    Path(theirs, "lent.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")


def _has_build_backend() -> bool:
    """Whether our own environment can build the package; if not, pip fetches what does."""
    try:
        return int(version("setuptools").partition(".")[0]) >= 77
    except PackageNotFoundError:
        return False
