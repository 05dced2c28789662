"""What machines cost, as a person asks for it: prices and find."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest

from spot_connect.core.sparkline import BARS
from spot_connect.store import tables


def records(result):
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def without_matplotlib(person):
    """Let imports of matplotlib find nothing, as in an environment without the extra."""
    hook = (
        "import importlib.util as u\n_find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'matplotlib' else _find(name, *a)\n"
    )
    person.environment["PYTHONPATH"] = str(person.writes("hook/sitecustomize.py", hook).parent)


def test_prices_of_every_zone(person):
    result = person.types("prices", "t3.small", "--history", "7d")
    assert result.returncode == 0, result.stderr
    heading, *rows = [line.split() for line in result.stdout.splitlines()]
    assert heading == ["type", "zone", "now", "low", "high", "on-demand", "saving", "risk"]
    assert len(rows) > 1
    assert all(row[0] == "t3.small" and row[1].startswith("us-east-1") for row in rows)
    assert "last 7d" in result.stderr
    assert tables.interruptions_date() in result.stderr
    assert all(line.startswith("LOCAL ") for line in result.stderr.splitlines())


def test_prices_as_json(person):
    found = records(person.types("prices", "t3.small", "m5.large", "-reg", "eu-west-1", "--json"))
    assert {one["type"] for one in found} == {"t3.small", "m5.large"}
    for one in found:
        assert one["region"] == "eu-west-1"
        assert one["lowest_usd_per_hour"] <= one["usd_per_hour"] <= one["highest_usd_per_hour"]
        assert one["on_demand_source"] == "live"
        assert one["hours"] == 24
        assert one["history"][-1]["usd_per_hour"] == one["usd_per_hour"]
        assert one["cloud"] == "local"


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_shows_the_course_of_the_price(person, width):
    person.environment["LC_ALL"] = "C.UTF-8"
    terminal = person.sits_at("prices", "t3.small", "--history", "90d", size=(30, width))
    terminal.expect(pexpect.EOF)
    shown = terminal.before
    assert any(bar in shown for bar in BARS)
    assert "last 90d" in shown
    assert "…" not in shown


def test_a_terminal_that_knows_no_bars_is_spared_them(person):
    person.environment["PYTHONIOENCODING"] = "ascii"
    terminal = person.sits_at("prices", "t3.small", size=(30, 120))
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    assert "t3.small" in terminal.before


@pytest.mark.parametrize(("ending", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_a_plot_is_drawn(person, ending, magic):
    result = person.types("prices", "t3.small", "--history", "7d", "--plot", f"the prices{ending}")
    assert result.returncode == 0, result.stderr
    picture = person.directory / f"the prices{ending}"
    assert picture.read_bytes().startswith(magic)
    assert [path.name for path in person.directory.iterdir()] == [picture.name]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("prices", "t3.smal"), "t3.small"),
        (("prices", "vm1"), "no instance type 'vm1'"),
        (("prices",), "TYPE"),
        (("prices", "t3.small", "--history", "91d"), "90 days"),
        (("prices", "t3.small", "--history", "soon"), "7d"),
        (("prices", "t3.small", "--plot", "x.gif"), ".png"),
        (("prices", "t3.small", "--plot", "no/such/x.png"), "no/such"),
        (("prices", "t3.small", "-reg", "eu-west-9"), "eu-west-1"),
        (("prices", "t3.small", "-reg", "eu-west-1", "--all-regions"), "--all-regions"),
        (("find", "--vcpus", "many"), "whole number"),
        (("find", "--memory", "32GB"), "without a unit"),
        (("find", "--gpu", "T5"), "T4"),
        (("find", "--arch", "sparc"), "arm64"),
        (("find", "-n", "0"), "whole number"),
        (("find", "--max-price", "free"), "0.05"),
        (("find", "-reg", "mars-1"), "not a Region"),
    ],
)
def test_bad_input_is_refused_before_any_call(stranger, words, said):
    result = stranger.types(*words)
    assert result.returncode == 2, result.stderr
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(stranger.directory.iterdir())


def test_without_the_extra_a_plot_is_refused_before_any_call(stranger):
    without_matplotlib(stranger)
    result = stranger.types("prices", "t3.small", "--plot", "x.png")
    assert result.returncode == 2, result.stderr
    assert "pip install 'spot-connect[plot]'" in result.stderr


def test_prices_without_credentials_name_both_ways_out(stranger):
    result = stranger.types("prices", "t3.small")
    assert result.returncode == 4
    assert "aws configure" in result.stderr
    assert "--local" in result.stderr


def test_a_type_that_nobody_sells_is_a_failure_and_others_are_still_shown(person):
    alone = person.types("prices", "x99z.small")
    assert alone.returncode == 1
    assert "not sold" in alone.stderr
    both = person.types("prices", "x99z.small", "t3.small")
    assert both.returncode == 0
    assert "x99z.small" in both.stderr
    assert "x99z.small" not in both.stdout


def test_find_needs_no_account_and_no_time(stranger):
    start = time.perf_counter()
    result = stranger.types("find", "--vcpus", "8", "--memory", "32")
    assert time.perf_counter() - start < 5
    assert result.returncode == 0, result.stderr
    assert tables.prices_date() in result.stderr
    heading, *rows = [line.split() for line in result.stdout.splitlines()]
    assert heading == ["type", "vcpus", "GiB", "gpu", "price/h", "on-demand", "saving", "risk", "region"]
    assert len(rows) == 10
    assert all(int(row[1]) >= 8 and float(row[2]) >= 32 for row in rows)


def test_find_gives_what_was_asked_for(stranger):
    words = ("--gpu", "l4", "--gpus", "2", "--gpu-memory", "40", "--arch", "x86_64", "--current", "--all-regions")
    found = records(stranger.types("find", *words, "-n", "5", "--json"))
    assert 0 < len(found) <= 5
    assert [one["usd_per_hour"] for one in found] == sorted(one["usd_per_hour"] for one in found)
    for one in found:
        assert (one["gpu"], one["arch"], one["current_generation"]) == ("L4", "x86_64", True)
        assert one["gpus"] >= 2
        assert one["gpu_memory_gib"] >= 40
        assert one["as_of"] == tables.prices_date()


def test_find_keeps_below_a_price(stranger):
    found = records(stranger.types("find", "--max-price", "0.01", "-n", "50", "--json"))
    assert found
    assert all(one["usd_per_hour"] <= 0.01 for one in found)
    nothing = stranger.types("find", "--vcpus", "96", "--max-price", "0.01")
    assert nothing.returncode == 1
    assert "--all-regions" in nothing.stderr


def test_find_live_asks_the_cloud(person):
    found = records(person.types("find", "--vcpus", "8", "--memory", "32", "--live", "-n", "3", "--json"))
    assert [one["source"] for one in found] == ["live"] * 3
    assert all(one["zone"].startswith("us-east-1") and one["on_demand_source"] == "live" for one in found)


def test_the_command_that_find_prints_launches(person, name):
    found = records(person.types("find", "--gpu", "T4g", "-reg", "ap-northeast-1", "-n", "1", "--json"))
    told = person.types("find", "--gpu", "T4g", "-reg", "ap-northeast-1", "-n", "1").stderr
    words = told.split("spot_connect ")[-1].split()
    assert words == ["-n", "NAME", "-p", found[0]["type"], "-reg", "ap-northeast-1"]
    result = person.types("-n", name, *words[2:], "-s", str(person.writes("arch.sh", "echo launched\n")))
    try:
        assert result.returncode == 0, result.stderr
        assert result.stdout == "launched\n"
        (listed,) = [
            one for one in records(person.types("list", "--json", "-reg", "ap-northeast-1")) if one["name"] == name
        ]
        assert (listed["type"], listed["region"]) == (found[0]["type"], "ap-northeast-1")
    finally:
        person.types("terminate", name, "-reg", "ap-northeast-1")


def test_a_type_that_no_profile_is_for_can_be_launched_too(person, name):
    result = person.types("-n", name, "-p", "x8aedz.large", "-reg", "ap-northeast-1")
    try:
        assert result.returncode == 0, result.stderr
        assert "x8aedz.large spot in ap-northeast-1" in result.stderr
    finally:
        person.types("terminate", name, "-reg", "ap-northeast-1")


def test_a_closed_pipe_is_no_traceback(person):
    script = shlex.quote(str(Path(sys.executable).with_name("spot_connect")))
    result = subprocess.run(
        ["/bin/sh", "-c", f"{script} find -n 500 | head -1"],
        env=person.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stdout.startswith("type ")
    assert "Traceback" not in result.stderr
    assert "Exception" not in result.stderr
