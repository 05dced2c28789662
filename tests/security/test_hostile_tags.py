"""Tags that somebody has written to do harm: what is made of them, and what OpenSSH makes of the file that we write."""

from __future__ import annotations

import base64
import shutil
import subprocess
from dataclasses import replace
from datetime import datetime, timezone
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spot_connect.aws.instances import _instance
from spot_connect.core.errors import StateError, UsageError
from spot_connect.core.fleets import FLEET_TAG
from spot_connect.core.models import Address, Instance
from spot_connect.core.names import (
    FILE_SYSTEM_TAG,
    GROUP_TAG,
    INSTANCE_PROFILE_TAG,
    LOGIN_TAG,
    NAME_TAG,
    PROFILE_TAG,
    SSH_TAG,
    SUBNET_TAG,
    SUCCESSOR_TAG,
    instance_name,
)
from spot_connect.core.profiles import Profile
from spot_connect.core.ssh_config import SshAlias, alias_of, host_block, include_lines
from spot_connect.core.untrusted import Refused, host, login_name, port
from spot_connect.launching.realm import Realm
from spot_connect.launching.requesting import launch_request
from spot_connect.store.pins import Pins
from spot_connect.store.ssh_aliases import SshAliases
from spot_connect.store.state import State

ID = "i-0123456789abcdef0"
HOSTILE = st.text(st.sampled_from("ab0.-:/%\\\"'$`{}[]()#=,;*?! \t\n\r\x00\x1b\x7f\x85\x9b\u2028\u202eé"), max_size=24)
ANYTHING = st.text(max_size=40) | HOSTILE
MEMBERS = "spot-connect:members-0"
NETWORK_AND_RIGHTS = (GROUP_TAG, SUBNET_TAG, INSTANCE_PROFILE_TAG)
OURS = (
    *(NAME_TAG, LOGIN_TAG, SSH_TAG, FILE_SYSTEM_TAG, SUCCESSOR_TAG, PROFILE_TAG, FLEET_TAG, MEMBERS),
    *NETWORK_AND_RIGHTS,
)
INJECTED = "ec2-user\nMatch all\n    ProxyCommand touch /tmp/pwned"


def seen(**tags: str) -> Instance:
    """An instance as EC2 tells it that has these tags."""
    raw = {
        "InstanceId": ID,
        "State": {"Name": "running"},
        "InstanceType": "t2.micro",
        "LaunchTime": datetime(2026, 11, 29, tzinfo=timezone.utc),
        "PublicIpAddress": "203.0.113.7",
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }
    return _instance("us-east-1", raw, {})


def refuses(check, value):
    try:
        check(value)
    except ValueError:
        return True
    return False


@given(st.dictionaries(st.sampled_from((*OURS, "Name")), ANYTHING))
def test_whatever_stands_in_tags_an_instance_is_what_it_may_be_or_says_what_is_refused(tags):
    one = seen(**tags)
    assert one.name
    assert one.name.isprintable()
    assert all(line.isprintable() for line in one.refused)
    assert not one.username or login_name(one.username)
    assert one.address is None or (host(one.address.host) and port(str(one.address.port)))
    for key in set(OURS) - {NAME_TAG}:
        is_told = any(f"tag {key} is refused" in line for line in one.refused)
        assert (key in one.tags) != (is_told or key not in tags)
    if not one.refused:
        assert one.name == ID or instance_name(one.name)


ADDRESSES = st.ip_addresses() | st.sampled_from(
    ["127.0.0.2", "::1", "::ffff:203.0.113.9", "0.0.0.0", "localhost", "a.example"]
)


@given(ADDRESSES)
def test_no_tag_leads_ssh_to_another_computer_than_the_instance_or_this_one(there):
    one = seen(**{SSH_TAG: f"{there}:2222"})
    if one.refused:
        assert one.address == Address("203.0.113.7")
    else:
        assert ip_address(one.address.host).is_loopback


