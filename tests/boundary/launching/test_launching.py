"""Find or launch: one machine a name, in the cheapest zone that has one, with nobody's door but ours."""

from __future__ import annotations

import signal
import threading
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qs

import pytest

from spot_connect.aws import groups, instances
from spot_connect.aws import keys as key_pairs
from spot_connect.core.errors import (
    AwsError,
    HostKeyChanged,
    InstanceNotFound,
    KeyMissing,
    NoCapacity,
    NotAuthorized,
    QuotaReached,
    UsageError,
)
from spot_connect.core.firewall import parse_rule
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.launching import connecting, doors, ending, finding, listing, preparing, trust
from spot_connect.launching.launch import launch
from spot_connect.launching.realm import Realm
from spot_connect.ssh import command
from spot_connect.ssh.host_keys import HostKey
from spot_connect.store.keys import KeyFiles
from tests.local_cloud import somebody_else


@pytest.fixture
def reached(realm, request_for, keys, heard):
    """A machine that was launched and is terminated afterwards."""
    one = connecting.reach(realm, request_for(), keys, heard)
    yield one
    one.connection.close()
    ending.terminate(realm, [one.instance])


def ended(realm, *found):
    ending.terminate(realm, found)


def zones_asked(wire):
    return [parse_qs(body)["NetworkInterface.1.SubnetId"][0] for body in wire.bodies("RunInstances")]


def tokens(wire):
    return [parse_qs(body)["ClientToken"][0] for body in wire.bodies("RunInstances")]


def test_it_launches_spot_with_its_tags_and_logs_in(reached):
    assert reached.launched
    assert reached.instance.is_spot
    assert reached.instance.tags["Name"] == reached.instance.name
    assert reached.instance.tags["spot-connect:managed"] == "true"
    assert command.run(reached.connection, "whoami").stdout == b"ec2-user\n"


def test_a_machine_that_was_launched_and_answers_is_running(reached):
    assert reached.instance.state == "running"


def test_without_capacity_the_next_dearer_zone_is_tried_with_a_new_token(realm, request_for, keys, heard, wire):
    wire.refuse("RunInstances", "InsufficientInstanceCapacity", "Unsupported")
    made = launch(realm, request_for(), keys, heard)
    assert len(set(zones_asked(wire))) == 3
    assert len(set(tokens(wire))) == 3
    assert made.subnet_id == zones_asked(wire)[-1]
    ended(realm, made)


def test_zones_are_tried_from_the_cheapest(realm, request_for, keys, heard, wire):
    wire.refuse("RunInstances", *["InsufficientInstanceCapacity"] * 50)
    with pytest.raises(NoCapacity, match="no spot capacity") as caught:
        launch(realm, request_for(), keys, heard)
    from spot_connect.aws.prices import spot_prices

    price = {each.zone: each.price for each in spot_prices(realm.cloud("us-east-1"), {"t2.micro"})}
    tried = caught.value.said.partition(" in ")[2].split(", ")
    asked = [price[zone] for zone in tried if zone in price]
    assert asked == sorted(asked)
    assert len(tried) == len(zones_asked(wire)) > 3


def test_a_server_error_is_asked_again_with_the_same_token(realm, request_for, keys, heard, wire):
    wire.refuse("RunInstances", "InternalError")
    made = launch(realm, request_for(), keys, heard)
    assert len(tokens(wire)) == 2
    assert len(set(tokens(wire))) == 1
    ended(realm, made)


@pytest.mark.parametrize(
    ("code", "kind"), [("MaxSpotInstanceCountExceeded", QuotaReached), ("UnauthorizedOperation", NotAuthorized)]
)
def test_what_another_zone_cannot_mend_stops_at_once(realm, request_for, keys, heard, wire, code, kind):
    wire.refuse("RunInstances", code)
    with pytest.raises(kind):
        launch(realm, request_for(), keys, heard)
    assert wire.calls["RunInstances"] == 1


