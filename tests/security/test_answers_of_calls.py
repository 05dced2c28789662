"""Answers of calls come back authenticated: nothing that somebody has planted is looked into, let alone unpickled."""

from __future__ import annotations

import json
import os
import pickle
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot_connect.core.errors import NotAuthentic, ScriptFailed, UsageError
from spot_connect.crew.sealing import ANSWERS, CALL, Forged, answer_place, join, part, seal, unseal
from spot_connect.jobs.crew import Crew
from spot_connect.jobs.mapping import MapRun, keep_key, kept_key, new_key, write_calls
from spot_connect.store.state import State

RUN = "20261125-074501-9f3a"
ROOT = str(Path(__file__).resolve().parents[2])
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def key():
    return new_key()


class Machines:
    """A run on this disk: each job is called by the real program, in a process of its own."""

    def __init__(self, place: Path, key: bytes, function, items, jobs=2) -> None:
        self.key = key
        self.batch = place / "jobs" / RUN
        (place / "calls").mkdir(parents=True)
        self.paths = write_calls(function, items, jobs, place / "calls", run_id=RUN, key=key)
        for number, path in enumerate(self.paths):
            for name in ("in", "out", "state"):
                (self.job(number) / name).mkdir(parents=True)
            (self.job(number) / "in" / CALL).write_bytes(path.read_bytes())
        (self.batch / "answers.key").write_text(key.hex())

    def job(self, number: int) -> Path:
        return self.batch / "jobs" / f"{number:05d}"

    def call(self, number: int) -> subprocess.CompletedProcess[str]:
        given = {"OUT": "out", "CHECKPOINT": "state"}
        places = {f"SPOT_CONNECT_{name}_DIR": str(self.job(number) / place) for name, place in given.items()}
        words = [sys.executable, "-m", "spot_connect.crew.calling"]
        environment = {**os.environ, **places, "PYTHONPATH": ROOT}
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)

    def work(self) -> Machines:
        for number in range(len(self.paths)):
            self.call(number)
        return self

    def run(self, key: bytes | None = None) -> MapRun:
        """The run as it is seen from here; only what goes over SSH is left out."""
        run = MapRun(RUN, Telling(self.key), key)
        run.stay = lambda timeout: SimpleNamespace(jobs=self.paths)
        run.logs = lambda job: b"its log"

        def results(place):
            for number in range(len(self.paths)):
                (Path(place) / str(number)).mkdir()
                for path in (self.job(number) / "out").iterdir():
                    (Path(place) / str(number) / path.name).write_bytes(path.read_bytes())

        run.results = results
        return run


class Telling(Crew):
    """Machines that tell the key of their run."""

    name = "map"

    def __init__(self, key: bytes) -> None:
        self._key = key

    def ask(self, verb, asked):
        return [{"key": self._key.hex()}] if verb == "jobs-key" else []


