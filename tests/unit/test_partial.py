"""Big files put together: who gives them their names, whatever another transfer of them does meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spot_connect.transfers.helper.partial import PART, PLACED, STRAY, Partial, complete, ranges, segments

TOKEN = b"place-content"
TIME = 1_600_000_000_123_456_789


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "f"


def begun(target: Path) -> Partial:
    return Partial(os.fsencode(target), TOKEN, 8, 0o640, TIME)


def ended(target: Path, offset: int, text: bytes) -> bytes:
    partial = begun(target)
    partial.write(offset, text)
    return partial.end(offset, len(text))


def moved(target: Path, offset: int, text: bytes) -> bool:
    return ended(target, offset, text) == PLACED


def finished(target: Path) -> None:
    complete(os.fsencode(target), TOKEN, 8, 0o640, TIME)


def partial_path(target: Path, end: str = "") -> Path:
    return target.with_name(f".spot-connect-{TOKEN.decode()}.part{end}")


def alone(target: Path) -> bool:
    return [path.name for path in target.parent.iterdir()] == ["f"]


def test_the_last_range_gives_the_file_its_name(target: Path) -> None:
    assert not moved(target, 4, b"efgh")
    assert not target.exists()
    assert moved(target, 0, b"abcd")
    assert target.read_bytes() == b"abcdefgh"
    assert (target.stat().st_mtime_ns, target.stat().st_mode & 0o777) == (TIME, 0o640)
    assert alone(target)


@pytest.mark.parametrize("end", [".done", ".all"])
def test_a_file_that_is_whole_but_has_no_name_gets_it(target: Path, end: str) -> None:
    partial = partial_path(target)
    partial.write_bytes(b"abcdefgh")
    partial_path(target, end).write_text(f"0 8 {partial.stat().st_ino}\n")
    finished(target)
    assert target.read_bytes() == b"abcdefgh"
    assert target.stat().st_mtime_ns == TIME
    assert alone(target)


def test_what_another_transfer_has_finished_needs_nothing_more(target: Path) -> None:
    moved(target, 0, b"abcdefgh")
    moved(target, 4, b"efgh")
    finished(target)
    assert target.read_bytes() == b"abcdefgh"
    assert alone(target)


@pytest.mark.parametrize("there", [b"", b"another content"])
def test_what_another_transfer_has_taken_away_is_an_error(target: Path, there: bytes) -> None:
    if there:
        target.write_bytes(there)
    moved(target, 0, b"abcd")
    with pytest.raises(OSError, match="got in the way"):
        finished(target)
    assert partial_path(target).exists()


def test_nothing_is_written_any_more_into_a_file_that_has_its_name(target: Path) -> None:
    late = begun(target)
    moved(target, 0, b"abcdefgh")
    late.write(0, b"abcd")
    assert target.stat().st_mtime_ns == TIME
    late.write(4, b"1234")
    assert target.read_bytes() == b"abcdefgh"
    late.close()


def test_a_range_that_went_into_a_file_with_a_name_is_not_in_the_next_one(target: Path) -> None:
    late = begun(target)
    moved(target, 0, b"abcdefgh")
    late.write(0, b"abcd")
    assert late.end(0, 4) == PART
    assert target.stat().st_mtime_ns == TIME
    assert not moved(target, 4, b"efgh")
    assert target.read_bytes() == b"abcdefgh"
    assert ranges(os.fsencode(partial_path(target))) == [(4, 4)]


def test_what_a_range_leaves_that_comes_after_the_file_has_its_name_is_told_and_tidied_up(target: Path) -> None:
    assert ended(target, 0, b"abcd") == PART
    assert ended(target, 4, b"efgh") == PLACED
    assert ended(target, 4, b"efgh") == STRAY
    assert not alone(target)
    finished(target)
    assert target.read_bytes() == b"abcdefgh"
    assert alone(target)


def test_so_is_a_list_of_ranges_that_is_begun_while_the_file_gets_its_name(target: Path) -> None:
    late = begun(target)
    moved(target, 0, b"abcdefgh")
    partial_path(target, ".done").touch()
    assert late.end(0, 4) == STRAY
    finished(target)
    assert alone(target)


def test_a_range_noted_for_a_file_that_is_gone_does_not_count(target: Path) -> None:
    late = begun(target)
    moved(target, 0, b"abcdefgh")
    begun(target).close()
    late.write(0, b"abcd")
    late.end(0, 4)
    assert ranges(os.fsencode(partial_path(target))) == []


def test_a_file_without_holes_is_one_segment_and_nothing_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "full"
    with path.open("wb") as written:
        written.write(os.urandom(100_000))
        os.fsync(written.fileno())
    monkeypatch.setattr(os, "lseek", None)
    with path.open("rb") as file:
        assert list(segments(file.fileno(), 10, 50_000)) == [(10, 50_000)]


def test_holes_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "holes"
    with path.open("wb") as file:
        file.truncate(40 << 20)
        file.seek(16 << 20)
        file.write(b"x" * 4096)
    with path.open("rb") as file:
        found = list(segments(file.fileno(), 0, 40 << 20))
    assert sum(end - start for start, end in found) < 1 << 20
    assert any(start <= 16 << 20 < end for start, end in found)
