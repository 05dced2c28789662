from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot_connect.core.errors import UsageError
from spot_connect.ssh.host_keys import fingerprints_in_console, host_keys_in_console, parse_public_key

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKgmlI1pkHKBUeYiNvZmoNBc8qNOZfpgdYBjyH4WxYMZ"
ECDSA = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMRBnOBWCEMvZ7e0J7y0Wpn"
    "0qYWBHhCqbCwS1E5uSDmCPk0tXQ3fb7gHkOaSoYlFwhc1Ce0XKYD2Hbz1nWmQAMc="
)
PRINT = "SHA256:uSYFZOaD2dVO5pBzvFOMgpXrjjnrOZS5YcLZ1cY0jBg"


def console(prefix: str) -> str:
    lines = [
        "Starting sshd",
        "-----BEGIN SSH HOST KEY FINGERPRINTS-----",
        f"256 {PRINT} root@ip-10-0-0-1 (ED25519)",
        "2048 aa:bb:cc:dd root@ip-10-0-0-1 (RSA)",
        "-----END SSH HOST KEY FINGERPRINTS-----",
        "-----BEGIN SSH HOST KEY KEYS-----",
        f"{ECDSA} root@ip-10-0-0-1",
        f"{ED25519} root@ip-10-0-0-1",
        "-----END SSH HOST KEY KEYS-----",
        f"{ED25519[:-2]}BB later",
    ]
    return "\r\n".join(prefix + line for line in lines)


@pytest.mark.parametrize(
    "prefix", ["", "ec2: ", "cloud-init: ", "[   12.345678] cloud-init[1234]: ", "<14>Jan  1 ec2: "]
)
def test_keys_and_fingerprints_are_read_with_any_prefix(prefix: str) -> None:
    assert [key.line for key in host_keys_in_console(console(prefix))] == [ECDSA, ED25519]
    assert fingerprints_in_console(console(prefix)) == {PRINT}


def test_a_key_that_another_line_broke_into_is_left_out() -> None:
    broken = console("").replace(ECDSA[:60], ECDSA[:30] + "[ 13.0] audit: " + ECDSA[30:60])
    assert [key.line for key in host_keys_in_console(broken)] == [ED25519]


@given(st.integers(0, len(console(""))))
def test_a_console_that_is_still_printing_tells_all_keys_or_none(size: int) -> None:
    text = console("")[:size]
    assert [key.line for key in host_keys_in_console(text)] in ([], [ECDSA, ED25519])
    assert fingerprints_in_console(text) in (frozenset(), {PRINT})


def test_the_console_printed_twice_tells_each_key_once() -> None:
    assert len(host_keys_in_console(console("") + "\n" + console("ec2: "))) == 2


def test_the_fingerprint_is_ssh_keygens(tmp_path: Path) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "a comment", "-f", path], check=True)
    told = subprocess.run(["ssh-keygen", "-l", "-f", path], capture_output=True, text=True, check=True).stdout.split()[
        1
    ]
    key = parse_public_key((tmp_path / "key.pub").read_text())
    assert key.fingerprint == told
    assert parse_public_key(key.line) == key


@pytest.mark.parametrize(
    "text", ["", "hello", "ssh-ed25519", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIA==", "ssh-ed25519 AAAAx"]
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_public_key(text)
