"""The state directory: modes, atomic writes, locks between real processes, and what a refusing disk says."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot_connect.core.errors import DeadlinePassed, StateError
from spot_connect.core.waiting import Clock
from spot_connect.store import state as state_module
from spot_connect.store.state import State, home, is_private, realm

IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def state(tmp_path):
    return State(tmp_path / "state")


def test_the_home_is_the_variable_or_the_users_own(monkeypatch, tmp_path):
    monkeypatch.setenv("SPOT_CONNECT_HOME", str(tmp_path / "x"))
    assert home() == tmp_path / "x"
    monkeypatch.setenv("SPOT_CONNECT_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home() == tmp_path / ".spot_connect"


def test_a_relative_home_is_made_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPOT_CONNECT_HOME", "here")
    assert home() == tmp_path / "here"


def test_the_realms_share_a_home_and_nothing_else():
    assert realm().root == home()
    assert realm(local=True).root == home() / "local" / "client"
    assert realm(local=True).home == realm().home == home()


def test_directories_are_0700_and_files_0600(state):
    old = os.umask(0)
    try:
        state.write_atomic(state.path("a", "b", "file"), "text")
        state.append(state.path("log"), "line")
        state.create(state.path("new"), b"bytes")
        with state.lock("x"):
            pass
    finally:
        os.umask(old)
    for path in (state.root, state.path("a"), state.path("a", "b"), state.path("locks")):
        assert mode(path) == 0o700
    for path in (state.path("a", "b", "file"), state.path("log"), state.path("new"), *state.path("locks").iterdir()):
        assert mode(path) == 0o600
        assert is_private(path)


def test_a_directory_of_the_user_keeps_its_mode(tmp_path):
    tmp_path.chmod(0o755)
    State(tmp_path, is_users=True).write_atomic(tmp_path / "file", "x", mode=0o644)
    assert mode(tmp_path) == 0o755
    assert mode(tmp_path / "file") == 0o644
    assert not is_private(tmp_path / "file")


def test_what_is_written_is_read(state):
    path = state.path("file")
    assert state.read(path) is None
    assert state.read_text(path) is None
    state.write_atomic(path, "first")
    state.write_atomic(path, b"\xef\xbb\xbfsec\r\nond")
    assert state.read_text(path) == "sec\nond"
    assert state.remove(path)
    assert not state.remove(path)


def test_text_that_is_not_utf8_names_its_line(state):
    state.write_atomic(state.path("file"), b"one\ntwo\n\xff\n")
    with pytest.raises(StateError, match="line 3: it is not UTF-8"):
        state.read_text(state.path("file"))


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=5))
def test_the_last_write_is_what_is_there_and_nothing_else(tmp_path_factory, contents):
    files = State(tmp_path_factory.mktemp("state"))
    for content in contents:
        files.write_atomic(files.path("file"), content)
    assert files.read(files.path("file")) == contents[-1]
    assert [path.name for path in files.root.iterdir()] == ["file"]


def test_a_link_is_written_through(state, tmp_path):
    kept = tmp_path / "dotfiles"
    kept.write_text("old")
    state.directory()
    link = state.path("profiles.txt")
    link.symlink_to(kept)
    state.write_atomic(link, "new")
    assert link.is_symlink()
    assert kept.read_text() == "new"


def test_create_never_overwrites(state):
    path = state.path("key")
    state.create(path, "mine")
    with pytest.raises(StateError, match=r"cannot create .*key"):
        state.create(path, "yours")
    assert state.read(path) == b"mine"
    assert list(state.root.iterdir()) == [path]


def test_create_works_without_hard_links(state, monkeypatch):
    def refuse(*_args):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    state.create(state.path("key"), "mine")
    assert state.read(state.path("key")) == b"mine"
    with pytest.raises(StateError):
        state.create(state.path("key"), "yours")
    assert mode(state.path("key")) == 0o600


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(state, monkeypatch):
    state.write_atomic(state.path("file"), "old")

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StateError, match=r"cannot write .*file: No space left on device\. The disk is full"):
        state.write_atomic(state.path("file"), "new")
    assert state.read(state.path("file")) == b"old"
    assert list(state.root.iterdir()) == [state.path("file")]


def test_a_file_in_the_way_of_a_directory_is_named(state):
    state.write_atomic(state.path("keys"), "x")
    with pytest.raises(StateError, match="A file stands where a directory is needed"):
        state.write_atomic(state.path("keys", "file"), "x")
    with pytest.raises(StateError, match="keys"):
        state.directory("keys")


def test_a_directory_in_the_way_of_a_file_is_named(state):
    state.directory("file")
    with pytest.raises(StateError, match="A directory stands where a file is needed"):
        state.write_atomic(state.path("file"), "x")
    with pytest.raises(StateError, match="A directory stands where a file is needed"):
        state.read(state.path("file"))


def test_a_name_that_is_too_long_is_said_to_be(state):
    with pytest.raises(StateError, match="shorter name"):
        state.create(state.path("x" * 300), "x")


@pytest.mark.skipif(IS_ROOT, reason="root may write anywhere")
def test_an_unwritable_directory_gets_advice(state):
    state.directory().chmod(0o500)
    with pytest.raises(StateError, match="SPOT_CONNECT_HOME"):
        state.write_atomic(state.path("file"), "x")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EDQUOT, errno.ENOLCK])
def test_every_refusal_of_the_disk_has_its_advice(number, tmp_path):
    with pytest.raises(StateError) as caught, state_module.told("write", tmp_path):
        raise OSError(number, os.strerror(number))
    assert caught.value.said == os.strerror(number)
    assert caught.value.advice


def test_appended_lines_are_whole(state):
    threads = [
        threading.Thread(target=lambda n=n: [state.append(state.path("log"), f"{n}" * 50) for _ in range(20)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = (state.read_text(state.path("log")) or "").splitlines()
    assert sorted(lines) == sorted(f"{n}" * 50 for n in range(4) for _ in range(20))


HOLDER = """
import sys, time
from pathlib import Path
from spot_connect.store.state import State
with State(Path(sys.argv[1])).lock(sys.argv[2]):
    print("held", flush=True)
    sys.stdin.readline()
