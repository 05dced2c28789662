"""Files that outlive the machine, as a person meets them."""

from __future__ import annotations

import json

import pytest


def of(person, name, text, *words):
    """What a script with that text writes on the machine."""
    result = person.types("-n", name, *words, "-s", str(person.writes("of.sh", text)))
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture
def token(name):
    """A file system of this test's own."""
    return f"d-{name}"[:64]


def test_a_file_outlives_the_machine(person, name, token):
    assert of(person, name, "echo kept > ~/efs/file\n", "-p", "t2.micro", "-f", token) == ""
    assert person.types("terminate", name).returncode == 0
    assert of(person, name, "cat ~/efs/file\n", "-p", "t2.micro", "-f", token) == "kept"


def test_a_mount_survives_a_reconnect_and_is_made_once(person, machine, token):
    of(person, machine, "echo one >> ~/efs/file\n", "-f", token)
    assert of(person, machine, "mountpoint -q ~/efs && cat ~/efs/file\n") == "one"
    again = person.types("-n", machine, "-f", token)
    assert again.returncode == 0
    assert "making" not in again.stderr
    assert of(person, machine, "cat ~/efs/file; grep -c ' /home/ec2-user/efs ' /proc/mounts\n") == "one\n1"


def test_two_machines_share_it(person, machine, token):
    of(person, machine, "echo from the first > ~/efs/file\n", "-f", token)
    other = f"{machine[:55]}-2"
    try:
        assert of(person, other, "cat ~/efs/file\n", "-p", "t2.micro", "-f", token) == "from the first"
    finally:
        person.types("terminate", other)


@pytest.mark.parametrize("words", [["-em", "False"], ["-em", "True"], []])
def test_nothing_is_mounted_unless_asked(person, machine, words):
    result = person.types("-n", machine, *words)
    assert result.returncode == 0, result.stderr
    assert "file system" not in result.stderr
    assert of(person, machine, "[ ! -e ~/efs ] && echo nothing\n") == "nothing"


def test_false_wins_over_the_token(person, machine, token):
    result = person.types("-n", machine, "-f", token, "-em", "False")
    assert result.returncode == 0, result.stderr
    assert of(person, machine, "[ ! -e ~/efs ] && echo nothing\n") == "nothing"


def test_a_new_mount_target_where_there_is_one_is_a_note(person, machine, token):
    assert person.types("-n", machine, "-f", token, "-nm", "True").returncode == 0
    result = person.types("-n", machine, "-f", token, "-nm", "True")
    assert result.returncode == 0, result.stderr
    assert "EFS allows one a zone" in result.stderr


def test_a_token_that_cannot_be_is_refused_before_a_launch(person, name):
    result = person.types("-n", name, "-p", "t2.micro", "-f", "x" * 65)
    assert result.returncode == 2, result.stderr
    names = [one["name"] for one in json.loads(person.types("list", "--json").stdout)]
    assert name not in names
