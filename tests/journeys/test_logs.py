"""User data that runs at the first boot, and the log of what it printed."""

from __future__ import annotations

import json

import pytest

from spot_connect import bash_scripts
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.local import service
from tests.local_cloud import LocalCloud

SCRIPT = "#!/bin/bash\necho it runs as $(id -un)\necho made >/tmp/made\n"


def ec2(home):
    return LocalCloud(home, service.ensure_up(home)).client("ec2")


def instance_of(person, name):
    listed = json.loads(person.types("list", "--json").stdout)
    return next((one for one in listed if one["name"] == name), None)


@pytest.fixture
def prepared(person, name):
    """An instance that was launched with user data from a file, which has run."""
    person.writes("setup.sh", SCRIPT)
    person.writes("wait.sh", "cloud-init status --wait >/dev/null; cat /tmp/made\n")
    launched = person.types("-n", name, "-p", "t2.micro", "-ud", "setup.sh", "-s", "wait.sh")
    assert launched.returncode == 0, launched.stderr
    assert launched.stdout == "made\n"
    return name


def test_user_data_arrives_runs_and_is_told_by_its_log(person, prepared):
    shown = person.types("logs", prepared, "--cloud-init")
    assert shown.returncode == 0, shown.stderr
    assert "it runs as" in shown.stdout
    assert "Cloud-init" in shown.stdout
    told = ec2(person.home).describe_instance_attribute(
        InstanceId=instance_of(person, prepared)["id"], Attribute="userData"
    )
    assert told["UserData"]["Value"] == bash_scripts.script_to_userdata(SCRIPT)


def test_it_follows_until_interrupted(person, prepared):
    child = person.sits_at("logs", prepared, "--cloud-init", "-f")
    child.expect("it runs as")
    child.sendintr()
    child.expect("interrupted")
    child.wait()
    assert child.exitstatus == 130


def test_without_the_key_the_console_of_ec2_is_shown(person, prepared, tmp_path):
    shown = person.types("logs", prepared, "--cloud-init", "-kd", str(tmp_path / "empty"))
    assert shown.returncode == 0, shown.stderr
    assert "is not on this computer. This is the console as EC2 keeps it" in shown.stderr
    assert "SSH HOST KEY" in shown.stdout


def test_an_unknown_name_is_an_error(person):
    shown = person.types("logs", "nobody", "--cloud-init")
    assert shown.returncode == 1
    assert "cannot show what nobody printed" in shown.stderr
    unknown = person.types("logs", "i-0123456789abcdef0", "--cloud-init")
    assert unknown.returncode == 1


def test_without_a_run_there_is_no_log_to_show(person, machine):
    shown = person.types("logs", machine)
    assert shown.returncode == 1
    assert f"nothing was run detached on {machine}" in shown.stderr


def test_the_log_of_a_run_is_not_that_of_the_first_boot(person, name):
    shown = person.types("logs", name, "20261125-074501-9f3a", "--cloud-init")
    assert shown.returncode == 2
    assert "both asked for" in shown.stderr


def test_user_data_over_16_kb_is_refused_before_anything_is_made(person, name):
    person.writes("long.sh", "#!/bin/bash\n" + "#" * 16384)
    launched = person.types("-n", name, "-p", "t2.micro", "-ud", "long.sh")
    assert launched.returncode == 2
    assert "16384" in launched.stderr
    assert instance_of(person, name) is None


def test_an_instance_ends_itself_after_its_work(person, name):
    text = bash_scripts.init_userdata_script()
    text = bash_scripts.shutdown_instance_after_command("echo working; exit 3", "/tmp/job.log", script=text)
    person.writes("setup.sh", bash_scripts.script_to_userdata(text.replace("echo working", "sleep 5; echo working")))
    launched = person.types("-n", name, "-p", "t2.micro", "-ud", "setup.sh")
    assert launched.returncode == 0, launched.stderr
    instance_id = instance_of(person, name)["id"]

    def look():
        told = ec2(person.home).describe_instances(InstanceIds=[instance_id])
        state = told["Reservations"][0]["Instances"][0]["State"]["Name"]
        return Seen(state if state == "terminated" else None, state)

    wait_for("end of the instance", look, seconds=40, every=0.2)


def test_user_data_that_is_no_text_is_refused_before_anything_is_made(person, name):
    person.writes("data.sh", "").write_bytes(b"#!/bin/sh\n\xff\xfe\n")
    launched = person.types("-n", name, "-p", "t2.micro", "-ud", "data.sh")
    assert launched.returncode == 2
    assert "not UTF-8" in launched.stderr
    assert instance_of(person, name) is None