@pytest.mark.parametrize(
    ("code", "is_told"), [("InvalidSpotInstanceRequestID.NotFound", False), ("UnauthorizedOperation", True)]
)
@pytest.mark.punctual
def test_a_request_that_cannot_be_cancelled_keeps_no_instance_running(
    realm, request_for, keys, heard, wire, code, is_told
):
    made = launch(realm, request_for(), keys, heard)
    wire.refuse("CancelSpotInstanceRequests", code)
    told = pytest.raises(AwsError, match="cancel the spot requests") if is_told else nullcontext()
    with told:
        instances.terminate(realm.cloud("us-east-1"), [made])
    assert wire.calls["TerminateInstances"] == 1
    ended(realm, made)


def test_the_private_key_is_on_disk_before_aws_hears_of_it(realm, request_for, keys, heard, wire):
    wire.refuse("ImportKeyPair", "UnauthorizedOperation")
    request = request_for()
    with pytest.raises(NotAuthorized):
        launch(realm, request, keys, heard)
    assert keys.read(f"KP-{request.name}") is not None
    made = launch(realm, request, keys, heard)
    assert made.key_name == f"KP-{request.name}"
    ended(realm, made)


def test_a_key_pair_of_another_computer_is_left_alone(realm, request_for, keys, heard, tmp_path):
    request = request_for()
    ended(realm, launch(realm, request, keys, heard))
    theirs = key_pairs.find(realm.cloud("us-east-1"), f"KP-{request.name}")
    mine = KeyFiles(tmp_path / "other computer", heard)
    made = launch(realm, request, mine, heard)
    assert made.key_name != theirs.name
    assert made.key_name.startswith(theirs.name)
    assert key_pairs.find(realm.cloud("us-east-1"), theirs.name) == theirs
    ended(realm, made)


def test_a_named_key_pair_without_its_private_half_is_refused_before_a_launch(
    realm, request_for, keys, heard, tmp_path, wire
):
    request = request_for()
    ended(realm, launch(realm, request, keys, heard))
    wire.calls.clear()
    stranger = KeyFiles(tmp_path / "other", heard)
    with pytest.raises(KeyMissing, match="private half"):
        launch(realm, replace(request, key_pair=f"KP-{request.name}"), stranger, heard)
    assert wire.calls["RunInstances"] == 0


def rules_of(realm, instance):
    [group_id] = instance.groups
    return {str(entry.rule) for entry in groups.rules(realm.cloud(instance.region), group_id)}


def test_ssh_is_open_to_our_address_alone(realm, reached):
    assert rules_of(realm, reached.instance) == {"tcp,22,22,127.0.0.1/32"}


def test_a_new_address_replaces_the_old_one_and_other_rules_stay(realm, reached, heard):
    [group_id] = reached.instance.groups
    other = parse_rule("tcp,22,22,198.51.100.9/32")
    groups.allow(realm.cloud("us-east-1"), group_id, [other], "somebody else")
    moved = Realm(local=True)
    moved.__dict__["own_address"] = "203.0.113.7"
    doors.refresh(moved, reached.instance, (), heard)
    assert rules_of(realm, reached.instance) == {"tcp,22,22,203.0.113.7/32", str(other)}


def test_a_rule_about_ssh_replaces_our_own(realm, request_for, keys, heard):
    rule = parse_rule("tcp,22,22,203.0.113.0/24")
    made = launch(realm, request_for(firewall=(rule,)), keys, heard)
    assert rules_of(realm, made) == {str(rule)}
    ended(realm, made)


def test_another_rule_stands_beside_our_own(realm, request_for, keys, heard):
    rule = parse_rule("tcp,8888,8888,0.0.0.0/0")
    made = launch(realm, request_for(firewall=(rule,)), keys, heard)
    assert rules_of(realm, made) == {str(rule), "tcp,22,22,127.0.0.1/32"}
    assert any("open to every IPv4 address" in warning for warning in heard.warnings)
    ended(realm, made)


