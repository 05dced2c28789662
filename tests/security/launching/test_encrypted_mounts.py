"""A file system that has to be encrypted in transit, as a person asks for it on the local cloud."""

from __future__ import annotations

import pytest

from spot_connect.core.errors import UsageError
from spot_connect.launching import mounting
from spot_connect.launching.realm import Realm
from tests.journeys.conftest import Person


@pytest.fixture
def person(cloud_home, tmp_path):
    return Person(cloud_home, tmp_path / "work", SPOT_CONNECT_LOCAL="1")


def test_it_is_mounted_so_and_the_same_again_changes_nothing(person, reached):
    asked = (
        "-n",
        reached.instance.name,
        "-f",
        "secret-data",
        "--efs-tls",
        "require",
        "-c",
        "touch efs/mine && echo done",
    )
    for _ in range(2):
        done = person.types(*asked)
        assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_the_machines_of_jobs_that_come_later_are_held_to_it(cloud_home, monkeypatch, reached, keys, heard):
    monkeypatch.setenv("SPOT_CONNECT_HOME", str(cloud_home))
    monkeypatch.setenv("SPOT_CONNECT_EFS_TLS", "require")
    realm = Realm(local=True)
    mounting.mount(realm, reached.instance, reached.connection, "secret-data", heard, new_target=False)
    assert mounting.known(realm, "secret-data", "us-east-1").must_encrypt
    assert not Realm(local=True, efs_tls="prefer").efs_must_encrypt


def test_another_word_is_refused_before_anything_is_asked_of_aws(person, monkeypatch):
    told = person.types("-n", "nobody", "--efs-tls", "never")
    assert (told.returncode, told.stdout) == (2, "")
    assert "It is require or prefer" in told.stderr
    monkeypatch.setenv("SPOT_CONNECT_EFS_TLS", "never")
    with pytest.raises(UsageError):
        Realm(local=True)
