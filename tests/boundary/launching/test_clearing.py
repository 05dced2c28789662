"""Key pairs that no machine needs any more, and the states of those that run."""

from __future__ import annotations

import pytest

from spot_connect import sutils
from spot_connect.core.errors import AwsError, UsageError
from spot_connect.launching import clearing, doors, ending
from spot_connect.launching.launch import launch
from tests.local_cloud import somebody_else


@pytest.fixture
def nobody(monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)


def in_aws(realm, region="us-east-1"):
    return {pair["KeyName"] for pair in realm.cloud(region).ec2.describe_key_pairs()["KeyPairs"]}


def test_unused_ones_go_from_aws_and_from_here_and_used_ones_stay(realm, keys, heard, request_for):
    used, unused = request_for(), request_for()
    made = launch(realm, used, keys, heard)
    name = doors.key_pair(realm.cloud("us-east-1"), keys, unused, heard)
    far = doors.key_pair(realm.cloud("eu-west-1"), keys, request_for(), heard)
    removed = sutils.clear_key_pairs(yes=True, local=True)
    assert {name, far} <= set(removed)
    assert keys.read(name) is None
    assert keys.read(far) is None
    assert far not in in_aws(realm, "eu-west-1")
    assert in_aws(realm) >= {made.key_name}
    assert keys.read(made.key_name) is not None
    ending.terminate(realm, [made])


def test_one_that_is_used_in_another_region_keeps_its_file(realm, keys, heard, request_for):
    request = request_for(region="eu-west-1")
    made = launch(realm, request, keys, heard)
    name = doors.key_pair(realm.cloud("us-east-1"), keys, request, heard)
    assert name == made.key_name
    assert name not in sutils.clear_key_pairs(yes=True, local=True)
    assert keys.read(name) is not None
    ending.terminate(realm, [made])


def test_those_of_other_people_stay(realm, keys, heard, request_for):
    name = request_for().name
    somebody_else().create_key_pair(KeyName=name)
    assert name not in sutils.clear_key_pairs(yes=True, local=True)
    assert name in in_aws(realm)


def test_a_file_with_another_key_stays(realm, keys, heard, request_for):
    name = doors.key_pair(realm.cloud("us-east-1"), keys, request_for(), heard)
    keys.remove(name)
    keys.create(name)
    assert name in sutils.clear_key_pairs(yes=True, local=True)
    assert keys.read(name) is not None


def test_nothing_goes_without_a_yes(realm, keys, heard, request_for, monkeypatch, nobody):
    name = doors.key_pair(realm.cloud("us-east-1"), keys, request_for(), heard)
    with pytest.raises(UsageError, match="yes=True"):
        sutils.clear_key_pairs(region="us-east-1", local=True)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    asked = []
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "n")
    assert sutils.clear_key_pairs(region="us-east-1", local=True) == ()
    assert name in asked[0]
    assert name in in_aws(realm)
    monkeypatch.setattr("builtins.input", lambda _: "y")
    assert name in sutils.clear_key_pairs(region="us-east-1", local=True)


def test_a_region_that_cannot_be_looked_at_keeps_everything(realm, wire, keys, heard, request_for):
    doors.key_pair(realm.cloud("us-east-1"), keys, request_for(), heard)
    wire.refuse("DescribeKeyPairs", "UnauthorizedOperation")
    with pytest.raises(AwsError):
        clearing.unused_key_pairs(realm)
    assert not wire.calls["DeleteKeyPair"]


def test_show_instances_prints_names_and_states(realm, keys, heard, request_for, capsys):
    made = launch(realm, request_for(), keys, heard)
    states = sutils.show_instances("us-east-1", local=True)
    assert states[made.name] in ("pending", "running")
    assert capsys.readouterr().out == f"{states}\n"
    ending.terminate(realm, [made])