def test_the_rules_of_a_group_of_somebody_else_are_left_alone(realm, request_for, keys, heard):
    vpc = somebody_else().describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    request = request_for(security_group="theirs")
    somebody_else().create_security_group(GroupName="theirs", Description="x", VpcId=vpc)
    made = launch(realm, request, keys, heard)
    assert list(made.groups.values()) == ["theirs"]
    assert rules_of(realm, made) == set()
    ended(realm, made)


def test_a_reconnect_takes_three_aws_calls_at_most(realm, reached, keys, heard, wire, request_for):
    wire.calls.clear()
    again = connecting.reach(realm, request_for(None, name=reached.instance.name), keys, heard)
    assert again.instance.id == reached.instance.id
    assert sum(wire.calls.values()) <= 3, wire.calls
    again.connection.close()


def test_who_may_not_read_the_rules_still_gets_in(realm, reached, keys, heard, wire, request_for):
    wire.refuse("DescribeSecurityGroupRules", "UnauthorizedOperation")
    again = connecting.reach(realm, request_for(None, name=reached.instance.name), keys, heard)
    assert command.run(again.connection, "echo in").stdout == b"in\n"
    assert any("was not brought up to date" in warning for warning in heard.warnings)
    again.connection.close()


def test_a_name_is_found_from_a_computer_that_never_saw_it(cloud_home, realm, request_for, keys, heard, monkeypatch):
    made = launch(realm, request_for(region="eu-west-1"), keys, heard)
    realm.hints.forget(made.name)
    found = finding.by_name(realm, made.name, ("us-east-1",), heard, everywhere=True)
    assert found.id == made.id
    assert found.region == "eu-west-1"
    assert realm.hints.hint(made.name) == "eu-west-1"
    ended(realm, made)


def test_the_image_belongs_to_the_region_and_the_type(realm, request_for, keys, heard):
    made = launch(realm, request_for(region="eu-west-1", instance_type="t4g.micro"), keys, heard)
    [image] = realm.cloud("eu-west-1").ec2.describe_images(ImageIds=[made.raw["ImageId"]])["Images"]
    assert image["Architecture"] == "arm64"
    ended(realm, made)


def test_without_the_parameter_the_shipped_table_names_the_image(realm, request_for, keys, heard, wire):
    wire.refuse("GetParameter", "AccessDeniedException")
    made = launch(realm, request_for(), keys, heard)
    assert made.raw["ImageId"].startswith("ami-")
    ended(realm, made)


