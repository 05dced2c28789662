"""Key files: private from the first moment, readable by OpenSSH, never overwritten."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import threading

import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from spot_connect.core.errors import StateError, UsageError
from spot_connect.core.reporting import Silent
from spot_connect.store.keys import KeyFiles

IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
RSA = rsa.generate_private_key(65537, 2048)


class Ear(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def keys(tmp_path):
    return KeyFiles(tmp_path / "some" / "keys")


def pem(key, style=form.PrivateFormat.TraditionalOpenSSL, lock=None):
    return key.private_bytes(form.Encoding.PEM, style, lock or form.NoEncryption())


def public(key):
    return key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH).decode()


def test_a_new_key_is_private_and_can_be_read_again(keys):
    made = keys.create("KP-vm1")
    assert made.path == keys.directory / "KP-vm1.pem"
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.directory.stat().st_mode) == 0o700
    assert made.public_line.startswith("ssh-ed25519 AAAA")
    assert len(made.public_line.split()) == 2
    assert keys.read("KP-vm1") == made


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="needs OpenSSH")
def test_openssh_reads_it_and_sees_the_same_public_half(keys):
    made = keys.create("KP-vm1")
    told = subprocess.run(["ssh-keygen", "-y", "-f", made.path], capture_output=True, text=True, check=True)
    assert told.stdout.split()[:2] == made.public_line.split()


def test_a_key_is_never_overwritten(keys):
    made = keys.create("KP-vm1")
    with pytest.raises(StateError, match=r"cannot create .*KP-vm1\.pem"):
        keys.create("KP-vm1")
    assert keys.read("KP-vm1") == made


def test_of_two_at_once_one_wins(keys):
    results = []

    def make():
        try:
            results.append(keys.create("KP-vm1"))
        except StateError:
            results.append(None)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [result for result in results if result]
    assert winners == [keys.read("KP-vm1")]


def test_names_that_are_no_file_names_still_work(keys):
    made = keys.create("KP-a/b:c")
    assert made.path.parent == keys.directory
    assert keys.read("KP-a/b:c") == made
    assert keys.names() == (made.path.stem,)


@pytest.mark.parametrize(
    ("key", "style"),
    [
        (RSA, form.PrivateFormat.TraditionalOpenSSL),
        (RSA, form.PrivateFormat.PKCS8),
        (RSA, form.PrivateFormat.OpenSSH),
        (ed25519.Ed25519PrivateKey.generate(), form.PrivateFormat.PKCS8),
        (ed25519.Ed25519PrivateKey.generate(), form.PrivateFormat.OpenSSH),
    ],
)
def test_keys_of_others_are_read_in_every_usual_form(keys, key, style):
    keys.directory.mkdir(parents=True)
    keys.path("old").write_bytes(pem(key, style))
    assert keys.read("old").public_line == public(key)


def test_a_key_that_others_could_read_is_closed_with_a_note(tmp_path):
    ear = Ear()
    keys = KeyFiles(tmp_path, ear)
    keys.path("old").write_bytes(pem(RSA))
    keys.path("old").chmod(0o644)
    keys.read("old")
    keys.read("old")
    assert stat.S_IMODE(keys.path("old").stat().st_mode) == 0o600
    assert ear.notes == [f"{keys.path('old')} could be read by others; only you can read it now"]


def test_a_key_nobody_may_write_is_left_as_it_is(keys):
    made = keys.create("x")
    made.path.chmod(0o400)
    keys.read("x")
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o400


def test_no_key_is_none(keys):
    assert keys.read("nothing") is None
    assert not keys.remove("nothing")


def test_a_key_can_be_removed(keys):
    keys.create("x")
    assert keys.remove("x")
    assert keys.read("x") is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a private key"),
        (b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", "not a private key"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", "not a private key"),
        (pem(RSA)[:300], "not a private key"),
        (public(RSA).encode(), "not a private key"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "ed25519 and RSA keys only"),
        (pem(RSA, form.PrivateFormat.PKCS8, form.BestAvailableEncryption(b"secret")), "passphrase"),
    ],
)
def test_what_is_no_usable_key_is_refused_by_name(keys, content, said):
    keys.directory.mkdir(parents=True)
    keys.path("old").write_bytes(content)
    with pytest.raises(StateError, match=said) as caught:
        keys.read("old")
    assert "old.pem" in caught.value.what
    assert caught.value.advice


def test_the_check_makes_the_directory_and_leaves_nothing_in_it(keys):
    keys.check_writable()
    assert list(keys.directory.iterdir()) == []


def test_a_place_that_cannot_hold_keys_is_refused_before_anything_is_launched(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match=r"private keys cannot be kept in .*keys"):
        KeyFiles(tmp_path / "file" / "keys").check_writable()


@pytest.mark.skipif(IS_ROOT, reason="root may write anywhere")
def test_a_directory_of_somebody_else_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="private keys cannot be kept in"):
        KeyFiles(tmp_path).check_writable()
    tmp_path.chmod(0o700)


def test_a_directory_that_refuses_files_is_refused_with_advice(keys, monkeypatch):
    def refuse(_descriptor):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(UsageError, match=r"Permission denied\. Give another directory"):
        keys.check_writable()
    assert list(keys.directory.iterdir()) == []


def test_a_home_of_a_tilde_is_understood(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert KeyFiles("~/keys").directory == tmp_path / "keys"
