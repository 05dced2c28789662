"""Where a machine is launched and what tags it gets, as a person types it."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.boundary.launching.networks import OwnVpc
from tests.journeys.conftest import SCRIPT
from tests.local_cloud import somebody_else

NOWHERE = "subnet-0123456789abcdef0"
LAUNCH = ("-p", "t2.micro")


@pytest.fixture
def ec2(cloud_home, monkeypatch):
    monkeypatch.setenv("SPOT_CONNECT_HOME", str(cloud_home))
    return somebody_else()


def live(ec2, name):
    """The live instances of that name, or of that fleet."""
    states = {"Name": "instance-state-name", "Values": ["pending", "running"]}
    pages = ec2.get_paginator("describe_instances").paginate(Filters=[states])
    found = [one for page in pages for each in page["Reservations"] for one in each["Instances"]]
    return [one for one in found if name in (tags(one)["spot-connect:name"], tags(one).get("spot-connect:fleet"))]


def tags(one):
    return {tag["Key"]: tag["Value"] for tag in one["Tags"]}


def everything(ec2):
    """The ids of all that a launch makes."""
    return (
        {one["KeyName"] for one in ec2.describe_key_pairs()["KeyPairs"]},
        {one["GroupId"] for one in ec2.describe_security_groups()["SecurityGroups"]},
        {one["InstanceId"] for each in ec2.describe_instances()["Reservations"] for one in each["Instances"]},
    )


def test_it_is_launched_in_the_subnet_that_was_named_with_the_tags_that_were_given(person, name, ec2):
    vpc = OwnVpc(ec2)
    vpc.subnet(public=True)
    subnet = vpc.subnet(public=True)
    person.environment["SPOT_CONNECT_TAGS"] = "project=x,team=web"
    words = ("--subnet", subnet, "--tag", "team=ml", "--tag", "cost center=42=a")
    launched = person.types("-n", name, *LAUNCH, *words, "-c", "echo in")
    assert (launched.returncode, launched.stdout) == (0, "in\n"), launched.stderr
    [one] = live(ec2, name)
    assert one["SubnetId"] == subnet
    assert {"project": "x", "team": "ml", "cost center": "42=a"}.items() <= tags(one).items()


def test_when_the_internet_does_not_reach_the_subnet_it_says_so_before_it_launches(person, ec2, name):
    subnet = OwnVpc(ec2).subnet(public=False)
    said = []
    words = [SCRIPT, "-n", name, *LAUNCH, "--subnet", subnet]
    with subprocess.Popen(words, env=person.environment, text=True, stderr=subprocess.PIPE) as process:
        for line in process.stderr:
            said.append(line)
            if f"waiting for {name}" in line:
                break
        # It would be waited for until it is clear that nobody answers.
        process.terminate()
        process.stderr.read()
    [warned] = [
        place for place, line in enumerate(said) if f"{name} can hardly be reached: the subnet {subnet}" in line
    ]
    assert "--subnet" in said[warned]
    assert warned < next(place for place, line in enumerate(said) if "launching" in line)
    assert live(ec2, name) == []


def test_what_cannot_be_is_one_line_and_nothing_is_made(person, ec2, name):
    subnet = OwnVpc(ec2).subnet(public=True)
    group = OwnVpc(ec2).group(f"of-{name}"[:60])
    before = everything(ec2)
    for words, status, said in (
        (("--subnet", NOWHERE), 4, f"cannot find the subnet {NOWHERE}"),
        (("--subnet", subnet, "-sg", group), 2, "another VPC"),
        (("--subnet", "vpc-1"), 2, "subnet-0123456789abcdef0"),
        (("--tag", "team"), 2, "key=value"),
        (("--tag", "aws:team=ml"), 2, "aws:"),
        (("--tag", "team=a#b", "-f", "kept"), 2, "EFS"),
    ):
        refused = person.types("-n", name, *LAUNCH, *words)
        assert refused.returncode == status, refused.stderr
        assert said in refused.stderr
        lines = [line for line in refused.stderr.splitlines() if not line.startswith("LOCAL looking up")]
        assert len(lines) <= 2
        assert "Traceback" not in refused.stderr
    assert everything(ec2) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--subnet", "here"), "subnet-0123456789abcdef0"),
        (("--tag", "Name=x"), "-n"),
        (("--tag", "spot-connect:name=x"), "spot-connect:"),
        (("--tag", f"{'k' * 129}=x"), "128"),
        (("--tag", f"k={'v' * 257}"), "256"),
        (("--tag", "k=a\x1b[2Jb"), "control"),
        (("--tag", "k=a", "--tag", "k=b"), "twice"),
        ([word for number in range(60) for word in ("--tag", f"k{number}=")], "50"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_without_an_account_it_is_refused_too_for_nothing_is_asked(stranger, words, said):
    refused = stranger.types("-n", "vm1", *LAUNCH, *words)
    assert refused.returncode == 2, refused.stderr
    assert said in refused.stderr
    assert "\x1b" not in refused.stderr
    assert not list(stranger.home.rglob("*.pem"))


def test_a_wrong_setting_is_named_and_keeps_nobody_from_ending_machines(person, machine):
    person.environment["SPOT_CONNECT_TAGS"] = "team"
    refused = person.types("-n", machine, *LAUNCH)
    assert refused.returncode == 2
    assert "SPOT_CONNECT_TAGS" in refused.stderr
    ended = person.types("terminate", machine)
    assert ended.returncode == 0, ended.stderr


def test_on_a_running_machine_they_are_said_to_be_ignored(person, machine):
    told = person.types("-n", machine, "--subnet", NOWHERE, "--tag", "team=ml")
    assert told.returncode == 0, told.stderr
    assert "subnet, tags" in told.stderr


def test_jobs_run_in_the_subnet_that_was_named_with_the_tags_that_were_given(person, name, ec2):
    prefix = f"j-{name[-20:]}"
    subnet = OwnVpc(ec2).subnet(public=True)
    person.writes("job.sh", "echo done\n")
    words = ("-p", "t3.micro", "-s", "job.sh", "--subnet", subnet, "--tag", "team=ml", "--detach", "True", "--json")
    begun = person.types("jobs", "run", prefix, *words)
    try:
        assert json.loads(begun.stdout), begun.stderr
        [one] = live(ec2, prefix)
        assert one["SubnetId"] == subnet
        assert tags(one)["team"] == "ml"
    finally:
        person.types("jobs", "close", prefix)
        person.types("terminate", f"{prefix}_0")
