"""Parts of files on their way out of a program, whatever its output is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spot_connect.transfers.helper.files import PIECE

_CODE = """
import os, sys
from spot_connect.transfers.helper.frames import tell_part
file = os.open(sys.argv[1], os.O_RDONLY)
try:
    tell_part(file, int(sys.argv[2]), int(sys.argv[3]))
except OSError as error:
    sys.exit(str(error))
"""
_SIZE = 3 * PIECE + 17

Told = Callable[[int, int], tuple[bytes, str]]


@pytest.fixture
def content() -> bytes:
    return os.urandom(_SIZE)


@pytest.fixture(params=["pipe", "file", "file that is added to"])
def told(request: pytest.FixtureRequest, tmp_path: Path, content: bytes) -> Told:
    """What arrives of a part, and what is said; Linux hands nothing on by itself to a file that is added to."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(content)

    def tell(offset: int, size: int) -> tuple[bytes, str]:
        command = [sys.executable, "-c", _CODE, str(source), str(offset), str(size)]
        if request.param == "pipe":
            done = subprocess.run(command, capture_output=True, check=False)
            return done.stdout, done.stderr.decode().strip()
        with target.open("wb" if request.param == "file" else "ab") as out:
            said = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, check=False).stderr
        return target.read_bytes(), said.decode().strip()

    return tell


@pytest.mark.parametrize(("offset", "size"), [(0, _SIZE), (5, 2 * PIECE), (_SIZE - 1, 1), (7, 0)])
def test_a_part_of_a_file_is_told(told: Told, content: bytes, offset: int, size: int) -> None:
    assert told(offset, size) == (content[offset : offset + size], "")


def test_what_is_missing_at_the_end_is_told_as_zeros_and_said(told: Told, content: bytes) -> None:
    arrived, said = told(100, _SIZE + PIECE)
    assert arrived == content[100:] + bytes(PIECE + 100)
    assert "shorter" in said