class Planted:
    """As a pickle, it writes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "somebody was here")


def test_answers_come_back_in_order_and_as_they_were(tmp_path, key):
    items = [1, "a", (1, 2), [1, None, 1.5], {"a": [True]}, b"bytes", {1, 2}]
    assert Machines(tmp_path, key, lambda item: item, items).work().run(key).gather() == items


@pytest.mark.parametrize("knows_the_key", [False, True])
def test_a_planted_pickle_is_not_unpickled(tmp_path, key, knows_the_key):
    machines = Machines(tmp_path, key, lambda item: item, range(4)).work()
    victim = tmp_path / "victim"
    planted = pickle.dumps([(True, pickle.dumps(Planted(victim)))])
    place = answer_place(RUN, 1, 2, 0, 1)
    sealed = seal(key if knows_the_key else new_key(), place, b"o" + pickle.dumps(Planted(victim)))
    for name, content in (("answers.pkl", planted), (ANSWERS, planted), (ANSWERS, join([sealed]))):
        (machines.job(1) / "out" / name).write_bytes(content)
        if name == ANSWERS and not (knows_the_key and content == join([sealed])):
            with pytest.raises(NotAuthentic, match=f"job 1 of {RUN}"):
                machines.run(key).gather()
        assert not victim.exists()
    # A machine of the run has the key, and may have any code run here: raw=True is for who minds.
    if knows_the_key:
        with pytest.raises(UsageError, match="has not returned bytes"):
            machines.run(key).gather(raw=True)
        assert not victim.exists()


@pytest.mark.parametrize(
    "do",
    [
        lambda first, second: (second, first),  # answers of another job
        lambda first, second: (first, second[:1]),  # fewer
        lambda first, second: (first, [*second, second[0]]),  # more
        lambda first, second: (first, second[::-1]),  # another item's
        lambda first, second: (first, [second[0], second[1][:-1]]),  # cut
        lambda first, second: (first, [second[0], second[1] + b"x"]),
        lambda first, second: (first, [second[0], first[1]]),
        lambda first, second: (first, []),
    ],
)
def test_answers_that_were_swapped_or_cut_are_refused_before_any_is_looked_into(tmp_path, key, do):
    machines = Machines(tmp_path, key, lambda item: {item}, range(4)).work()
    kept = [part((machines.job(number) / "out" / ANSWERS).read_bytes()) for number in range(2)]
    for number, sealed in enumerate(do(*kept)):
        (machines.job(number) / "out" / ANSWERS).write_bytes(join(sealed))
    with pytest.raises(NotAuthentic, match="are not taken"):
        machines.run(key).gather()


def test_answers_of_an_earlier_run_are_refused(tmp_path, key):
    machines = Machines(tmp_path, key, lambda item: item, range(2)).work()
    run = machines.run(key)
    run.id = "20261125-074501-ffff"
    with pytest.raises(NotAuthentic):
        run.gather()


def test_fewer_jobs_than_there_were_are_refused(tmp_path, key):
    machines = Machines(tmp_path, key, lambda item: item, range(4)).work()
    machines.paths.pop()
    with pytest.raises(NotAuthentic):
        machines.run(key).gather()


def test_a_call_that_somebody_has_changed_is_not_made(tmp_path, key):
    machines = Machines(tmp_path, key, lambda item: item, range(2))
    victim = tmp_path / "victim"
    planted = pickle.dumps(Planted(victim))
    swapped = (machines.job(1) / "in" / CALL).read_bytes()
    for content in (planted, seal(new_key(), (), planted), seal(key, (), planted), swapped):
        (machines.job(0) / "in" / CALL).write_bytes(content)
        done = machines.call(0)
        assert (done.returncode, "is not made" in done.stderr) == (1, True)
    assert not victim.exists()
    assert not (machines.job(0) / "out" / ANSWERS).exists()


def test_a_checkpoint_that_somebody_has_planted_is_not_unpickled_and_the_calls_are_made_again(tmp_path, key):
    machines = Machines(tmp_path, key, lambda item: item, range(2), jobs=1)
    victim = tmp_path / "victim"
    (machines.job(0) / "state" / ANSWERS).write_bytes(pickle.dumps([(True, Planted(victim))]))
    assert "made again" in machines.call(0).stderr
    assert machines.run(key).gather() == [0, 1]
    assert not victim.exists()


def test_answers_of_an_interrupted_attempt_are_taken(tmp_path, key):
    machines = Machines(tmp_path, key, lambda item: item, range(2), jobs=1)
    kept = seal(key, answer_place(RUN, 0, 1, 0, 2), b"jtrue")
    (machines.job(0) / "state" / ANSWERS).write_bytes(join([kept]))
    machines.work()
    assert machines.run(key).gather() == [True, 1]


def test_raw_gives_bytes_and_unpickles_nothing(tmp_path, key, monkeypatch):
    def loads(_):
        raise AssertionError("unpickled")

    machines = Machines(tmp_path, key, lambda item: b"%d" % item, range(3)).work()
    for module in ("pickle", "cloudpickle"):
        monkeypatch.setattr(f"{module}.loads", loads)
    assert machines.run(key).gather(raw=True) == machines.run(key).gather() == [b"0", b"1", b"2"]


def test_raw_says_what_was_raised_as_text(tmp_path, key):
    def raises(_):
        raise KeyError("\x1b]0;x")

    machines = Machines(tmp_path, key, raises, [1]).work()
    with pytest.raises(ScriptFailed, match="has raised KeyError") as error:
        machines.run(key).gather(raw=True)
    assert str(error.value).isprintable()
    with pytest.raises(KeyError):
        machines.run(key).gather()


def test_plain_values_are_told_as_json_and_unpickle_nothing(tmp_path, key):
    machines = Machines(tmp_path, key, lambda item: {"loss": item, "of": [item]}, range(2), jobs=1).work()
    [first, _] = part((machines.job(0) / "out" / ANSWERS).read_bytes())
    assert unseal(key, answer_place(RUN, 0, 1, 0, 2), first) == b"j" + json.dumps({"loss": 0, "of": [0]}).encode()


@given(PLAIN)
def test_whatever_is_told_as_json_comes_back_as_it_was(value):
    from spot_connect.crew.calling import _as_json

    told = _as_json(value)
    assert not told or repr(json.loads(told)) == repr(value)


@given(st.binary(max_size=200))
def test_whatever_bytes_come_none_are_taken_for_answers(data):
    try:
        found = part(data)
    except Forged:
        return
    assert join(found) == data
    for one in found:
        with pytest.raises(Forged):
            unseal(b"k" * 32, answer_place(RUN, 0, 1, 0, 1), one)


def test_the_key_is_kept_here_for_nobody_else_and_asked_for_where_the_run_began_elsewhere(tmp_path, key):
    state = State(tmp_path / "home")
    assert kept_key(state, RUN) is None
    keep_key(state, RUN, key)
    assert kept_key(state, RUN) == key
    [path] = (tmp_path / "home").rglob("answers.key")
    assert [stat.S_IMODE(one.stat().st_mode) for one in (path, path.parent)] == [0o600, 0o700]
    machines = Machines(tmp_path / "run", key, lambda item: item, range(2)).work()
    assert machines.run(None).gather() == [0, 1]


def test_calls_can_be_read_by_their_owner_alone(tmp_path, key):
    machines = Machines(tmp_path, key, abs, [1])
    assert [stat.S_IMODE(path.stat().st_mode) for path in machines.paths] == [0o600]
