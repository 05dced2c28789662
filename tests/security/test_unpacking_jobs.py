"""Archives of jobs that travel between instances: whatever they hold, nothing outside of the job is touched."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import subprocess
import sys
import tarfile
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spot_connect.crew.archives import Damaged, pack, unpack

KINDS = {
    "file": tarfile.REGTYPE,
    "directory": tarfile.DIRTYPE,
    "link": tarfile.SYMTYPE,
    "hard link": tarfile.LNKTYPE,
    "pipe": tarfile.FIFOTYPE,
    "device": tarfile.CHRTYPE,
    "disk": tarfile.BLKTYPE,
    "contiguous": tarfile.CONTTYPE,
}
PARTS = st.sampled_from(["a", "b", "c", "..", ".", "", "victim", "a\nb", "\udcff"])
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join) | st.sampled_from(["/etc/x", "../victim/kept"])
MEMBERS = st.lists(
    st.tuples(st.sampled_from(sorted(KINDS)), NAMES, NAMES, st.integers(0, 0o7777), st.binary(max_size=9)), max_size=8
)


def archive(*members) -> bytes:
    """``(kind, name, where a link leads, mode, content)`` each, as nobody's ``pack`` would write them."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as packed:
        for kind, name, leads, mode, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mode, member.mtime = KINDS[kind], leads, mode, 7
            member.uid = member.gid = 12345
            member.size = len(content) if kind == "file" else 0
            packed.addfile(member, io.BytesIO(content))
    return written.getvalue()


def one(kind, name, leads="", mode=0o644, content=b""):
    return kind, name, leads, mode, content


def tree(place: Path) -> dict[str, object]:
    """All that is below a directory, by its path."""
    found: dict[str, object] = {}
    for path in sorted(place.rglob("*")):
        told = path.lstat()
        what = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
        found[os.fsdecode(path.relative_to(place))] = (stat.S_IMODE(told.st_mode) * (not path.is_symlink()), what)
    return found


@contextlib.contextmanager
def without_filters():
    """The tarfile of Debian 12's Python 3.11.2."""
    kept = {name: getattr(tarfile, name) for name in ("data_filter", "FilterError") if hasattr(tarfile, name)}
    for name in kept:
        delattr(tarfile, name)
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(tarfile, name, value)


@settings(max_examples=300, deadline=None)
@given(members=MEMBERS, earlier=MEMBERS)
def test_whatever_an_archive_holds_nothing_outside_is_touched_on_any_python(tmp_path_factory, members, earlier):
    trees = []
    for python in (contextlib.nullcontext, without_filters):
        top = tmp_path_factory.mktemp("unpacked")
        (top / "victim").mkdir(mode=0o755)
        (top / "victim" / "kept").write_text("kept")
        (top / "victim" / "kept").chmod(0o640)
        outside = tree(top / "victim")
        with python():
            for each in (earlier, members):
                with contextlib.suppress(Damaged):
                    unpack(archive(*each), top / "job")
        assert tree(top / "victim") == outside
        assert sorted(path.name for path in top.iterdir()) in (["job", "victim"], ["victim"])
        for path in (top / "job").rglob("*"):
            told = path.lstat()
            assert stat.S_ISREG(told.st_mode) or stat.S_ISDIR(told.st_mode) or stat.S_ISLNK(told.st_mode)
            assert path.is_symlink() or not told.st_mode & 0o7000
            assert told.st_uid == os.getuid()
            # Wherever a link leads, it is in the job's directory.
            assert Path(os.path.realpath(path)).is_relative_to(top / "job")
        trees.append(tree(top / "job"))
    assert trees[0] == trees[1]


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=2048), at=st.integers(0, 4000), cut=st.integers(0, 4096))
def test_bytes_that_nobody_has_packed_are_taken_in_part_or_said_to_be_damaged(tmp_path_factory, data, at, cut):
    whole = archive(one("file", "out/a", content=b"x" * 700), one("link", "out/b", "a"))
    hostile = (whole[:at] + data + whole[at + len(data) :])[: cut or None]
    top = tmp_path_factory.mktemp("damaged")
    with contextlib.suppress(Damaged):
        unpack(hostile, top / "job")
    assert [path.name for path in top.iterdir()] in ([], ["job"])


@pytest.mark.parametrize(
    ("member", "why"),
    [
        (one("file", "../victim"), "no name of a file"),
        (one("file", "out/../../victim"), "no name of a file"),
        (one("file", "/tmp/victim"), "no name of a file"),
        (one("link", "out/a", "/etc/passwd"), "outside"),
        (one("link", "out/a", "../../x"), "outside"),
        (one("link", "out/a", "b/../../.."), "outside"),
        (one("hard link", "out/a", "../../x"), "no name of a file"),
        (one("hard link", "out/a", "in/nothing"), "no file of the archive"),
        (one("pipe", "out/a"), "neither a file"),
        (one("device", "out/a"), "neither a file"),
    ],
)
def test_what_is_left_out_is_said_in_one_line_and_the_rest_arrives(tmp_path, member, why):
    [line] = unpack(archive(one("directory", "out"), member, one("file", "out/z", content=b"z")), tmp_path / "job")
    assert why in line
    assert line.isprintable()
    assert tree(tmp_path / "job") == {"out": (0o744, ""), "out/z": (0o644, b"z")}


