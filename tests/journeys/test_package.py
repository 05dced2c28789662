"""The package as it would be published: built, installed elsewhere, and used from an empty directory."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*words, cwd, **variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
    return subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env=kept | variables,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The directory with the wheel and the sdist, built from what git tracks."""
    directory = tmp_path_factory.mktemp("dist")
    tree = tmp_path_factory.mktemp("tree")
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes((ROOT / name).read_bytes())
    result = run(sys.executable, "-m", "build", "--no-isolation", "--outdir", directory, tree, cwd=tree)
    assert result.returncode == 0, result.stdout + result.stderr
    return directory


@pytest.fixture(scope="module", params=["*.whl", "*.tar.gz"])
def installed(request, built, tmp_path_factory):
    """The bin directory of an environment that holds nothing but the package and what it needs."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=True)
    [package] = built.glob(request.param)
    result = run(home / "bin" / "python", "-m", "pip", "install", "--quiet", package, cwd=home)
    assert result.returncode == 0, result.stderr
    return home / "bin"


@pytest.mark.timeout(900)
def test_it_works_from_an_empty_directory(installed, tmp_path):
    version = run(installed / "spot_connect", "--version", cwd=tmp_path)
    assert version.stdout.startswith("spot_connect 2")
    code = "from spot_connect import sutils, spotted; print(sutils.load_profiles()['t2.micro']['instance_type'])"
    used = run(installed / "python", "-c", code, cwd=tmp_path, SPOT_CONNECT_HOME=str(tmp_path / "home"))
    assert used.stdout == "t2.micro\n", used.stderr


@pytest.mark.timeout(900)
def test_without_the_extra_the_local_cloud_says_how_to_get_it(installed, tmp_path):
    result = run(installed / "spot_connect", "local", "up", cwd=tmp_path, SPOT_CONNECT_HOME=str(tmp_path / "home"))
    assert result.returncode == 1
    assert "spot-connect[local]" in result.stderr
    assert "Traceback" not in result.stderr
