"""Private keys that are read from files."""

from __future__ import annotations

from spot_connect.ssh.key_files import load_key
from tests.boundary.ssh.servers import make_key


def test_a_key_is_read_once_and_again_when_its_file_has_changed(tmp_path):
    file, other = tmp_path / "key", tmp_path / "other"
    make_key(file)
    make_key(other)
    before = load_key(file)
    assert load_key(file) is before
    other.replace(file)
    assert load_key(file).fingerprint != before.fingerprint
