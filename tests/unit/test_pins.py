"""Pinned host keys and Region hints: what is remembered, by whom, and what damage does."""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys

import pytest

from spot_connect.core.errors import HostKeyChanged, StateError, UsageError
from spot_connect.store.pins import Pins
from spot_connect.store.regions import RegionHints
from spot_connect.store.settings import Settings
from spot_connect.store.state import State

ONE = "i-0123456789abcdef0"
TWO = "i-0123456789abcdef1"


def blob(algorithm="ssh-ed25519", filler=b"\1"):
    name = algorithm.encode()
    content = len(name).to_bytes(4, "big") + name + (32).to_bytes(4, "big") + filler * 32
    return base64.b64encode(content).decode()


@pytest.fixture
def state(tmp_path):
    return State(tmp_path / "state")


@pytest.fixture
def pins(state):
    return Pins(state)


def test_an_instance_never_met_has_no_pins(pins):
    assert pins.read(ONE) == ()
    assert not pins.is_verified(ONE)
    pins.forget(ONE)
    assert not pins.path.exists()


def test_pins_are_kept_by_instance(pins):
    pins.pin(ONE, "ssh-ed25519", blob(), verified=True)
    pins.pin(TWO, "ssh-ed25519", blob(filler=b"\2"), verified=False)
    pins.pin(ONE, "ssh-rsa", blob("ssh-rsa"), verified=True)
    assert pins.read(ONE) == (("ssh-ed25519", blob()), ("ssh-rsa", blob("ssh-rsa")))
    assert pins.is_verified(ONE)
    assert not pins.is_verified(TWO)
    pins.forget(ONE)
    assert pins.read(ONE) == ()
    assert pins.read(TWO)


def test_a_first_use_can_be_verified_later_but_never_back(pins):
    pins.pin(ONE, "ssh-ed25519", blob(), verified=False)
    pins.pin(ONE, "ssh-ed25519", blob(), verified=True)
    pins.pin(ONE, "ssh-ed25519", blob(), verified=False)
    assert pins.is_verified(ONE)
    assert len(pins.read(ONE)) == 1


def test_one_key_on_trust_makes_the_instance_unverified(pins):
    pins.pin(ONE, "ssh-ed25519", blob(), verified=True)
    pins.pin(ONE, "ssh-rsa", blob("ssh-rsa"), verified=False)
    assert not pins.is_verified(ONE)


@pytest.mark.parametrize("verified", [True, False])
def test_another_key_never_replaces_a_pin(pins, verified):
    pins.pin(ONE, "ssh-ed25519", blob(), verified=False)
    with pytest.raises(HostKeyChanged, match=ONE):
        pins.pin(ONE, "ssh-ed25519", blob(filler=b"\2"), verified=verified)
    assert pins.read(ONE) == (("ssh-ed25519", blob()),)


def test_only_instances_are_pinned(pins):
    with pytest.raises(UsageError):
        pins.pin("vm1\nevil", "ssh-ed25519", blob(), verified=True)


def test_lines_of_others_are_kept(pins, state):
    state.write_atomic(pins.path, "# mine\n\n@cert-authority *.example ssh-rsa AAAA\nhost ssh-rsa AAAA\n")
    pins.pin(ONE, "ssh-ed25519", blob(), verified=True)
    pins.forget(ONE)
    assert pins.path.read_text() == "# mine\n\n@cert-authority *.example ssh-rsa AAAA\nhost ssh-rsa AAAA\n"


@pytest.mark.parametrize("rest", ["", " ssh-ed25519", " ssh-ed25519 !!!", f" ssh-rsa {blob()}", " ssh-ed25519 AAAA"])
def test_a_damaged_pin_is_never_taken_for_none(pins, state, rest):
    state.write_atomic(pins.path, f"# one\n{ONE}{rest}\n")
    with pytest.raises(StateError, match=r"known_hosts, line 2: it is not a host key"):
        pins.read(ONE)
    assert pins.read(TWO) == ()


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="needs OpenSSH")
def test_openssh_finds_the_pin_by_instance_id(pins):
    pins.pin(ONE, "ssh-ed25519", blob(), verified=True)
    found = subprocess.run(["ssh-keygen", "-F", ONE, "-f", pins.path], capture_output=True, text=True, check=True)
    assert blob() in found.stdout


PINNER = """
import sys
from pathlib import Path
from spot_connect.store.pins import Pins
from spot_connect.store.state import State
for number in range(10):
    Pins(State(Path(sys.argv[1]))).pin(f"i-{sys.argv[2]}{number:07x}", "ssh-ed25519", sys.argv[3], verified=True)
"""


def test_processes_that_pin_together_lose_nothing(pins, state):
    arguments = [sys.executable, "-c", PINNER, str(state.root)]
    processes = [subprocess.Popen([*arguments, str(number), blob()]) for number in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert all(pins.is_verified(f"i-{number}{index:07x}") for number in range(4) for index in range(10))


def test_hints_are_remembered_and_forgotten(state):
    hints = RegionHints(state)
    assert hints.hint("vm1") is None
    hints.remember("vm1", "eu-west-1")
    hints.remember("vm1", "us-east-1")
    hints.remember("vm2", "eu-west-1")
    assert hints.regions() == ("eu-west-1", "us-east-1")
    hints.forget("vm2")
    hints.forget("vm3")
    assert (hints.hint("vm1"), hints.hint("vm2")) == ("us-east-1", None)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b'{"vm1": 5}', b"\xff\xfe", b"[" * 100_000])
def test_a_broken_hint_file_is_no_error(state, content):
    state.write_atomic(state.path("regions.json"), content)
    hints = RegionHints(state)
    assert hints.hint("vm1") is None
    hints.remember("vm1", "eu-west-1")
    assert hints.hint("vm1") == "eu-west-1"


def test_a_hint_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("x")
    hints = RegionHints(State(tmp_path / "file"))
    hints.remember("vm1", "eu-west-1")
    hints.forget("vm1")
    assert hints.hint("vm1") is None


def test_keys_are_kept_in_the_state_directory_unless_told_otherwise(state, tmp_path, monkeypatch):
    settings = Settings(state)
    assert settings.key_directory == state.root / "key_pairs"
    monkeypatch.chdir(tmp_path)
    settings.set_key_directory("my keys")
    assert Settings(state).key_directory == tmp_path / "my keys"


@pytest.mark.parametrize(
    ("content", "said"),
    [('{\n "a": 1,\n}', "line "), ("[]", "does not hold"), ('{"key_directory": 5}', "does not hold")],
)
def test_a_damaged_settings_file_is_named(state, content, said):
    state.write_atomic(state.path("settings.json"), content)
    with pytest.raises(StateError, match=said) as caught:
        _ = Settings(state).key_directory
    assert "settings.json" in caught.value.what
