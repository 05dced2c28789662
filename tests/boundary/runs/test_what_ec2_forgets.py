"""EC2 forgets the group, the subnet and the rights of a machine that has ended; what takes its place has them all."""

from __future__ import annotations

import threading
import uuid

import pytest

from spot_connect import sutils
from spot_connect.core.errors import AwsError, TagRefused
from spot_connect.launching import finding, replacing
from spot_connect.launching.realm import Realm
from spot_connect.spotted import SpotInstance
from tests.boundary.launching.networks import OwnVpc
from tests.boundary.runs.conftest import interrupt, until
from tests.local_cloud import somebody_else

REGION = "us-east-1"
TAGS = {"team": "ml"}
HANGS_AT_FIRST = 'mark="$SPOT_CONNECT_CHECKPOINT_DIR/mark"; [ -e "$mark" ] || { touch "$mark"; echo begun; sleep 600; }'


@pytest.fixture
def ec2():
    return somebody_else()


@pytest.fixture
def named(ec2):
    """What a user names at the launch: the best of two subnets' neighbour, a group beside it, and rights."""
    vpc, name = OwnVpc(ec2), f"spot-connect-{uuid.uuid4().hex[:8]}"
    vpc.subnet("us-east-1a", public=True)
    subnet = vpc.subnet("us-east-1a", public=True)
    sutils.create_instance_profile(name, "AmazonS3ReadOnlyAccess", local=True)
    return {"subnet": subnet, "security_group": vpc.group(name), "instance_profile": name, "tags": TAGS}


def has_it_all(one, named):
    return (
        one.subnet_id == named["subnet"]
        and list(one.groups) == [named["security_group"]]
        and one.raw["IamInstanceProfile"]["Arn"].endswith(f"/{named['instance_profile']}")
        and TAGS.items() <= one.tags.items()
    )


def ended(vm):
    until("its end", lambda: vm.refresh_instance(verbose=False) == "terminated")
    assert not vm.seen.groups
    assert not vm.seen.subnet_id
    assert "IamInstanceProfile" not in vm.seen.raw


@pytest.mark.parametrize("how", ["with a notice", "without a notice"])
def test_a_run_goes_on_on_a_machine_with_all_that_was_named(launched, named, how):
    vm = launched(filesystem=f"kept-{uuid.uuid4().hex[:8]}", **named)
    first = vm.id
    run = vm.run(HANGS_AT_FIRST, cmd=True, detach=True, resume=True)
    until("its first attempt", lambda: b"begun" in run.log())
    threading.Timer(1, interrupt, (vm, 6 if how == "with a notice" else 0)).start()
    assert run.wait(120) == 0
    assert vm.id != first
    assert has_it_all(vm.seen, named)


def test_a_machine_that_has_ended_is_followed_by_one_with_all_that_was_named(launched, named, heard):
    vm = launched(**named)
    interrupt(vm, 0)
    ended(vm)
    again = SpotInstance(vm.name, local=True, reporter=heard, again=True)
    try:
        assert again.id != vm.id
        assert has_it_all(again.seen, named)
        assert again.run("echo in", cmd=True, return_output=True) == "in\n"
        [note] = [note for note in heard.notes if named["instance_profile"] in note]
        assert "as the tags of that one say" in note
    finally:
        again.terminate()


def test_and_so_is_the_one_that_follows_that(launched, named, heard):
    vm = launched(**named)
    for _ in range(2):
        interrupt(vm, 0)
        ended(vm)
        vm = SpotInstance(vm.name, local=True, reporter=heard, again=True)
        assert has_it_all(vm.seen, named)
    vm.terminate()


def test_one_that_nothing_was_named_for_follows_in_its_own_group_wherever_there_is_room(launched, heard):
    vm = launched()
    before = dict(vm.seen.groups)
    interrupt(vm, 0)
    ended(vm)
    again = SpotInstance(vm.name, local=True, reporter=heard, again=True)
    try:
        assert again.seen.groups == before
        assert "IamInstanceProfile" not in again.seen.raw
        assert not any(key in again.seen.tags for key in ("spot-connect:group", "spot-connect:subnet"))
    finally:
        again.terminate()


def test_a_group_that_is_gone_is_said_before_anything_is_launched(launched, named, ec2, heard):
    vm = launched(**named)
    interrupt(vm, 0)
    ended(vm)
    ec2.delete_security_group(GroupId=named["security_group"])
    with pytest.raises(AwsError, match=named["security_group"]):
        SpotInstance(vm.name, local=True, reporter=heard, again=True)


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("spot-connect:group", "sg-1; id"),
        ("spot-connect:subnet", "subnet-../x"),
        ("spot-connect:instance-profile", "arn:aws:iam::1:instance-profile/x"),
    ],
)
def test_what_does_not_belong_into_these_tags_launches_nothing(launched, ec2, heard, tag, value):
    vm = launched()
    ec2.create_tags(Resources=[vm.id], Tags=[{"Key": tag, "Value": value}])
    interrupt(vm, 0)
    ended(vm)
    with pytest.raises(TagRefused, match=tag):
        SpotInstance(vm.name, local=True, reporter=heard, again=True)


def test_while_a_machine_lives_what_ec2_tells_of_it_counts_and_not_its_tags(launched, named, ec2):
    vm = launched()
    lies = {
        "spot-connect:group": named["security_group"],
        "spot-connect:subnet": named["subnet"],
        "spot-connect:instance-profile": named["instance_profile"],
    }
    ec2.create_tags(Resources=[vm.id], Tags=[{"Key": key, "Value": value} for key, value in lies.items()])
    realm = Realm(local=True)
    [now] = finding.again(realm, [vm.seen]).values()
    request = replacing.request_like(realm, now)
    assert (request.security_group, request.subnet, request.instance_profile) == ("", "", "")
