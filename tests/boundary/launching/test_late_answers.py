"""Launching where AWS has not heard yet of what was made moments ago: nothing twice, and nothing left behind."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from urllib.parse import parse_qs

import pytest
from botocore.awsrequest import AWSResponse

from spot_connect.aws import filesystems, groups, instances
from spot_connect.aws import keys as key_pairs
from spot_connect.core.errors import AwsError, NoCapacity
from spot_connect.core.firewall import parse_rule
from spot_connect.core.fleets import FLEET_TAG
from spot_connect.core.names import SUCCESSOR_TAG
from spot_connect.launching import clearing, ending, finding, keeping, replacing
from spot_connect.launching import realm as realms
from spot_connect.launching.connecting import reach
from spot_connect.launching.fleets import cancel_fleet, fleet_instances, launch_fleet, refresh_fleet
from spot_connect.launching.launch import launch
from spot_connect.launching.realm import Realm
from spot_connect.local import service
from tests.boundary.launching.conftest import Wire
from tests.boundary.launching.test_fleets import ERROR, REFUSED, _Raw

REGION = "us-east-1"
A_WHILE, FOR_EVER = 1.5, 3600


@pytest.fixture
def lag(realm):
    """``lag(seconds)`` begins it; it is over at the end, and where ``lag(0)`` says so."""

    def lag(seconds):
        service.call(None, "DELETE", "faults")
        if seconds:
            service.call(None, "POST", "faults", {"kind": "lag", "seconds": seconds})

    yield lag
    lag(0)


@pytest.fixture
def another(realm):
    """``another()`` is the realm of another process on this computer."""

    def another():
        realms._shared.cache_clear()
        return Realm(local=True)

    return another


@pytest.fixture
def made(realm):
    """Instances to be ended."""
    found = []
    yield found
    service.call(None, "DELETE", "faults")
    ending.terminate(realm, found)


def tokens(wire, action):
    return {parse_qs(body)["ClientToken"][0] for body in wire.bodies(action)}


def running(name):
    """The ids of the live instances of that name, as somebody sees them who knows all."""
    service.call(None, "DELETE", "faults")
    realms._shared.cache_clear()
    return [one.id for one in instances.named(Realm(local=True).cloud(REGION), name)]


def test_a_launch_needs_patience_with_everything_and_launches_once(realm, request_for, keys, heard, lag, made, wire):
    request = request_for()
    unknown = ("InvalidGroup.NotFound", "InvalidKeyPair.NotFound", "InvalidSecurityGroupID.NotFound")
    wire.refuse("RunInstances", *unknown)
    wire.refuse("AuthorizeSecurityGroupIngress", "InvalidGroup.NotFound")
    lag(A_WHILE)
    made.append(launch(realm, request, keys, heard))
    assert wire.calls["RunInstances"] > len(unknown)
    assert len(tokens(wire, "RunInstances")) == 1
    assert running(request.name) == [made[0].id]


@pytest.mark.parametrize(
    "code", ["InvalidGroup.NotFound", "InvalidKeyPair.NotFound", "InvalidInstanceID.NotFound", "InvalidParameterValue"]
)
def test_what_is_refused_for_want_of_what_is_not_ours_fails_at_once(realm, request_for, keys, heard, wire, code):
    cloud = realm.cloud(REGION)
    asked = {
        "InvalidGroup.NotFound": lambda: groups.allow(cloud, "sg-0123", [parse_rule("tcp,22,22,192.0.2.1/32")], "x"),
        "InvalidKeyPair.NotFound": lambda: key_pairs.find(cloud, "KP-mistyped"),
        "InvalidInstanceID.NotFound": lambda: instances.tag(cloud, ["i-0123456789abcdef0"], {"a": "b"}),
        "InvalidParameterValue": lambda: launch(realm, request_for(), keys, heard),
    }[code]
    actions = {
        "InvalidGroup.NotFound": "AuthorizeSecurityGroupIngress",
        "InvalidKeyPair.NotFound": "DescribeKeyPairs",
        "InvalidInstanceID.NotFound": "CreateTags",
        "InvalidParameterValue": "RunInstances",
    }
    wire.refuse(actions[code], *[code] * 5)
    if code == "InvalidKeyPair.NotFound":
        assert asked() is None
    else:
        with pytest.raises(AwsError):
            asked()
    assert wire.calls[actions[code]] == 1


def test_another_terminal_uses_what_it_cannot_see_yet(realm, request_for, keys, heard, lag, made, another):
    lag(A_WHILE)
    request = request_for()
    made.append(launch(realm, request, keys, heard))
    found = finding.by_name(another(), request.name, [REGION], heard, everywhere=False)
    assert found.id == made[0].id
    assert found.name == request.name
    reached = reach(another(), request, keys, heard)
    reached.connection.close()
    assert (reached.instance.id, reached.launched) == (made[0].id, False)
    assert running(request.name) == [made[0].id]


def test_what_was_launched_is_known_while_ec2_shows_nothing_of_it(realm, request_for, keys, heard, lag, made):
    made.append(launch(realm, request_for(), keys, heard))
    lag(FOR_EVER)
    cloud = realm.cloud(REGION)
    other = replace(request_for(), key_pair=made[0].key_name, security_group=next(iter(made[0].groups)))
    made.append(launch(realm, other, keys, heard))
    mine = made[-1]
    assert [one.id for one in instances.named(cloud, mine.name)] == [mine.id]
    assert instances.by_id(cloud, mine.id).tags == mine.tags
    assert mine.id in [one.id for one in instances.managed(cloud)]
    assert mine.id in [one.id for one in instances.with_keys(cloud, [mine.key_name])]
    assert finding.again(realm, [mine])[mine.id].state == "pending"
    assert mine.key_name not in [one.name for one in clearing.unused_key_pairs(realm, REGION)]
    # What is not meant is not told.
    assert instances.named(cloud, f"{mine.name}x") == ()
    assert instances.ended(cloud, mine.name) is None
    assert instances.with_keys(cloud, ["KP-other"]) == ()


def test_it_is_ended_though_ec2_has_not_heard_of_it_or_its_request(realm, request_for, keys, heard, lag, wire):
    lag(A_WHILE)
    request = request_for()
    one = launch(realm, request, keys, heard)
    ending.terminate(realm, [one])
    assert wire.calls["CancelSpotInstanceRequests"] == 1
    assert instances.named(realm.cloud(REGION), request.name) == ()
    assert instances.ended(realm.cloud(REGION), request.name).id == one.id
    assert running(request.name) == []


def test_a_fleet_gets_its_names_and_is_not_ended_for_them(realm, request_for, keys, heard, lag):
    lag(A_WHILE)
    request = request_for("t3.micro")
    fleet = launch_fleet(realm, request, keys, heard, count=3)
    assert [one.name for one in fleet.instances] == [f"{request.name}_{number}" for number in range(3)]
    assert {one.id for one in fleet_instances(realm, fleet)} == set(fleet.ids)
    assert refresh_fleet(realm, fleet, heard).lost == ()
    assert [running(one.name) for one in fleet.instances] == [[one.id] for one in fleet.instances]
    cancel_fleet(realm, fleet, heard)


@pytest.mark.parametrize("code", ["InvalidInstanceID.NotFound"])
def test_one_refusal_to_tag_a_fleet_is_no_reason_to_end_it(realm, request_for, keys, heard, wire, code):
    wire.refuse("CreateTags", code, code)
    fleet = launch_fleet(realm, request_for("t3.micro"), keys, heard, count=2)
    assert wire.calls["CreateTags"] == 3
    assert wire.calls["DeleteFleets"] == 0
    cancel_fleet(realm, fleet, heard)


def test_a_maintained_fleet_that_ec2_has_not_heard_of_is_ended_with_all_it_has(realm, request_for, keys, heard, lag):
    request = request_for("t3.micro")
    fleet = launch_fleet(realm, request, keys, heard, count=1, maintain=True)
    cancel_fleet(realm, fleet, heard)
    lag(A_WHILE)
    other = request_for("t3.micro")
    fleet = launch_fleet(realm, other, keys, heard, count=1, maintain=True)
    cancel_fleet(realm, fleet, heard)
    assert running(f"{other.name}_0") == []
    told = realm.cloud(REGION).ec2.describe_fleets(FleetIds=[fleet.id])["Fleets"]
    assert next(one["FleetState"] for one in told).startswith("deleted")


@pytest.mark.parametrize("code", ["InvalidGroup.NotFound", "InvalidKeyPair.NotFound", "InvalidFleetConfiguration"])
def test_a_fleet_that_got_nothing_for_want_of_what_is_new_is_asked_for_anew(
    realm, request_for, keys, heard, wire, code
):
    is_new = code != "InvalidFleetConfiguration"
    left = [REFUSED.format("fleet-00000000-0000-0000-0000-000000000000", ERROR.format(code), "")]

    def send(request, **_):
        return AWSResponse(request.url, 200, {}, _Raw(left.pop().encode())) if left else None

    events = realm.cloud(REGION).ec2_once.meta.events
    events.register_last("before-send.ec2.CreateFleet", send)
    with nullcontext() if is_new else pytest.raises(NoCapacity):
        fleet = launch_fleet(realm, request_for("t3.micro"), keys, heard, count=1)
        assert len(fleet.ids) == 1
        cancel_fleet(realm, fleet, heard)
    events.unregister("before-send.ec2.CreateFleet", send)
    # A token that was granted a fleet of nothing is spent.
    assert len(tokens(wire, "CreateFleet")) == wire.calls["CreateFleet"] == 1 + is_new


def test_a_head_on_demand_gets_its_tag(realm, request_for, keys, heard, lag, made):
    fleet = launch_fleet(realm, request_for("t3.micro"), keys, heard, count=1)
    lag(A_WHILE)
    made.append(keeping.keeper(realm, fleet.instances[0], f"{fleet.name}_head", keys, heard))
    found = instances.tagged(realm.cloud(REGION), FLEET_TAG, [fleet.name])
    assert made[0].id in [one.id for one in found]
    lag(0)
    cancel_fleet(realm, fleet, heard)


def test_a_head_that_cannot_be_tagged_is_ended_again(realm, request_for, keys, heard, wire):
    fleet = launch_fleet(realm, request_for("t3.micro"), keys, heard, count=1)
    wire.refuse("CreateTags", "UnauthorizedOperation")
    with pytest.raises(AwsError):
        keeping.keeper(realm, fleet.instances[0], f"{fleet.name}_head", keys, heard)
    assert running(f"{fleet.name}_head") == []
    cancel_fleet(realm, fleet, heard)


def test_a_replacement_stays_though_ec2_does_not_show_yet_whom_it_replaces(realm, request_for, keys, heard, lag, made):
    first = launch(realm, request_for(), keys, heard)
    made.append(first)
    lag(A_WHILE)
    second, is_ours = replacing.replace(realm, first, keys, heard)
    made.append(second)
    assert is_ours
    assert second.id != first.id
    assert instances.by_id(realm.cloud(REGION), first.id).tags[SUCCESSOR_TAG] == second.id
    assert sorted(running(first.name)) == sorted([first.id, second.id])


def test_a_key_pair_and_a_group_of_a_moment_ago_are_used_by_whom_they_are_not_shown(
    realm, request_for, keys, heard, lag, made, another
):
    request = request_for()
    first = Wire(realm).tap()
    lag(A_WHILE)
    first.refuse("RunInstances", "UnauthorizedOperation")
    with pytest.raises(AwsError):
        launch(realm, request, keys, heard)
    other = another()
    made.append(launch(other, request, other.keys("", heard), heard))
    assert made[0].key_name == f"KP-{request.name}"
    assert len(made[0].groups) == 1


def test_a_file_system_and_its_mount_target_are_made_once_and_found(realm, request_for, keys, heard, lag, made):
    made.append(launch(realm, request_for(), keys, heard))
    cloud, token = realm.cloud(REGION), f"late-{made[0].id}"
    lag(A_WHILE)
    first = filesystems.create(cloud, token, {"Name": token})
    assert filesystems.find(cloud, token).id == first.id
    assert filesystems.create(cloud, token, {"Name": token}).id == first.id

    group = groups.create(cloud, f"late-{made[0].id}", made[0].vpc_id, {"a": "b"})
    target = _target(cloud, first, made[0], group)
    assert [one.id for one in filesystems.mount_targets(cloud, first.id)] == [target.id]
    assert filesystems.mount_target_groups(cloud, target.id) == (group.id,)
    assert filesystems.create_mount_target(cloud, first.id, made[0].subnet_id, group.id) is None


def _target(cloud, file_system, instance, group):
    from spot_connect.core.waiting import Seen, wait_for

    def look():
        now = filesystems.find(cloud, file_system.token)
        return Seen(now if now.state == "available" else None, now.state)

    wait_for("the file system", look, seconds=60, every=0.1)
    return filesystems.create_mount_target(cloud, file_system.id, instance.subnet_id, group.id)


def test_of_a_spot_request_that_ec2_does_not_know_nothing_is_known(realm, wire):
    cloud = realm.cloud(REGION)
    unknown = "sir-00000000"
    assert instances.price_limit(cloud, unknown) is None
    assert instances.spot_statuses(cloud, [unknown]) == {}
    wire.refuse("DescribeSpotInstanceRequests", "InvalidSpotInstanceRequestID.NotFound")
    assert instances.spot_statuses(cloud, [unknown]) == {}


def test_the_price_limit_of_a_request_of_a_moment_ago_is_told(realm, request_for, keys, heard, lag, made):
    lag(A_WHILE)
    made.append(launch(realm, request_for(), keys, heard))
    assert instances.price_limit(realm.cloud(REGION), made[0].spot_request_id) is not None
