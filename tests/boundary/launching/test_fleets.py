"""Fleets against the local cloud: launched, named, refreshed and cancelled."""

from __future__ import annotations

import re
import signal
import threading
from decimal import Decimal

import pytest
from botocore.awsrequest import AWSResponse

from spot_connect.aws import fleets as fleet_calls
from spot_connect.aws import instances
from spot_connect.core.errors import AwsError, NoCapacity, NotAuthorized, PriceTooLow, QuotaReached, UsageError
from spot_connect.core.fleets import FLEET_TAG
from spot_connect.core.names import FILE_SYSTEM_TAG, LOGIN_TAG, MANAGED_TAG
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.launching.connecting import open_line
from spot_connect.launching.fleets import cancel_fleet, find_fleet, fleet_instances, launch_fleet, refresh_fleet
from spot_connect.ssh.command import run_commands
from tests.local_cloud import somebody_else

REFUSED = """<CreateFleetResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>x</requestId>
<fleetId>{}</fleetId><errorSet>{}</errorSet>
<fleetInstanceSet>{}</fleetInstanceSet></CreateFleetResponse>"""
GIVEN = """<item><instanceIds><item>{}</item></instanceIds><instanceType>t3.micro</instanceType></item>"""
ERROR = """<item><errorCode>{}</errorCode><errorMessage>injected</errorMessage><lifecycle>spot</lifecycle>
<launchTemplateAndOverrides><overrides><instanceType>t3.micro</instanceType></overrides>
</launchTemplateAndOverrides></item>"""


@pytest.fixture
def launched(realm, keys, heard, request_for):
    made = []

    def launched(request=None, **options):
        request = request or request_for("t3.micro")
        made.append(launch_fleet(realm, request, keys, heard, **options))
        return made[-1]

    yield launched
    for fleet in made:
        cancel_fleet(realm, fleet, heard)


def templates(realm):
    found = somebody_else().describe_launch_templates()["LaunchTemplates"]
    return {template["LaunchTemplateId"] for template in found}


@pytest.fixture
def answering(realm):
    """Let CreateFleet answer 200 with errors, and with the instances in ``given`` that are those of ``fleet_id``."""
    events = realm.cloud("us-east-1").ec2_once.meta.events
    registered = []

    def answering(*codes, given=(), fleet_id="fleet-00000000-0000-0000-0000-000000000000"):
        def send(request, **_):
            text = REFUSED.format(fleet_id, "".join(map(ERROR.format, codes)), "".join(map(GIVEN.format, given)))
            return AWSResponse(request.url, 200, {}, _Raw(text.encode()))

        events.register_first("before-send.ec2.CreateFleet", send)
        registered.append(send)

    yield answering
    for send in registered:
        events.unregister("before-send.ec2.CreateFleet", send)


class _Raw:
    def __init__(self, body):
        self._body = body

    def stream(self, **_):
        yield self._body


def test_its_instances_have_names_tags_and_one_door(realm, launched, request_for):
    before = templates(realm)
    request = request_for("t3.micro", user_data="#!/bin/sh\n")
    fleet = launched(request, count=3)
    assert [one.name for one in fleet.instances] == [f"{request.name}_{number}" for number in range(3)]
    assert fleet.errors == ()
    assert templates(realm) == before
    for one in instances.tagged(realm.cloud("us-east-1"), FLEET_TAG, [request.name]):
        assert one.tags["Name"] == request.name
        assert one.tags[MANAGED_TAG] == "true"
        assert one.tags[LOGIN_TAG] == "ec2-user"
        assert one.is_spot
        assert one.key_name == f"KP-{request.name}"
        assert list(one.groups.values()) == [f"SG-{request.name}"]
    found = instances.named(realm.cloud("us-east-1"), f"{request.name}_1")
    assert [one.id for one in found] == [fleet.ids[1]]


@pytest.mark.punctual
def test_one_call_launches_all_and_the_price_is_told_before_and_after(wire, launched, heard):
    launched(count=4)
    assert "an hour in all" in heard.steps[-1]
    assert re.fullmatch(r"launched 4 of 4 .*: 4 t3.micro in \S+, \$\d\S* an hour in all", heard.notes[-1])
    assert wire.calls["CreateFleet"] == 1
    assert wire.calls["CreateTags"] == 1
    assert wire.calls["DescribeInstances"] <= 3
    assert wire.calls["RunInstances"] == 0
    assert wire.calls["RequestSpotFleet"] == 0


