"""The installed program, on machines whose tags somebody has written to do harm."""

from __future__ import annotations

import json
import subprocess

import pytest

from spot_connect.core.untrusted import printable
from spot_connect.local import service
from tests.local_cloud import LocalCloud

NAMES = (
    "a[/b]",
    "[link=http://x]vm1[/link]",
    "[bold",
    "vm1\nspot_connect: all is well",
    "vm\u202e1mv",
    "\x9b2J",
    "vm1\u2028fake",
    ":smile:",
    "$(touch pwned)",
)
INJECTED = "ec2-user\nMatch all\n    ProxyCommand touch pwned"


@pytest.fixture
def ec2(cloud_home):
    return LocalCloud(cloud_home, service.ensure_up(cloud_home)).client("ec2")


@pytest.fixture
def instance(ec2, person, machine):
    """The id of a machine that was reached before; whoever may tag it does so with :func:`tagged`."""
    listed = json.loads(person.types("list", "--json").stdout)
    [found] = [one["id"] for one in listed if one["name"] == machine]
    yield found
    ec2.terminate_instances(InstanceIds=[found])


def tagged(ec2, person, instance: str, **tags: str) -> None:
    """Write the tags, as somebody may who has ec2:CreateTags, when the launch is no longer moments ago."""
    (person.home / "cache" / "made.json").unlink(missing_ok=True)
    marks = [{"Key": f"spot-connect:{key}", "Value": value} for key, value in tags.items()]
    ec2.create_tags(Resources=[instance], Tags=marks)


def test_a_machine_of_any_name_is_one_row_of_the_list_on_a_terminal_and_in_a_pipe(ec2, person, instance):
    for name in NAMES:
        tagged(ec2, person, instance, name=name)
        piped = person.types("list")
        assert piped.returncode == 0, piped.stderr
        terminal = person.sits_at("list", size=(60, 300))
        shown = terminal.read()
        terminal.close()
        assert terminal.exitstatus == 0
        for lines in (piped.stdout.split("\n"), shown.replace("\r\n", "\n").split("\n")):
            rows = [line for line in lines if line.rstrip().endswith(instance)]
            assert len(rows) == 1
            assert rows[0].startswith(printable(name))
        assert not set("\x9b\u202e\u2028\x07").intersection(piped.stdout + piped.stderr + shown)
        assert "\x1b]" not in shown
        assert all("all is well" not in line[: len("spot_connect: all is well")] for line in shown.split("\n"))
    assert not (person.directory / "pwned").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("login", INJECTED),
        ("ssh", "127.0.0.1\n    ProxyCommand touch pwned:22"),
        ("ssh", "-oProxyCommand=touch pwned:22"),
        ("filesystem", "x\ny"),
        ("profile", "x\u202ey"),
        ("successor", "i-1;id"),
    ],
    ids=["login", "place", "option", "filesystem", "profile", "successor"],
)
def test_nothing_connects_with_it_and_one_line_says_which_tag_of_which_instance_and_why(
    ec2, person, machine, instance, key, value
):
    folder = person.home / "local" / "client" / "ssh"
    before = {path: path.read_bytes() for path in folder.iterdir()}
    tagged(ec2, person, instance, **{key: value})
    for words in (("-n", machine, "-s", str(person.writes("job.sh", "true"))), ("runs", machine)):
        refused = person.types(*words)
        assert refused.returncode == 1, refused.stderr
        [line] = [line for line in refused.stderr.split("\n") if line.startswith("spot_connect: ")]
        assert machine in line
        assert instance in line
        assert f"its tag spot-connect:{key} is refused: " in line
        assert "Traceback" not in refused.stderr
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    listed = person.types("list")
    assert listed.returncode == 0
    assert f"tag spot-connect:{key} is refused" in listed.stderr
    assert person.types("terminate", instance).returncode == 0
    assert not (person.directory / "pwned").exists()


def test_the_real_client_runs_no_command_for_another_host_after_a_hostile_tag(ec2, person, machine, instance):
    include = person.types("ssh-config")
    assert include.returncode == 0
    config = person.writes("config", include.stdout)

    def openssh(host: str) -> str:
        words = ["ssh", "-G", "-F", str(config), host]
        return subprocess.run(words, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout

    unrelated = openssh("other")
    assert "proxycommand" not in unrelated
    tagged(ec2, person, instance, login=INJECTED)
    person.types("-n", machine, "-c", "true", "-reg", "us-east-1")
    assert openssh("other") == unrelated
    assert "proxycommand" not in openssh(machine)
