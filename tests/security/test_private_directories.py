"""Nobody else can put anything into the state directory, the key directory or the local cloud's files."""

from __future__ import annotations

import grp
import logging
import os
import pwd
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from spot_connect.core.errors import StateError, UsageError
from spot_connect.holding.place import socket_of
from spot_connect.local.places import Places
from spot_connect.store.keys import KeyFiles
from spot_connect.store.private import check, is_safe
from spot_connect.store.profiles import ProfileFile
from spot_connect.store.regions import RegionHints
from spot_connect.store.state import State

STRANGER = 12345
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def umask(number):
    old = os.umask(number)
    try:
        yield
    finally:
        os.umask(old)


@pytest.fixture
def state(tmp_path):
    tmp_path.chmod(0o700)
    return State(tmp_path / "home")


@pytest.fixture
def open_parent(tmp_path):
    parent = tmp_path / "open"
    parent.mkdir()
    parent.chmod(0o777)
    return parent


@pytest.mark.parametrize("number", [0o000, 0o002, 0o022, 0o777])
def test_directories_are_for_us_alone_whatever_the_umask(tmp_path, number):
    with umask(number):
        State(tmp_path / "home").write_atomic(tmp_path / "home" / "deep" / "down" / "file", "x")
        Places(tmp_path / "other").make()
    for made in ("home", "home/deep", "home/deep/down", "other", "other/local"):
        assert mode(tmp_path / made) == 0o700
    assert mode(tmp_path / "home/deep/down/file") == 0o600


@pytest.mark.parametrize("found", [0o755, 0o775, 0o777, 0o710])
def test_a_home_that_others_can_enter_is_closed_with_one_line_before_it_is_read(state, caplog, found):
    state.directory("ssh")
    state.path("ssh", "vm1.conf").write_text("Host vm1\n")
    state.root.chmod(found)
    state.path("ssh").chmod(found)
    with caplog.at_level(logging.WARNING, "spot_connect"):
        assert state.read(state.path("ssh", "vm1.conf")) == b"Host vm1\n"
    assert mode(state.root) == mode(state.path("ssh")) == 0o700
    assert [line for line in caplog.messages if f"{state.root} could be entered by others (mode {found:04o})" in line]
    assert len(caplog.messages) == 2


def test_a_parent_that_others_can_write_to_is_refused_and_nothing_is_made(open_parent):
    home = State(open_parent / "home")
    with pytest.raises(StateError, match=f"{open_parent} has mode 0777.*run: chmod go-w {open_parent}"):
        home.write_atomic(home.path("file"), "x")
    assert list(open_parent.iterdir()) == []
    with pytest.raises(StateError, match="chmod go-w"):
        Places(open_parent / "home").make()
    assert list(open_parent.iterdir()) == []


def test_a_sticky_parent_is_fine_as_tmp_is(open_parent):
    open_parent.chmod(0o1777)
    State(open_parent / "home").write_atomic(open_parent / "home" / "file", "x")
    assert is_safe(str(open_parent / "home"))