def test_two_that_launch_at_once_get_one_machine(realm, request_for, cloud_home, heard):
    request = request_for()
    results = []

    def go():
        mine = Realm(local=True)
        results.append(connecting.reach(mine, request, mine.keys("", heard), heard))

    threads = [threading.Thread(target=go) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert len({result.instance.id for result in results}) == 1
    assert len(results) == 3
    assert [result.launched for result in results].count(True) == 1
    for result in results:
        result.connection.close()
    ended(realm, results[0].instance)


def a_second_after(instance):
    return datetime.now(timezone.utc) > instance.launched + timedelta(seconds=1)


def test_the_younger_of_two_computers_that_raced_gives_way(realm, reached, keys, heard, request_for):
    older = reached.instance
    # EC2 tells launch times in whole seconds.
    wait_for("the next second", lambda: Seen(a_second_after(older) or None), seconds=5, every=0.05)
    spec_request = request_for(name=older.name)
    younger = launch(realm, spec_request, keys, heard)
    result = connecting._open_new(realm, younger, spec_request, keys, heard)
    assert result.instance.id == older.id
    assert not result.launched
    assert finding.again(realm, [younger])[younger.id].state in ("shutting-down", "terminated")
    result.connection.close()


def test_nothing_runs_under_the_name_and_nothing_is_launched(realm, request_for, keys, heard, wire):
    with pytest.raises(InstanceNotFound, match="Launch it with a profile"):
        connecting.reach(realm, request_for(None), keys, heard)
    assert wire.calls["RunInstances"] == 0


def test_an_instance_id_in_place_of_a_name_is_that_machine_and_nothing_is_launched(
    realm, reached, request_for, keys, heard
):
    again = connecting.reach(realm, request_for(None, name=reached.instance.id), keys, heard)
    assert again.instance.name == reached.instance.name
    again.connection.close()
    with pytest.raises(UsageError, match="that is an instance id"):
        connecting.reach(realm, request_for(name=reached.instance.id), keys, heard)


def test_advice_on_a_rehearsal_leads_to_a_rehearsal(realm, request_for, keys, heard):
    with pytest.raises(InstanceNotFound, match=r"spot_connect --local -n 'no such vm' -p t2\.micro"):
        connecting.reach(realm, request_for(None, name="no such vm"), keys, heard)
    with pytest.raises(InstanceNotFound, match=r"Nothing was changed. See `spot_connect --local list`"):
        ending.terminate_names(realm, ["i-notebook"], "us-east-1", heard)


@pytest.mark.punctual
def test_an_instance_of_an_old_launch_group_is_found(realm, keys, heard, request_for):
    cloud = realm.cloud("us-east-1")
    request = request_for()
    files = keys.create(f"KP-{request.name}")
    key_pairs.put(cloud, f"KP-{request.name}", files.public_line, doors.MANAGED)
    image = cloud.client("ssm").get_parameter(
        Name="/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    )["Parameter"]["Value"]
    somebody_else().request_spot_instances(
        LaunchGroup=request.name,
        InstanceCount=1,
        SpotPrice="0.01",
        LaunchSpecification={"ImageId": image, "InstanceType": "t2.micro", "KeyName": f"KP-{request.name}"},
    )
    found = finding.by_name(realm, request.name, ("us-east-1",), heard, everywhere=False)
    assert found is not None
    assert found.key_name == f"KP-{request.name}"
    ended(realm, found)


def test_the_host_key_is_compared_with_the_console_and_pinned(realm, reached, heard):
    assert realm.pins.is_verified(reached.instance.id)
    assert not heard.warnings
    stranger = HostKey("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIO1qW1N5jQmXo0cXQ2h8sZb0bM6uTqk3mS0mVf6r1sVh")
    with pytest.raises(HostKeyChanged):
        trust.HostKeyCheck(realm, reached.instance, heard, fresh=False)(stranger)


def test_a_first_key_that_the_console_contradicts_is_refused(realm, reached, heard):
    realm.pins.forget(reached.instance.id)
    stranger = HostKey("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIO1qW1N5jQmXo0cXQ2h8sZb0bM6uTqk3mS0mVf6r1sVh")
    with pytest.raises(HostKeyChanged, match="console"):
        trust.HostKeyCheck(realm, reached.instance, heard, fresh=False)(stranger)
    # What the console shows is pinned instead, so that OpenSSH refuses the stranger, too.
    assert stranger not in trust.pinned(realm, reached.instance)
    assert realm.pins.is_verified(reached.instance.id)


def test_without_a_console_the_key_is_taken_with_a_warning_and_compared_later(realm, reached, heard, wire):
    [key] = trust.pinned(realm, reached.instance)
    realm.pins.forget(reached.instance.id)
    wire.refuse("GetConsoleOutput", "UnauthorizedOperation")
    trust.HostKeyCheck(realm, reached.instance, heard, fresh=False)(key)
    assert any("first sight" in warning for warning in heard.warnings)
    assert not realm.pins.is_verified(reached.instance.id)
    trust.HostKeyCheck(realm, reached.instance, heard, fresh=False)(key)
    assert realm.pins.is_verified(reached.instance.id)


def test_the_list_tells_price_and_cost(realm, reached):
    later = reached.instance.launched + timedelta(hours=2)
    [line] = [
        line for line in listing.machines(realm, ["us-east-1"], now=later) if line.instance.id == reached.instance.id
    ]
    assert line.price > 0
    assert line.age == timedelta(hours=2)
    assert line.cost == pytest.approx(2 * line.price)


def test_termination_frees_the_name_and_forgets_the_pin(realm, request_for, keys, heard):
    request = request_for()
    first = connecting.reach(realm, request, keys, heard)
    first.connection.close()
    ending.terminate_names(realm, [request.name], "", heard)
    assert realm.pins.read(first.instance.id) == ()
    second = connecting.reach(realm, request, keys, heard)
    assert second.instance.id != first.instance.id
    second.connection.close()
    ended(realm, second.instance)


def test_an_unknown_type_is_refused_before_anything_is_made(realm, request_for, keys, heard, wire):
    request = request_for(instance_type="t2.gigantic")
    with pytest.raises(AwsError, match="gigantic"):
        launch(realm, request, keys, heard)
    assert wire.calls["ImportKeyPair"] == wire.calls["CreateSecurityGroup"] == 0


def test_an_image_for_another_architecture_is_refused_before_anything_is_made(realm, request_for, keys, heard, wire):
    from spot_connect.store import tables

    arm = tables.default_image("us-east-1", "arm64")
    with pytest.raises(UsageError, match="arm64"):
        launch(realm, request_for(image_id=arm.id), keys, heard)
    assert wire.calls["ImportKeyPair"] == wire.calls["CreateSecurityGroup"] == 0


def test_ctrl_c_while_it_boots_terminates_what_was_launched(realm, request_for, keys, heard, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(connecting, "wait_until_ready", interrupted)
    request = request_for()
    with pytest.raises(KeyboardInterrupt):
        connecting.reach(realm, request, keys, heard)
    assert instances.named(realm.cloud("us-east-1"), request.name) == ()
    assert any("terminated again" in note for note in heard.notes)


def test_ctrl_c_while_aws_launches_waits_for_the_answer_and_terminates_it(realm, request_for, keys, heard, monkeypatch):
    asked = instances.launch

    def slow(*arguments, **options):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return asked(*arguments, **options)

    monkeypatch.setattr(instances, "launch", slow)
    request = request_for()
    with pytest.raises(KeyboardInterrupt):
        connecting.reach(realm, request, keys, heard)
    assert instances.named(realm.cloud("us-east-1"), request.name) == ()
    assert any("terminated again" in note for note in heard.notes)


def test_ctrl_c_right_after_the_launch_terminates_what_was_launched(realm, request_for, keys, heard, monkeypatch):
    def interrupted(text):
        if text.startswith("launched"):
            raise KeyboardInterrupt
        heard.notes.append(text)

    monkeypatch.setattr(heard, "note", interrupted)
    request = request_for()
    with pytest.raises(KeyboardInterrupt):
        connecting.reach(realm, request, keys, heard)
    assert instances.named(realm.cloud("us-east-1"), request.name) == ()
    assert any("terminated again" in note for note in heard.notes)


@pytest.mark.parametrize(
    ("text", "warned"), [("echo hello\n", 1), ("#!/bin/sh\necho hello\n", 0), ("#cloud-config\npackages: [git]\n", 0)]
)
def test_user_data_that_would_never_run_is_told_before_the_launch(realm, request_for, keys, heard, text, warned):
    preparing.prepare(realm, request_for(user_data=text), keys, heard)
    assert sum("cloud-init ignores it" in warning for warning in heard.warnings) == warned


def test_a_type_that_amazon_linux_2023_does_not_start_on_gets_an_image_that_it_starts(realm, request_for, keys, heard):
    for profile in ("a1.medium", "t4g.nano"):
        changes = {"instance_type": "a1.medium"} if profile != "a1.medium" else {}
        prepared = preparing.prepare(realm, request_for(profile, **changes), keys, heard)
        assert "ubuntu" in prepared.spec.image.name.lower()
        assert prepared.spec.username == "ubuntu"


def test_an_image_that_the_type_does_not_start_is_refused_before_anything_is_made(
    realm, request_for, keys, heard, wire
):
    image = realm.profiles.get("t4g.nano").image_id
    with pytest.raises(UsageError, match=r"does not start on a1\.medium"):
        preparing.prepare(realm, request_for("a1.medium", image_id=image), keys, heard)
    assert not wire.calls["CreateSecurityGroup"] + wire.calls["ImportKeyPair"]
