"""The benchmarks can be started; what they find is for people to read."""

import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HELPERS = (
    "calls",
    "counting",
    "delay",
    "ground",
    "installed",
    "link",
    "moving",
    "options",
    "picture",
    "run",
    "timing",
    "trial",
)


@pytest.fixture(autouse=True)
def _from_the_repository(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))


def measurements():
    names = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    return sorted(names - {"__init__", "__main__", "bare", "fan_out_tools", *HELPERS})


def benchmark(*words):
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_every_measurement_is_among_those_that_are_run():
    assert sorted(importlib.import_module("benchmarks.run").MEASUREMENTS) == measurements()


@pytest.mark.parametrize("name", measurements())
def test_a_measurement_has_a_description_and_something_to_measure(name):
    module = importlib.import_module(f"benchmarks.{name}")
    assert module.__doc__
    assert callable(module.measure)


@pytest.mark.parametrize("name", ["benchmarks", "benchmarks.listing"])
def test_help_says_what_can_be_set(name):
    done = benchmark(name, "--help")
    assert done.returncode == 0, done.stderr
    assert "--rounds" in done.stdout


def test_an_unknown_measurement_is_refused_and_those_there_are_named():
    done = benchmark("benchmarks", "nonsense")
    assert done.returncode == 2
    assert "warm_command" in done.stderr


@pytest.mark.parametrize("name", HELPERS)
def test_examples_are_right(name):
    module = importlib.import_module(f"benchmarks.{name}")
    assert doctest.testmod(module).failed == 0


def test_sides_take_turns_at_going_first():
    timing = importlib.import_module("benchmarks.timing")
    order = []
    sides = {name: lambda name=name: order.append(name) or 1.0 for name in ("a", "b")}
    samples = timing.interleave_values(sides, 2)
    assert order == ["a", "b", "b", "a"]
    assert [sample.median for sample in samples] == [1.0, 1.0]


def test_a_ratio_is_that_of_the_medians_and_one_slow_round_does_not_count():
    timing = importlib.import_module("benchmarks.timing")
    number = timing.ratio("x", timing.Sample("ours", (1.0, 1.0, 9.0)), timing.Sample("peer", (2.0, 2.0, 2.0)), most=1.5)
    assert number.result == "0.50x"
    assert number.met
