"""The first connection to a machine whose console shows no host key yet, and a stranger in its place."""

from __future__ import annotations

import pexpect
import pytest

from spot_connect.core.errors import AwsError, HostKeyChanged, HostKeyUnknown
from spot_connect.core.names import SSH_TAG
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.launching import connecting, ending, trust
from spot_connect.launching.launch import launch
from spot_connect.launching.realm import Realm
from spot_connect.local import service
from spot_connect.ssh import command
from spot_connect.transfers.upload import upload
from tests.journeys.conftest import Person
from tests.local_cloud import PATIENCE, somebody_else


@pytest.fixture
def late(cloud_home):
    """Consoles show no host keys, until it is called."""
    service.call(cloud_home, "POST", "faults", {"kind": "host-keys", "seconds": 100_000})
    yield lambda: service.call(cloud_home, "DELETE", "faults")
    service.call(cloud_home, "DELETE", "faults")


@pytest.fixture
def often(monkeypatch):
    """The console is looked at often enough for a test."""
    monkeypatch.setattr(trust, "_LATER_EVERY", 0.2)


@pytest.fixture
def machine(realm, request_for, keys, heard, late):
    """A machine that runs and was not reached yet."""
    made = launch(realm, request_for(), keys, heard)
    chosen = connecting.settled(realm, made, heard)
    yield chosen
    ending.terminate(realm, [chosen])


@pytest.fixture
def stranger(realm, request_for, keys, heard, machine):
    """A real SSH server with another host key, which lets us in and answers at the machine's address from now on."""
    made = launch(realm, request_for(key_pair=machine.key_name), keys, heard)
    other = connecting.settled(realm, made, heard)
    tags = [{"Key": SSH_TAG, "Value": str(other.address)}]
    somebody_else().create_tags(Resources=[machine.id], Tags=tags)
    yield other
    ending.terminate(realm, [other])


def open_line(realm, request_for, keys, heard, machine):
    request = request_for(None, name=machine.name)
    return connecting.reach(realm, request, keys, heard)


def until(what, is_so):
    wait_for(what, lambda: Seen(is_so() or None), seconds=PATIENCE, every=0.05)


def test_one_line_says_that_a_key_is_accepted_on_first_sight(realm, request_for, keys, heard, machine):
    with open_line(realm, request_for, keys, heard, machine).connection as connection:
        assert command.run(connection, "whoami").stdout == b"ec2-user\n"
    [warning] = heard.warnings
    [key] = trust.pinned(realm, machine)
    assert f"the host key {key.fingerprint} of {machine.name} is accepted on first sight" in warning
    assert "its console shows no host key yet" in warning
    assert "\n" not in warning
    assert not realm.pins.is_verified(machine.id)


@pytest.mark.usefixtures("often")
def test_the_key_is_verified_while_the_line_is_in_use_as_soon_as_the_console_shows_it(
    realm, request_for, keys, heard, machine, late
):
    with open_line(realm, request_for, keys, heard, machine).connection as connection:
        late()
        until("verified key", lambda: realm.pins.is_verified(machine.id))
        assert command.run(connection, "whoami").stdout == b"ec2-user\n"
    assert len(heard.warnings) == 1


@pytest.mark.usefixtures("often", "stranger")
def test_a_command_on_a_stranger_ends_as_soon_as_the_console_shows_the_right_key(
    realm, request_for, keys, heard, machine, late
):
    connection = open_line(realm, request_for, keys, heard, machine).connection
    pieces = []

    def hear(piece):
        pieces.append(piece)
        late()

    with pytest.raises(HostKeyChanged, match="may be known to others") as caught:
        command.run(connection, "echo begun; exec sleep 1000", on_stdout=hear)
    assert pieces == [b"begun\n"]
    assert caught.value.exit_code == 5
    assert machine.name in caught.value.what
    assert not connection.is_open


@pytest.mark.usefixtures("often", "stranger")
def test_no_line_to_a_stranger_is_ever_opened_again_and_its_key_is_pinned_nowhere(
    realm, request_for, keys, heard, machine, late
):
    connection = open_line(realm, request_for, keys, heard, machine).connection
    another = connection.another()
    another.open()
    [wrong] = trust.pinned(realm, machine)
    late()
    until("end of both lines", lambda: not connection.is_open and not another.is_open)
    for line in (connection, another, connection.another()):
        with pytest.raises(HostKeyChanged):
            line.open()
        with pytest.raises(HostKeyChanged):
            command.run(line, "cat", stdin=b"secret")
    assert wrong not in trust.pinned(realm, machine)
    assert realm.pins.is_verified(machine.id)
    with pytest.raises(HostKeyChanged):
        open_line(realm, request_for, keys, heard, machine)


@pytest.mark.usefixtures("often", "stranger")
def test_a_transfer_to_a_stranger_ends_with_the_reason(realm, request_for, keys, heard, machine, late, tmp_path):
    connection = open_line(realm, request_for, keys, heard, machine).connection
    (tmp_path / "data").write_bytes(b"x" * 1000)
    late()
    until("end of the line", lambda: not connection.is_open)
    with pytest.raises(HostKeyChanged, match="forged"):
        upload(connection, [tmp_path / "data"], ".", reporter=heard)


@pytest.mark.usefixtures("often", "stranger")
def test_who_has_closed_the_line_before_is_told_all_the_same(realm, request_for, keys, heard, machine, late):
    connection = open_line(realm, request_for, keys, heard, machine).connection
    connection.close()
    late()
    until("second warning", lambda: len(heard.warnings) == 2)
    assert f"the line to {machine.name} ({machine.id}) was dropped" in heard.warnings[1]


