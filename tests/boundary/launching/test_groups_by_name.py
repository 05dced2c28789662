"""Security groups belong to one name each, also where EC2 takes two names for one."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spot_connect.aws import filesystems, groups, networks
from spot_connect.core.errors import AwsError, UsageError
from spot_connect.core.firewall import parse_rule
from spot_connect.core.names import file_system_group_name, file_system_token, instance_name, security_group_name
from spot_connect.launching import connecting, doors, ending, mounting

REGION = "us-east-1"
NAMES = st.text("vV1 *?[]!.-", min_size=1, max_size=5).map(str.strip).filter(bool).filter(lambda text: "?" not in text)


@pytest.fixture
def cloud(realm):
    return realm.cloud(REGION)


@pytest.fixture
def vpc(cloud):
    return networks.subnets(cloud)[0].vpc_id


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.tuples(st.booleans(), NAMES), min_size=2, max_size=4, unique=True))
def test_two_names_never_share_a_group_and_one_name_always_has_the_same(cloud, vpc, names):
    wanted = [
        file_system_group_name(file_system_token(f"g-{name}"))
        if is_file_system
        else security_group_name(instance_name(f"{'EFS-' if len(name) > 3 else ''}g-{name}"))
        for is_file_system, name in names
    ]
    made = {name: groups.find_or_create(cloud, name, vpc, doors.MANAGED).id for name in wanted}
    assert len(set(made.values())) == len(set(wanted)) == len(names)
    for name, group in made.items():
        assert groups.find_or_create(cloud, name, vpc, doors.MANAGED).id == group
        assert groups.find_own(cloud, name, vpc).id == group


def test_a_machine_whose_name_differs_in_case_alone_has_a_door_of_its_own(realm, request_for, keys, heard):
    small, large = "casevmx", "CASEVMX"
    machines = []
    try:
        for name in (small, large):
            machines.append(connecting.reach(realm, request_for(name=name), keys, heard))
        first, second = (set(machine.instance.groups) for machine in machines)
        assert not first & second
        # The door of the second one follows our address, too.
        rule = parse_rule("tcp,8080,8080,203.0.113.7/32")
        doors.refresh(realm, machines[1].instance, (rule,), heard)
        standing = groups.rules(realm.cloud(REGION), next(iter(second)))
        assert rule in {entry.rule for entry in standing}
        assert not heard.warnings
        assert rule not in {entry.rule for entry in groups.rules(realm.cloud(REGION), next(iter(first)))}
    finally:
        for machine in machines:
            machine.connection.close()
        ending.terminate(realm, [machine.instance for machine in machines])


def test_a_group_that_is_named_in_other_letters_is_refused_in_one_line(cloud, vpc, request_for):
    groups.create(cloud, "Of-Somebody", vpc, doors.MANAGED)
    with pytest.raises(AwsError, match="upper and lower case") as caught:
        doors.security_group(cloud, request_for(security_group="of-somebody"), vpc)
    assert caught.value.code == "InvalidGroup.Duplicate"
    assert doors.security_group(cloud, request_for(security_group="Of-Somebody"), vpc).name == "Of-Somebody"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(token=st.text("aZ09 ._-:/()#,@[]+=&;{}!$*", min_size=1, max_size=8))
def test_whatever_is_a_file_system_name_makes_a_file_system(realm, heard, token):
    try:
        token = file_system_token(f"t{token}")
    except UsageError:
        return
    made = mounting.create(realm, token, REGION, heard)
    assert made.token == token
    assert filesystems.find(realm.cloud(REGION), token).id == made.id


def test_two_file_systems_in_other_letters_have_mount_targets_behind_other_groups(realm, request_for, keys, heard):
    machine = connecting.reach(realm, request_for(), keys, heard)
    try:
        guards = []
        for token in ("case-data", "CASE-data", "CASE-data"):
            file_system = mounting.create(realm, token, REGION, heard)
            cloud = realm.cloud(REGION)
            target = mounting._target(cloud, machine.instance, file_system, {}, heard, new_target=False)
            guards.append(filesystems.mount_target_groups(cloud, target.id))
        assert guards[0] != guards[1] == guards[2]
        assert not [note for note in heard.notes if "not ours" in note]
    finally:
        machine.connection.close()
        ending.terminate(realm, [machine.instance])