@given(st.sampled_from(OURS), ANYTHING)
def test_what_is_refused_is_used_nowhere(key, value):
    one = seen(**{key: value})
    if one.refused:
        assert value not in (one.username, one.profile, str(one.address))
        assert key == NAME_TAG or key not in one.tags


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (LOGIN_TAG, INJECTED),
        (LOGIN_TAG, "%h"),
        (LOGIN_TAG, "-oProxyCommand=x"),
        (SSH_TAG, "203.0.113.7\nProxyCommand x:22"),
        (SSH_TAG, "203.0.113.7:22x"),
        (SSH_TAG, "-oProxyCommand=x:22"),
        (SSH_TAG, "203.0.113.7:99999"),
        (SSH_TAG, "127.0.0.2:99999"),
        (NAME_TAG, 'vm"\nProxyCommand x'),
        (NAME_TAG, "vm1 "),
        (FILE_SYSTEM_TAG, "a\nb"),
        (SUCCESSOR_TAG, "$(id)"),
        (PROFILE_TAG, "t2.micro\x1b]0;x\x07"),
        (FLEET_TAG, "w\nx"),
        (MEMBERS, "def0; id"),
        (GROUP_TAG, "sg-0123456789abcdef0\n"),
        (SUBNET_TAG, "subnet-*"),
        (INSTANCE_PROFILE_TAG, "../admin"),
    ],
)
def test_the_tag_and_the_reason_are_said_in_one_line(key, value):
    [line] = seen(**{key: value}).refused
    assert f"its tag {key} is refused: " in line
    assert line.isprintable()


def test_tags_that_we_write_ourselves_all_fit():
    tags = {
        "Name": "my vm",
        NAME_TAG: "my vm",
        LOGIN_TAG: "ec2-user",
        SSH_TAG: "127.0.0.2:2222",
        FILE_SYSTEM_TAG: "data",
        SUCCESSOR_TAG: "i-0fedcba9876543210",
        PROFILE_TAG: "mein großes",
        GROUP_TAG: "sg-0123456789abcdef0",
        SUBNET_TAG: "subnet-01234567",
        INSTANCE_PROFILE_TAG: "spot-connect-web@2",
    }
    one = seen(**tags)
    assert (one.refused, one.tags, one.address) == ((), tags, Address("127.0.0.2", 2222))
    shared = {NAME_TAG: "w_%", FLEET_TAG: "w", MEMBERS: "1234 def0"}
    assert (seen(**shared).name, seen(**shared).refused) == ("w_1", ())


def test_a_name_that_somebody_else_has_given_is_not_ours_to_refuse():
    assert (seen(Name="Büro\n").name, seen(Name="Büro\n").refused) == (ID, ())


ALIAS = SshAlias("vm1", ID, "203.0.113.7", 22, "ec2-user", Path("/k/a.pem"), Path("/k/known"))
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "name": ANYTHING,
        "instance_id": ANYTHING,
        "host": ANYTHING,
        "port": st.integers(-5, 70000),
        "username": ANYTHING,
        "key": ANYTHING.map(lambda text: Path("/k") / text),
        "known_hosts": ANYTHING.map(lambda text: Path("/k") / text),
    },
)


@given(FIELDS)
@example({"username": INJECTED})
@example({"key": Path('/k/a"\nProxyCommand x')})
@example({"key": Path("/k/${HOME}")})
@example({"name": "vm\\"})
def test_an_alias_is_read_back_as_it_was_or_is_not_written(changes):
    alias = replace(ALIAS, **changes)
    try:
        block = host_block(alias)
    except Refused:
        return
    assert alias_of(block) == alias
    assert block.isprintable() or block.replace("\n", "").isprintable()
    assert [line.split()[0] for line in block.splitlines()] == [
        line.split()[0] for line in host_block(ALIAS).splitlines()
    ]


@given(st.data())
def test_a_block_that_somebody_has_changed_is_no_alias(data):
    lines = host_block(ALIAS).splitlines(keepends=True)
    extra = data.draw(st.sampled_from(["    ProxyCommand x\n", "Match all\n", "    User other\n", "\n", "# x\n"]))
    lines.insert(data.draw(st.integers(0, len(lines))), extra)
    assert alias_of("".join(lines)) is None


@given(ANYTHING)
def test_any_file_at_all_is_an_alias_or_none(text):
    found = alias_of(text)
    assert found is None or host_block(found) == text


