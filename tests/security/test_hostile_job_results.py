"""Results of jobs, where the instance that lists them means harm."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from spot_connect.core.errors import TransferFailed, UnreadableAnswer
from spot_connect.core.reporting import Silent
from spot_connect.jobs.crew import Crew
from spot_connect.jobs.run import JobRun
from tests.security.hostile import Hostile, Named, hostile_server, record


class Machines(Crew):
    """The machines of jobs, of which one lives: the hostile server."""

    name = "vm"
    reporter = Silent()

    def __init__(self, hostile: Hostile, paths: object) -> None:
        self._hostile, self._paths = hostile, paths

    def ask(self, *_: object) -> list[object]:
        return [{"paths": self._paths}]

    def using(self, work: Callable[[SimpleNamespace], object]) -> None:
        with self._hostile.server.connection() as connection:
            work(SimpleNamespace(connection=connection))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    with hostile_server(tmp_path_factory.mktemp("hostile")) as running:
        yield running


def results(hostile: Hostile, paths: object, place: Path) -> list[Path]:
    return JobRun("run", Machines(hostile, paths)).results(place)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "paths",
    [
        *({}, "x", [1], [[1]], [[1, 2]], [["../../victim", "/x/f"]], [["1", "/x/f"]], [[-1, "/x/f"]]),
        *([[True, "/x/f"]], [[1, "/x/f", "more"]], [[1.5, "/x/f"]], [[1, "/x/f\0/g"]], [[1, "/f"], [None, "/f"]]),
    ],
)
def test_what_is_no_job_and_path_is_one_clear_error(hostile: Hostile, tmp_path: Path, paths: object) -> None:
    with pytest.raises(UnreadableAnswer, match="cannot read what the instance answers") as caught:
        results(hostile, paths, tmp_path / "out")
    assert str(caught.value).isprintable()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "path", ["/x/..", "..", "/x/../../victim", "/", ".", "/x/n\udfff", "/x/n" + chr(0xD800), "/x/" + "n" * 300]
)
def test_a_result_with_an_odd_path_comes_to_lie_in_the_directory_of_its_job_or_nowhere(
    hostile: Hostile, tmp_path: Path, path: str
) -> None:
    (tmp_path / "victim").mkdir()
    hostile.listing = b"/home\0" + record(Named(b"a file", "f")) + b".\0\0\0"
    with contextlib.suppress(TransferFailed):
        results(hostile, [[3, path], [3, "/x/good"]] if len(path) > 5 else [[3, path]], tmp_path / "out")
    assert not list((tmp_path / "victim").iterdir())
    assert [each.name for each in tmp_path.iterdir() if each.name != "out"] == ["victim"]
    assert {each.name for each in tmp_path.glob("out/*")} <= {"3"}


def test_a_link_in_the_place_of_the_directory_of_a_job_is_not_gone_through(hostile: Hostile, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "3").symlink_to("../victim")
    hostile.listing = b"/home\0" + record(Named(b"f", "f")) + b".\0\0\0"
    with pytest.raises(TransferFailed, match="3: there is a link of that name"):
        results(hostile, [[3, "/x/f"]], tmp_path / "out")
    assert not list((tmp_path / "victim").iterdir())
    assert results(hostile, [[4, "/x/f"]], tmp_path / "out") == [tmp_path / "out" / "4"]
    assert (tmp_path / "out" / "4" / "f").read_bytes() == b"x" * 5