def test_a_member_is_found_by_name_in_one_call_and_nobody_else_is(realm, wire, launched, request_for):
    request = request_for("t3.micro", filesystem="kept")
    fleet = launched(request, count=2)
    cloud = realm.cloud("us-east-1")
    before = wire.calls["DescribeInstances"]
    [found] = instances.named(cloud, f"{request.name}_1")
    assert wire.calls["DescribeInstances"] - before == 1
    assert (found.id, found.tags[FILE_SYSTEM_TAG]) == (fleet.ids[1], "kept")
    for other in (request.name, f"{request.name}_2", f"{request.name}_", f"{request.name}_*", f"{request.name[:-1]}*"):
        assert instances.named(cloud, other) == ()


def test_one_that_has_ended_is_remembered_by_its_name(realm, launched, request_for):
    request = request_for("t3.micro")
    fleet = launched(request, count=2)
    instances.terminate(realm.cloud("us-east-1"), fleet.instances[1:])
    assert instances.ended(realm.cloud("us-east-1"), f"{request.name}_1").id == fleet.ids[1]
    assert instances.ended(realm.cloud("us-east-1"), f"{request.name}_0") is None


def test_an_instance_of_it_can_be_logged_in_to_and_has_its_user_data(realm, launched, keys, heard, request_for):
    fleet = launched(request_for("t3.micro", user_data="#!/bin/sh\necho made >/tmp/made\n"), count=1)
    request = request_for(None, name=fleet.instances[0].name)
    with open_line(realm, fleet.instances[0], request, keys, heard, fresh=True) as line:
        done = run_commands(line, "cloud-init status --wait >/dev/null; cat /tmp/made", capture=True)
    assert done.stdout == b"made\n"


def test_the_cheapest_of_several_types_is_taken(launched, request_for):
    fleet = launched(request_for("c5.4xlarge"), count=2, types=["t3.micro", "c5.large"])
    assert {one.type for one in fleet.instances} == {"t3.micro"}


def test_types_of_two_architectures_are_refused_before_anything_is_launched(realm, wire, launched):
    with pytest.raises(UsageError, match="t4g"):
        launched(count=2, types=["t4g.micro"])
    assert not wire.calls["CreateLaunchTemplate"]


@pytest.mark.parametrize("count", [0, -1, 1001, 2.0, True, "3"])
def test_a_count_that_makes_no_sense_is_refused(launched, wire, count):
    with pytest.raises(UsageError):
        launched(count=count)
    assert not wire.calls


@pytest.mark.punctual
def test_a_fleet_that_runs_is_not_launched_twice(realm, wire, launched, request_for):
    request = request_for("t3.micro")
    launched(request, count=1)
    with pytest.raises(UsageError, match=f"{request.name}_0"):
        launched(request, count=2)
    assert wire.calls["CreateFleet"] == 1


def test_a_name_that_a_machine_has_is_not_given_again(realm, wire, launched, request_for, keys, heard):
    from spot_connect.launching import ending
    from spot_connect.launching.launch import launch

    request = request_for("t3.micro")
    made = launch(realm, request_for("t3.micro", name=f"{request.name}_1"), keys, heard)
    with pytest.raises(UsageError, match=f"{request.name}_1"):
        launched(request, count=2)
    ending.terminate(realm, [made])


@pytest.mark.parametrize(
    ("codes", "error"),
    [
        (["UnfulfillableCapacity", "InsufficientInstanceCapacity"], NoCapacity),
        (["InsufficientInstanceCapacity", "UnauthorizedOperation"], NotAuthorized),
        (["MaxSpotInstanceCountExceeded", "UnfulfillableCapacity"], QuotaReached),
        (["SpotMaxPriceTooLow"], PriceTooLow),
        (["InvalidParameterValue"], AwsError),
    ],
)
def test_an_answer_of_errors_alone_is_an_error(realm, launched, answering, codes, error):
    before = templates(realm)
    answering(*codes)
    with pytest.raises(error, match="injected"):
        launched(count=2)
    assert templates(realm) == before


def test_part_of_what_was_asked_for_is_told_pool_by_pool(launched, answering, heard):
    first = launched(count=1)
    [instance_id] = first.ids
    answering("InsufficientInstanceCapacity", "UnfulfillableCapacity", given=[instance_id], fleet_id=first.id)
    fleet = launched(count=3)
    assert fleet.ids == (instance_id,)
    assert [one.code for one in fleet.errors] == ["InsufficientInstanceCapacity", "UnfulfillableCapacity"]
    assert "no t3.micro in any zone: injected (InsufficientInstanceCapacity)" in heard.notes
    assert heard.warnings[-1].startswith("2 instances of")