@pytest.fixture
def person(cloud_home, tmp_path):
    return Person(cloud_home, tmp_path / "work", SPOT_CONNECT_LOCAL="1")


def test_a_command_that_is_done_does_not_wait_for_the_console(person, machine):
    done = person.types("-n", machine.name, "-c", "echo done")
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert "accepted on first sight" in done.stderr


@pytest.mark.usefixtures("stranger")
def test_a_script_says_with_its_exit_status_that_the_line_was_dropped(person, machine, late):
    running = person.sits_at("-n", machine.name, "-c", "echo begun; exec sleep 1000")
    running.expect("accepted on first sight")
    running.expect("begun")
    late()
    running.expect("was dropped: the server shows the host key SHA256:")
    running.expect("may be known to others")
    running.expect(pexpect.EOF)
    running.close()
    assert running.exitstatus == 5


@pytest.mark.usefixtures("stranger")
def test_a_shell_ends_when_the_line_is_dropped(person, machine, late):
    shell = person.sits_at("-n", machine.name, "-a", "True")
    shell.sendline("echo $((40 + 2))")
    shell.expect("42")
    late()
    shell.expect("was dropped: the server shows the host key SHA256:")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 5


def test_a_machine_without_a_verified_key_has_no_held_line(person, machine):
    for _ in range(2):
        assert person.types("-n", machine.name, "-c", "echo done").stdout == "done\n"
    told = person.types("-n", machine.name, "-c", "echo done", "--debug")
    assert "a held line was not used" in told.stderr


def test_the_flag_is_read_before_anything_is_asked_of_aws(person):
    told = person.types("-n", "nobody", "--strict-host-key", "perhaps")
    assert (told.returncode, told.stdout) == (2, "")
    assert "perhaps" in told.stderr


@pytest.mark.usefixtures("stranger")
def test_the_next_connection_compares_a_key_that_was_accepted_on_first_sight(
    realm, request_for, keys, heard, machine, late
):
    open_line(realm, request_for, keys, heard, machine).connection.close()
    [wrong] = trust.pinned(realm, machine)
    late()
    with pytest.raises(HostKeyChanged, match="console"):
        open_line(realm, request_for, keys, heard, machine)
    assert wrong not in trust.pinned(realm, machine)


@pytest.mark.usefixtures("often")
def test_a_console_that_cannot_be_read_for_a_while_is_read_later(realm, request_for, keys, heard, machine, late, wire):
    wire.refuse("GetConsoleOutput", "UnauthorizedOperation", "RequestLimitExceeded", "InternalError")
    connection = open_line(realm, request_for, keys, heard, machine).connection
    late()
    assert any("cannot be read" in warning for warning in heard.warnings)
    until("verified key", lambda: realm.pins.is_verified(machine.id))
    connection.close()


def strict(monkeypatch, seconds):
    monkeypatch.setattr(trust, "_STRICT_SECONDS", seconds)
    monkeypatch.setattr(trust, "boot_seconds", lambda _: seconds)
    return Realm(local=True, strict_host_key=True)


def test_strict_waits_for_the_console(request_for, keys, heard, machine, late, monkeypatch):
    realm = strict(monkeypatch, PATIENCE)
    console = trust.instances.console

    def looked_at(*arguments):
        told = console(*arguments)
        late()
        return told

    monkeypatch.setattr(trust.instances, "console", looked_at)
    with open_line(realm, request_for, keys, heard, machine).connection as connection:
        assert command.run(connection, "whoami").stdout == b"ec2-user\n"
    assert realm.pins.is_verified(machine.id)
    assert not heard.warnings
    assert any("waiting for the console" in step for step in heard.steps)


def test_strict_refuses_when_the_console_shows_no_key_and_says_what_can_be_done(
    request_for, keys, heard, machine, monkeypatch
):
    realm = strict(monkeypatch, 0)
    with pytest.raises(HostKeyUnknown, match="its console shows no host key yet") as caught:
        open_line(realm, request_for, keys, heard, machine)
    assert caught.value.exit_code == 5
    assert "--strict-host-key" in caught.value.advice
    assert trust.pinned(realm, machine) == ()


def test_strict_refuses_who_may_not_read_the_console(request_for, keys, heard, machine, late, wire, monkeypatch):
    late()
    realm = strict(monkeypatch, PATIENCE)
    wire.refuse("GetConsoleOutput", "UnauthorizedOperation")
    with pytest.raises((HostKeyUnknown, AwsError), match="injected"):
        open_line(realm, request_for, keys, heard, machine)
    assert trust.pinned(realm, machine) == ()


def test_strict_waits_for_a_key_that_was_accepted_before(realm, request_for, keys, heard, machine, monkeypatch):
    open_line(realm, request_for, keys, heard, machine).connection.close()
    with pytest.raises(HostKeyUnknown):
        open_line(strict(monkeypatch, 0), request_for, keys, heard, machine)


@pytest.mark.usefixtures("stranger")
def test_strict_never_logs_in_to_a_stranger(request_for, keys, heard, machine, late, monkeypatch):
    late()
    with pytest.raises(HostKeyChanged):
        open_line(strict(monkeypatch, PATIENCE), request_for, keys, heard, machine)


def test_the_environment_makes_every_connection_strict(request_for, keys, heard, machine, monkeypatch):
    monkeypatch.setenv("SPOT_CONNECT_STRICT_HOST_KEY", "True")
    monkeypatch.setattr(trust, "_STRICT_SECONDS", 0)
    monkeypatch.setattr(trust, "boot_seconds", lambda _: 0)
    with pytest.raises(HostKeyUnknown):
        open_line(Realm(local=True), request_for, keys, heard, machine)
    assert not Realm(local=True, strict_host_key=False).strict_host_key
