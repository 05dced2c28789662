"""A saved local cloud that somebody has planted runs nothing; where others could have written it, it is not read."""

from __future__ import annotations

import json
import os
import pickle
import pickletools
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot_connect.core.errors import LocalCloudError, StateError
from spot_connect.local import saved, service
from spot_connect.local.places import Places

HEAD = json.dumps(saved._head()).encode() + b"\n"


class Calls:
    """What a pickle makes by calling something."""

    def __init__(self, what, *arguments):
        self._call = (what, arguments)

    def __reduce__(self):
        return self._call


def by_name(module: str, name: str, *arguments: str) -> bytes:
    """A pickle that calls what these names find, along dots too."""
    calls = b"".join(pickle.UNICODE + each.encode() + b"\n" for each in arguments)
    names = b"".join(pickle.SHORT_BINUNICODE + bytes([len(part)]) + part.encode() for part in (module, name))
    return b"\x80\x04" + names + b"\x93(" + calls + b"tR."


@pytest.fixture
def places(tmp_path):
    tmp_path.chmod(0o700)
    places = Places(tmp_path / "home")
    places.make()
    return places


def payloads(marker: str) -> list[bytes]:
    touch = f"touch {marker}"
    return [
        pickle.dumps(Calls(os.system, touch)),
        pickle.dumps(Calls(eval, f"__import__('os').system({touch!r})")),
        pickle.dumps({"backends": Calls(subprocess.call, ["touch", marker])}),
        by_name("posix", "system", touch),
        by_name("moto.s3.models", "os.system", touch),
        by_name("moto.s3.models", "os", touch),
        by_name("spot_connect.local.machines", "secrets.os.system", touch),
        by_name("spot_connect.local.daemon", "main"),
        by_name("moto.core.responses", "os.system", touch),
        pickle.dumps(Calls(getattr, str, "format")),
        pickle.dumps(Calls(getattr, dict, "__init__")),
        b"cos\nsystem\n(S'" + touch.encode() + b"'\ntR.",
    ]


@pytest.mark.parametrize("number", range(12))
def test_a_planted_file_calls_nothing(places, tmp_path, number):
    marker = tmp_path / "marker"
    planted = payloads(str(marker))[number]
    assert list(pickletools.genops(planted))  # it is a pickle, and could have done it
    places.state.write_bytes(HEAD + planted)
    places.state.chmod(0o600)
    with pytest.raises(saved.Strange):
        saved.read(places.state)
    assert not marker.exists()


@given(st.binary(max_size=300))
def test_any_bytes_are_an_error_or_data(tmp_path_factory, content):
    root = tmp_path_factory.mktemp("any")
    places = Places(root)
    places.make()
    places.state.write_bytes(HEAD + content)
    places.state.chmod(0o600)
    try:
        found = saved.read(places.state)
    except (StateError, LocalCloudError):
        raise
    except Exception:  # noqa: BLE001 - what is damaged may come to anything; the cloud then starts empty
        return
    assert isinstance(found, dict)


@pytest.mark.parametrize("found", [0o666, 0o602])
def test_a_file_that_others_could_write_stops_the_cloud_and_says_why(places, tmp_path, found):
    places.state.write_bytes(HEAD + pickle.dumps(Calls(os.system, f"touch {tmp_path / 'marker'}")))
    places.state.chmod(found)
    with pytest.raises(LocalCloudError, match=f"it has mode {found:04o}.*chmod go-w"):
        service.up(places.home)
    assert not (tmp_path / "marker").exists()
    assert places.state.exists()
    assert "Traceback" not in service.log_text(places.home)


def test_a_link_in_the_place_of_the_file_is_not_followed(places, tmp_path):
    (tmp_path / "elsewhere").write_bytes(HEAD + pickle.dumps({}))
    places.state.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LocalCloudError, match=f"cannot read {places.state}"):
        saved.read(places.state)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_refused(places):
    places.state.write_bytes(HEAD + pickle.dumps({}))
    places.state.chmod(0o600)
    os.chown(places.state, 12345, -1)
    with pytest.raises(StateError, match="belongs to"):
        saved.read(places.state)


def test_the_cloud_starts_empty_over_a_planted_file_and_runs_none_of_it(places, tmp_path):
    marker = tmp_path / "marker"
    places.state.write_bytes(HEAD + pickle.dumps(Calls(os.system, f"touch {marker}")))
    places.state.chmod(0o600)
    try:
        notes = " ".join(service.up(places.home).notes)
        assert "posix.system has no place in a saved cloud" in notes
    finally:
        service.down(places.home)
    assert not marker.exists()
