"""What is laid over a box's view of the machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from spot_connect.local.boxes import sandbox
from spot_connect.local.boxes.layout import Directory
from spot_connect.local.boxes.levels import Level, describe
from spot_connect.local.boxes.order import Order


@pytest.fixture
def order(tmp_path):
    directory = Directory(tmp_path / "instances" / "i-1")
    directory.make(None)

    def order(**changes):
        defaults = {"directory": str(directory.path), "shims": str(tmp_path / "shims"), "level": Level.NS_UNSHARE}
        told = {
            "hostname": "h",
            "username": "ec2-user",
            "authorized_keys": (),
            "host_key": "",
            "address": "",
            "python": "",
        }
        return Order(instance_id="i-1", **told | defaults | changes)

    return order


def test_an_order_survives_the_journey(order):
    sent = order(user_data=b"\x00\xff", authorized_keys=("a", "b"), hidden=("/x",), environment={"A": "é"}, uid=7)
    assert Order.from_json(sent.to_json()) == sent


def test_a_home_under_home_is_hidden_once(order, tmp_path, monkeypatch):
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    hidden = (str(tmp_path / "outer" / "inner"), str(tmp_path / "outer"))
    targets = [mount.target for mount in sandbox.mounts(order(hidden=hidden)) if not mount.source]
    assert str(tmp_path / "outer") in targets
    assert str(tmp_path / "outer" / "inner") not in targets


def test_python_under_a_hidden_home_is_shown(order, monkeypatch):
    prefix = os.path.realpath(sys.prefix)
    shown = sandbox.mounts(order(hidden=(str(Path(prefix).parent),)))
    assert sandbox.Mount(prefix, prefix) in shown


def test_root_logs_in_to_roots_home(order):
    targets = [mount.target for mount in sandbox.mounts(order(username="root")) if mount.source.endswith("/home")]
    assert targets == ["/root"]


def test_nothing_of_the_machine_is_writable(order, tmp_path):
    writable = [mount for mount in sandbox.mounts(order()) if mount.writable]
    assert all(mount.source.startswith(str(tmp_path)) for mount in writable)


@pytest.mark.parametrize("as_root", [True, False])
@pytest.mark.parametrize("level", list(Level))
def test_a_level_says_what_it_does_not_protect(level, as_root):
    text = describe(level, as_root=as_root)
    assert text.startswith("Isolation: ")
    assert "network" in text or "your own rights" in text
    assert "\n" not in text