def test_a_link_of_an_earlier_attempt_is_not_written_through(tmp_path):
    (tmp_path / "victim").mkdir()
    (tmp_path / "job" / "out").mkdir(parents=True)
    (tmp_path / "job" / "out" / "a").symlink_to(tmp_path / "victim")
    (tmp_path / "job" / "out" / "b").symlink_to(tmp_path / "victim" / "file")
    for name in ("out/a/x", "out/b"):
        with without_filters():
            assert unpack(archive(one("file", name, content=b"x")), tmp_path / "job") == []
    assert list((tmp_path / "victim").iterdir()) == []
    assert (tmp_path / "job" / "out" / "b").read_bytes() == b"x"


def test_what_jobs_leave_comes_home_as_it_was(tmp_path):
    place = tmp_path / "there"
    (place / "out" / "deep").mkdir(parents=True)
    (place / "out" / "model-5").write_bytes(b"five" * 1000)
    (place / "out" / "model-5").chmod(0o640)
    os.utime(place / "out" / "model-5", (1.5e9, 1.5e9))
    (place / "out" / "run.sh").write_text("true\n")
    (place / "out" / "run.sh").chmod(0o755)
    (place / "out" / "deep" / "best").symlink_to(place / "out" / "model-5")
    (place / "out" / "last").symlink_to("./model-5")
    os.link(place / "out" / "model-5", place / "out" / "same")
    (place / "end.json").write_text("{}")
    (place / "in").mkdir()
    assert unpack(pack(place, leave=("in",)), tmp_path / "here") == []
    here = tmp_path / "here" / "out"
    assert (here / "model-5").read_bytes() == (here / "same").read_bytes() == b"five" * 1000
    assert [stat.S_IMODE((here / name).stat().st_mode) for name in ("model-5", "run.sh")] == [0o640, 0o755]
    assert (here / "model-5").stat().st_mtime == 1.5e9
    assert [(here / name).resolve() for name in ("deep/best", "last")] == [here / "model-5"] * 2
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["end.json", "out"]


def test_a_directory_in_the_place_of_a_file_of_an_earlier_attempt_arrives(tmp_path):
    unpack(archive(one("file", "state/a", content=b"1"), one("file", "state/b/c", content=b"2")), tmp_path)
    unpack(archive(one("file", "state/a/x", content=b"3"), one("file", "state/b", content=b"4")), tmp_path)
    assert ((tmp_path / "state" / "a" / "x").read_bytes(), (tmp_path / "state" / "b").read_bytes()) == (b"3", b"4")


def test_how_a_job_ended_arrives_last(tmp_path):
    for name in ("end.json", "out/a", "state/b", "attempts/0001/end.json", "zebra"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    with tarfile.open(fileobj=io.BytesIO(pack(tmp_path))) as packed:
        tops = [name for name in packed.getnames() if "/" not in name]
    assert tops == ["out", "state", "zebra", "attempts", "end.json"]


def pythons():
    """Debian 12's own Python where it is here, else this one with the tarfile of that."""
    found = "/usr/bin/python3"
    look = "import tarfile, sys; sys.exit(hasattr(tarfile, 'data_filter') or sys.version_info < (3, 10))"
    if Path(found).exists() and subprocess.run([found, "-c", look], check=False).returncode == 0:
        return [found, sys.executable]
    return [sys.executable]


@pytest.mark.parametrize("python", pythons())
def test_jobs_travel_where_tarfile_has_no_filter(tmp_path, python):
    script = textwrap.dedent("""
        import sys, tarfile
        from pathlib import Path
        for name in [name for name in dir(tarfile) if name.endswith("_filter") or "Filter" in name]:
            delattr(tarfile, name)
        whole = tarfile.TarFile.extractall
        tarfile.TarFile.extractall = lambda self, path=".", members=None: whole(self, path, members)
        from spot_connect.crew.archives import pack, unpack
        here, there = map(Path, sys.argv[1:])
        (here / "out").mkdir(parents=True)
        (here / "out" / "a").write_text("a")
        (here / "out" / "b").symlink_to("/etc/passwd")
        print(unpack(pack(here), there))
        print((there / "out" / "a").read_text(), (there / "out" / "b").is_symlink())
    """)
    words = [python, "-c", script, str(tmp_path / "here"), str(tmp_path / "there")]
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={"PYTHONPATH": root})
    assert done.returncode == 0, done.stderr
    assert "'/etc/passwd'" in done.stdout
    assert done.stdout.endswith("\na False\n")