def test_the_way_through_a_link_counts(open_parent, tmp_path):
    (open_parent / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(open_parent / "real")
    with pytest.raises(StateError, match="mode 0777"):
        State(tmp_path / "link").read(tmp_path / "link" / "file")


def test_a_link_in_an_open_directory_is_refused_even_if_it_leads_to_a_safe_place(open_parent, tmp_path):
    (tmp_path / "safe").mkdir(mode=0o700)
    (open_parent / "link").symlink_to(tmp_path / "safe")
    with pytest.raises(StateError, match="mode 0777"):
        check(str(open_parent / "link"), str(open_parent / "link"))


def test_links_in_a_circle_are_an_error_and_no_endless_walk(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(StateError, match="cannot read"):
        State(tmp_path / "a").read(tmp_path / "a" / "file")


@as_root
def test_what_belongs_to_somebody_else_is_refused(state, tmp_path):
    state.write_atomic(state.path("sub", "file"), "x")
    os.chown(state.path("sub"), STRANGER, -1)
    with pytest.raises(StateError, match=f"sub belongs to the user with the number {STRANGER}"):
        state.read(state.path("sub", "file"))
    os.chown(state.path("sub"), 0, -1)
    os.chown(state.path("sub", "file"), STRANGER, -1)
    with pytest.raises(StateError, match=f"it belongs to the user with the number {STRANGER}"):
        state.read(state.path("sub", "file"))


@as_root
def test_root_keeps_out_of_the_home_of_another_user(tmp_path):
    (tmp_path / "maria").mkdir()
    os.chown(tmp_path / "maria", STRANGER, -1)
    with pytest.raises(StateError, match=r"as root.*Run this without sudo"):
        State(tmp_path / "maria" / ".spot_connect").write_atomic(tmp_path / "maria" / ".spot_connect" / "file", "x")
    assert list((tmp_path / "maria").iterdir()) == []


@as_root
def test_a_link_of_somebody_else_in_tmp_is_refused(tmp_path):
    tmp_path.chmod(0o1777)
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    os.chown(tmp_path / "link", STRANGER, -1, follow_symlinks=False)
    with pytest.raises(StateError, match="belongs to"):
        State(tmp_path / "link").read(tmp_path / "link" / "file")


def test_a_group_of_its_owner_alone_may_write(tmp_path):
    us = pwd.getpwuid(os.geteuid())
    alone = not set(grp.getgrgid(us.pw_gid).gr_mem) - {us.pw_name}
    if grp.getgrgid(us.pw_gid).gr_name != us.pw_name or not alone:
        pytest.skip("this user has no group of their own")
    (tmp_path / "work").mkdir()
    os.chown(tmp_path / "work", -1, us.pw_gid)
    (tmp_path / "work").chmod(0o775)
    check(str(tmp_path / "work" / "home"))


@as_root
def test_a_group_of_several_may_not(tmp_path):
    (tmp_path / "work").mkdir()
    os.chown(tmp_path / "work", -1, next(group.gr_gid for group in grp.getgrall() if group.gr_gid))
    (tmp_path / "work").chmod(0o775)
    with pytest.raises(StateError, match="mode 0775"):
        check(str(tmp_path / "work" / "home"))


def test_profiles_that_others_can_write_are_refused(state):
    state.write_atomic(state.path("profiles.txt"), "{'mine': {'instance_type': 't3.micro'}}")
    state.path("profiles.txt").chmod(0o666)
    with pytest.raises(StateError, match=r"profiles.txt: it has mode 0666.*chmod go-w"):
        ProfileFile(state).load()


def test_the_fast_ways_look_too(open_parent):
    home = open_parent / "home"
    (home / "lines").mkdir(mode=0o700, parents=True)
    home.chmod(0o700)
    (home / "regions.json").write_text('{"vm1": "us-east-1"}')
    assert socket_of(str(home), "vm1") is None
    assert RegionHints(State(home)).hint("vm1") is None
    open_parent.chmod(0o755)
    assert socket_of(str(home), "vm1")
    assert RegionHints(State(home)).hint("vm1") == "us-east-1"


@pytest.mark.parametrize("found", [0o777, 0o757])
def test_a_key_directory_that_others_can_write_to_is_never_used(tmp_path, found):
    keys = KeyFiles(tmp_path / "keys")
    keys.create("mine")
    keys.directory.chmod(found)
    for use in (lambda: keys.read("mine"), lambda: keys.create("other"), keys.names):
        with pytest.raises(StateError, match=f"mode {found:04o}.*chmod go-w"):
            use()
    with pytest.raises(UsageError, match=f"cannot be kept in {keys.directory}"):
        keys.check_writable()
    assert [path.name for path in keys.directory.iterdir()] == ["mine.pem"]
    assert mode(keys.directory) == found


def test_a_key_directory_that_others_can_only_read_is_used_as_it_is(tmp_path):
    keys = KeyFiles(tmp_path / "keys")
    made = keys.create("mine")
    keys.directory.chmod(0o755)
    assert keys.read("mine") == made
    assert mode(keys.directory) == 0o755


def test_a_key_that_others_can_write_is_refused(tmp_path):
    keys = KeyFiles(tmp_path)
    made = keys.create("mine")
    made.path.chmod(0o602)
    with pytest.raises(StateError, match="it has mode 0602"):
        keys.read("mine")


def test_the_program_says_it_in_one_line(open_parent):
    environment = {**os.environ, "SPOT_CONNECT_HOME": str(open_parent / "home")}
    program = Path(sys.executable).with_name("spot_connect")
    done = subprocess.run([program, "--local", "list"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"chmod go-w {open_parent}" in done.stderr
    assert list(open_parent.iterdir()) == []