def test_a_maximum_price_holds_for_every_type(launched, request_for):
    fleet = launched(request_for("t3.micro", price=Decimal("0.02")), count=1, types=["c5.24xlarge"])
    assert {one.type for one in fleet.instances} == {"t3.micro"}


def test_the_template_goes_even_when_aws_refuses(realm, wire, launched):
    before = templates(realm)
    wire.refuse("CreateFleet", "UnauthorizedOperation")
    with pytest.raises(NotAuthorized):
        launched(count=1)
    assert templates(realm) == before


def test_a_lost_answer_makes_no_second_fleet(realm, wire, launched):
    wire.refuse("CreateFleet", "InternalError")
    fleet = launched(count=2)
    tokens = {re.search("ClientToken=([^&]+)", str(body)).group(1) for body in wire.bodies("CreateFleet")}
    assert len(tokens) == 1
    assert len(fleet_instances(realm, fleet)) == 2


def test_instances_that_cannot_be_named_are_ended_again(realm, wire, launched, request_for):
    request = request_for("t3.micro")
    wire.refuse("CreateTags", "UnauthorizedOperation")
    with pytest.raises(NotAuthorized):
        launched(request, count=2)
    assert instances.tagged(realm.cloud("us-east-1"), FLEET_TAG, [request.name]) == ()


def test_ctrl_c_while_aws_launches_ends_the_whole_fleet(realm, launched, request_for, monkeypatch):
    asked = fleet_calls.launch

    def slow(*arguments, **options):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return asked(*arguments, **options)

    monkeypatch.setattr(fleet_calls, "launch", slow)
    request = request_for("t3.micro")
    with pytest.raises(KeyboardInterrupt):
        launched(request, count=2)
    assert instances.tagged(realm.cloud("us-east-1"), FLEET_TAG, [request.name]) == ()


def test_any_computer_finds_the_fleet(realm, launched, request_for):
    request = request_for("t3.micro")
    fleet = launched(request, count=2)
    found = find_fleet(realm, request.name, "us-east-1")
    assert (found.id, found.ids, found.count, found.maintained) == (fleet.id, fleet.ids, 2, False)
    assert find_fleet(realm, "no such fleet", "us-east-1") is None


def test_an_instant_fleet_replaces_nothing(realm, launched, heard, request_for):
    fleet = launched(count=2)
    instances.terminate(realm.cloud("us-east-1"), fleet.instances[:1])
    now = refresh_fleet(realm, fleet, heard)
    assert now.ids == fleet.ids[1:]
    assert now.lost == (fleet.instances[0].name,)
    assert now.moved == ()


def test_a_replacement_takes_over_the_name(realm, launched, heard):
    before = templates(realm)
    fleet = launched(count=2, maintain=True)
    assert len(templates(realm) - before) == 1
    gone = fleet.instances[0]
    instances.terminate(realm.cloud("us-east-1"), [gone])

    def look():
        now = refresh_fleet(realm, fleet, heard)
        return Seen(now if now.moved else None, str(now.lost))

    now = wait_for("replacement", look, seconds=20, every=0.2)
    [move] = now.moved
    assert (move.name, move.old) == (gone.name, gone.id)
    assert [one.name for one in now.instances] == [one.name for one in fleet.instances]
    assert [one.id for one in instances.named(realm.cloud("us-east-1"), gone.name)] == [move.new]
    assert refresh_fleet(realm, now, heard).moved == ()
    cancel_fleet(realm, now, heard)
    assert templates(realm) == before
    assert fleet_instances(realm, now) == ()


def test_cancelling_ends_everything_and_may_be_repeated(realm, wire, launched, heard, request_for):
    request = request_for("t3.micro")
    fleet = launched(request, count=2)
    assert {one.id for one in cancel_fleet(realm, fleet, heard)} == set(fleet.ids)
    assert cancel_fleet(realm, fleet, heard) == ()
    assert instances.tagged(realm.cloud("us-east-1"), FLEET_TAG, [request.name]) == ()


def test_what_outlives_its_fleet_is_ended_too(realm, launched, heard):
    fleet = launched(count=1)
    somebody_else().delete_tags(Resources=list(fleet.ids), Tags=[{"Key": "aws:ec2:fleet-id"}])
    realm.cloud("us-east-1").ec2.delete_fleets(FleetIds=[fleet.id], TerminateInstances=True)
    cancel_fleet(realm, fleet, heard)
    found = instances.by_ids(realm.cloud("us-east-1"), fleet.ids)
    assert {one.state for one in found} <= {"shutting-down", "terminated"}