"""

COUNTER = """
import sys
from pathlib import Path
from spot_connect.store.state import State
state = State(Path(sys.argv[1]))
for _ in range(25):
    with state.lock("count", wait_seconds=60):
        path = state.path("count")
        state.write_atomic(path, str(int(state.read(path) or b"0") + 1))
"""


@pytest.fixture
def holder(state):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(state.root), "vm 1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_a_second_terminal_waits_and_says_so(state, holder):
    said = []

    def hear(text):
        said.append(text)
        holder.stdin.close()

    with state.lock("vm 1", wait_seconds=30, on_wait=hear):
        pass
    assert said == [f"process {holder.pid} is working on vm 1; waiting for it"]


def test_another_name_is_free(state, holder):
    with state.lock("vm 2", wait_seconds=0, on_wait=pytest.fail):
        pass


def test_a_lock_that_is_kept_ends_in_an_error_that_names_the_holder(state, holder):
    now = [0.0]
    clock = Clock(lambda: now[0], lambda seconds: now.__setitem__(0, now[0] + seconds))
    with (
        pytest.raises(DeadlinePassed, match=f"cannot work on vm 1 yet: process {holder.pid} still works on it"),
        state.lock("vm 1", wait_seconds=60, clock=clock),
    ):
        pytest.fail("the lock was held twice")
    assert now[0] >= 60


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_crash_lets_go(state, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with state.lock("vm 1", wait_seconds=5):
        pass


def test_an_exception_lets_go(state):
    with pytest.raises(ZeroDivisionError), state.lock("x"):
        raise ZeroDivisionError
    with state.lock("x", wait_seconds=0):
        pass


def test_processes_that_count_together_lose_nothing(state):
    processes = [subprocess.Popen([sys.executable, "-c", COUNTER, str(state.root)]) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert state.read(state.path("count")) == b"100"


def test_threads_exclude_each_other(state):
    inside = []
    most = []

    def work():
        with state.lock("x", wait_seconds=30):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 4


def test_a_full_disk_does_not_stop_a_lock(state, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "ftruncate", full)
    with state.lock("x"):
        pass


def test_a_reader_never_sees_half_a_file(state):
    path = state.path("file")
    texts = [b"a" * 100_000, b"b" * 100_000]
    state.write_atomic(path, texts[0])
    done = threading.Event()
    seen = set()

    def read():
        while not done.is_set():
            seen.add(state.read(path))

    reader = threading.Thread(target=read)
    reader.start()
    for index in range(50):
        state.write_atomic(path, texts[index % 2])
    done.set()
    reader.join()
    assert seen <= set(texts)