def test_nothing_is_written_for_what_is_refused_and_what_was_there_stays(tmp_path):
    aliases = SshAliases(State(tmp_path))
    aliases.keep(ALIAS)
    [file] = tmp_path.glob("ssh/*.conf")
    before = file.read_bytes()
    for change in ({"username": INJECTED}, {"host": "x\ny"}, {"instance_id": f"{ID}\nx"}, {"key": Path('/a"b')}):
        with pytest.raises(StateError, match="cannot tell OpenSSH of vm1"):
            aliases.keep(replace(ALIAS, **change))
    aliases.keep(replace(ALIAS, name='vm1"\nProxyCommand x'))
    assert [(path, path.read_bytes()) for path in tmp_path.glob("ssh/*")] == [(file, before)]


@pytest.mark.parametrize("files", ['/a"b/*.conf', "/a\nProxyCommand x/*.conf", "/a\\b/*.conf", "/${HOME}/*.conf"])
def test_a_state_directory_that_openssh_could_misread_is_not_included(files):
    with pytest.raises(Refused):
        include_lines(files)


def openssh_of(folder: Path, name: str) -> dict[str, str]:
    """What the real client would do for that name, with our files included."""
    if not shutil.which("ssh"):
        pytest.skip("OpenSSH's client is not installed")
    config = folder / "config"
    config.write_text(include_lines(f"{folder}/ssh/*.conf") + "\n")
    told = subprocess.run(
        ["ssh", "-G", "-F", str(config), name], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    )
    return dict(line.partition(" ")[::2] for line in told.stdout.splitlines())


@given(changes=FIELDS)
@example({"username": INJECTED})
@example({"host": "203.0.113.7\n    ProxyCommand touch /tmp/pwned"})
@example({"name": 'vm1"\nMatch all\n    ProxyCommand touch /tmp/pwned\n#'})
@example({"key": Path('/k/a"\nMatch all\nProxyCommand x')})
@example({"known_hosts": Path("/k/x\\"), "key": Path("/k/\\")})
def test_the_real_client_runs_nothing_for_this_name_or_any_other(tmp_path_factory, changes):
    folder = tmp_path_factory.mktemp("state")
    untouched = openssh_of(folder, "other")
    alias = replace(ALIAS, **changes)
    try:
        SshAliases(State(folder)).keep(alias)
    except StateError:
        assert not list(folder.glob("ssh/*"))
    if alias.name != "other":
        assert openssh_of(folder, "other") == untouched
    told = openssh_of(folder, "vm1")
    assert "proxycommand" not in told
    assert "localcommand" not in told
    if list(folder.glob("ssh/vm1.conf")):
        # An address may be written in another way there.
        assert host(told["hostname"])
        reached = (told["port"], told["user"], told["hostkeyalias"])
        assert reached == (str(alias.port), alias.username, alias.instance_id)
        assert told["userknownhostsfile"] == str(alias.known_hosts)


KEY = base64.b64encode(b"\0\0\0\x0bssh-ed25519" + bytes(36)).decode()


def blob(algorithm: str) -> str:
    """A key that says it is of that algorithm."""
    name = algorithm.encode()
    return base64.b64encode(len(name).to_bytes(4, "big") + name + bytes(36)).decode()


@given(ANYTHING, ANYTHING | st.none())
@example("ssh-ed25519 x\n* ssh-ed25519", None)
def test_no_algorithm_and_no_key_adds_a_line_to_the_pinned_host_keys(tmp_path_factory, algorithm, key):
    pins = Pins(State(tmp_path_factory.mktemp("state")))
    pins.pin(ID, "ssh-ed25519", KEY, verified=True)
    before = pins.path.read_bytes()
    try:
        pins.pin(ID, algorithm, blob(algorithm) if key is None else key, verified=True)
    except UsageError:
        assert pins.path.read_bytes() == before
    else:
        assert all(line.split()[0] == ID for line in pins.path.read_text().splitlines())
        assert len(pins.read(ID)) == len(pins.path.read_bytes().splitlines()) <= 2
    with pytest.raises(UsageError):
        pins.pin(f"{ID}\n*", "ssh-ed25519", KEY, verified=True)


@pytest.mark.parametrize("login", [INJECTED, "-x", "a b", "%u", "me\x1b[0m"])
def test_a_login_that_the_user_gives_is_refused_in_one_line(login):
    with pytest.raises(UsageError) as flag:
        launch_request(Realm(local=True), "vm1", username=login)
    with pytest.raises(UsageError) as profile:
        Profile.from_mapping("p", {"instance_type": "t2.micro", "username": login})
    assert str(flag.value).isprintable()
    assert str(profile.value).isprintable()
