"""Archives made here and read by tar, and the other way round."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from spot_connect.transfers.entries import Entry, local_entries
from spot_connect.transfers.packing import Unpacker, archive, length_of

NEVER = 2**40


@pytest.mark.parametrize("count", range(1, 22))
def test_an_archive_of_any_length_is_read_to_its_end_and_no_further(tmp_path: Path, count: int) -> None:
    for number in range(count):
        (tmp_path / f"{number}").write_bytes(b"x" * (number % 3) * 300)
    names = sorted(path.name for path in tmp_path.iterdir())
    made = subprocess.run(["tar", "-c", "--format=gnu", *names], cwd=tmp_path, stdout=subprocess.PIPE, check=True)
    stream = io.BytesIO(made.stdout + b"what comes next")
    unpacker = Unpacker(stream.read)
    found = {name: unpacker.contents(size) for name, size in unpacker.files()}
    assert found == {path.name.encode(): path.read_bytes() for path in tmp_path.iterdir()}
    assert stream.read() == b"what comes next"


def packed(root: Path, recent: int) -> bytes:
    entries = [entry for entry in local_entries(root) if entry.kind != "d"]
    files = [(str(root / os.fsdecode(entry.name)), entry.name, entry) for entry in entries]
    moved: list[int] = []
    made = b"".join(archive(files, moved.append, recent))
    assert len(made) == length_of([(entry.name, entry) for entry in entries], recent)
    assert sum(moved) == sum(entry.size for entry in entries)
    return made


def test_tar_reads_what_was_packed(tmp_path: Path) -> None:
    (tmp_path / ("d" * 90)).mkdir()
    (tmp_path / ("d" * 90) / ("f" * 120)).write_bytes(b"deep")
    (tmp_path / "old").write_bytes(b"old")
    os.utime(tmp_path / "old", ns=(-5_000_000_000, -5_000_000_000))
    (tmp_path / "link").symlink_to("x" * 300)
    (tmp_path / "exact").write_bytes(b"y" * 512)
    with tarfile.open(fileobj=io.BytesIO(packed(tmp_path, NEVER))) as read:
        assert {one.name: one.size for one in read} == {
            "d" * 90 + "/" + "f" * 120: 4,
            "old": 3,
            "link": 0,
            "exact": 512,
        }
        assert read.getmember("old").mtime == -5
        assert read.getmember("link").linkname == "x" * 300


def test_a_fresh_time_is_kept_to_the_nanosecond(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    os.utime(tmp_path / "f", ns=(1_700_000_000_123_456_789, 1_700_000_000_123_456_789))
    with tarfile.open(fileobj=io.BytesIO(packed(tmp_path, 1_700_000_000))) as read:
        assert read.getmember("f").pax_headers["mtime"] == "1700000000.123456789"


def test_an_entry_is_what_the_file_is(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"xyz")
    os.utime(tmp_path / "f", ns=(5, 5))
    (tmp_path / "f").chmod(0o640)
    assert list(local_entries(tmp_path / "f")) == [Entry(b"", "f", 0o640, 3, 5, b"")]
