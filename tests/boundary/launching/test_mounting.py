"""An elastic file system on instances: one for each token, reached in the own zone, and open to its instances alone."""

from __future__ import annotations

import pytest

from spot_connect.aws import filesystems, groups
from spot_connect.core.errors import ScriptFailed
from spot_connect.launching import connecting, ending, mounting
from spot_connect.ssh.command import run

REGION = "us-east-1"


@pytest.fixture
def launch(realm, request_for, keys, heard):
    """Launches machines, which are terminated afterwards."""
    made = []

    def launch(**changes):
        made.append(connecting.reach(realm, request_for(**changes), keys, heard))
        return made[-1]

    yield launch
    for reached in made:
        reached.connection.close()
        ending.terminate(realm, [reached.instance])


@pytest.fixture
def token(request):
    return f"fs-of-{request.node.name[:50]}"


@pytest.fixture
def mount(realm, heard, token):
    def mount(reached, *, new_target=False):
        return mounting.mount(realm, reached.instance, reached.connection, token, heard, new_target=new_target)

    return mount


def output(reached, command):
    finished = run(reached.connection, command)
    assert finished.exit_status == 0, finished.stderr
    return finished.stdout.decode().strip()


def zones(realm, mounted):
    return {target.zone for target in filesystems.mount_targets(realm.cloud(REGION), mounted.file_system.id)}


def guards(realm, mounted):
    return filesystems.mount_target_groups(realm.cloud(REGION), mounted.target.id)


@pytest.mark.late
def test_it_makes_what_is_missing_and_mounts_it(realm, launch, mount, token, heard):
    machine = launch()
    mounted = mount(machine)
    assert mounted.file_system.token == token
    assert mounted.file_system.encrypted
    assert mounted.target.zone == machine.instance.zone
    assert mounted.dns == f"{mounted.file_system.id}.efs.us-east-1.amazonaws.com"
    assert output(machine, "mountpoint -q ~/efs && touch ~/efs/mine && stat -c %U ~/efs") == "ec2-user"
    assert any("until you delete it" in note for note in heard.notes)


def test_a_second_mount_makes_nothing_and_changes_nothing(realm, launch, mount, heard):
    machine = launch()
    first = mount(machine)
    output(machine, "echo kept > ~/efs/file")
    heard.notes.clear()
    again = mount(machine)
    assert again.file_system.id == first.file_system.id
    assert again.target.id == first.target.id
    assert output(machine, "cat ~/efs/file") == "kept"
    assert heard.notes == []


@pytest.mark.late
def test_what_one_instance_wrote_the_next_has_in_another_zone(realm, launch, mount, wire):
    first = launch()
    mounted = mount(first)
    output(first, "echo from the first > ~/efs/note")
    first.connection.close()
    ending.terminate(realm, [first.instance])
    wire.refuse("RunInstances", "InsufficientInstanceCapacity")
    second = launch()
    assert second.instance.zone != first.instance.zone
    again = mount(second)
    assert again.file_system.id == mounted.file_system.id
    assert again.target.zone == second.instance.zone
    assert zones(realm, again) == {first.instance.zone, second.instance.zone}
    assert output(second, "cat ~/efs/note") == "from the first"


def test_two_instances_of_different_groups_share_it(realm, launch, mount):
    first, second = launch(), launch()
    assert first.instance.groups.keys() != second.instance.groups.keys()
    mount(first)
    mount(second)
    output(first, "echo here > ~/efs/note")
    assert output(second, "cat ~/efs/note") == "here"


def test_port_2049_is_open_to_the_groups_of_the_instances_alone(realm, launch, mount):
    machine = launch()
    [guard] = guards(realm, mount(machine))
    [permission] = realm.cloud(REGION).ec2.describe_security_groups(GroupIds=[guard])["SecurityGroups"][0][
        "IpPermissions"
    ]
    assert (permission["IpProtocol"], permission["FromPort"], permission["ToPort"]) == ("tcp", 2049, 2049)
    assert {pair["GroupId"] for pair in permission["UserIdGroupPairs"]} == set(machine.instance.groups)
    assert not permission["IpRanges"]
    assert not permission.get("Ipv6Ranges")


def test_no_address_is_asked_for(realm, launch, mount, wire):
    asked = []
    efs = realm.cloud(REGION).client("efs")
    efs.meta.events.register("provide-client-params.efs.CreateMountTarget", lambda params, **_: asked.append(params))
    machine = launch()
    mounted = mount(machine)
    assert [sorted(params) for params in asked] == [["FileSystemId", "SecurityGroups", "SubnetId"]]
    assert mounted.target.subnet_id == machine.instance.subnet_id


def test_a_new_target_where_the_zone_has_one_is_only_a_note(realm, launch, mount, heard):
    machine = launch()
    first = mount(machine)
    again = mount(machine, new_target=True)
    assert again.target.id == first.target.id
    assert any("EFS allows one a zone" in note for note in heard.notes)


def theirs(realm, token, machine):
    """A file system with a mount target that somebody else made, and the group that guards it."""
    cloud = realm.cloud(REGION)
    file_system = filesystems.create(cloud, token, {"Owner": "somebody else"})
    group = groups.create(cloud, f"of somebody else {token}"[:100], machine.instance.vpc_id, {"Owner": "somebody else"})
    mounting.create(realm, token, REGION, Silent())
    filesystems.create_mount_target(cloud, file_system.id, machine.instance.subnet_id, group.id)
    return group


class Silent:
    def note(self, text):
        pass

    warn = note

    def step(self, text):
        from contextlib import nullcontext

        return nullcontext()


def test_the_group_of_a_mount_target_of_somebody_else_stays_as_it_is(realm, launch, mount, token, heard):
    machine = launch()
    group = theirs(realm, token, machine)
    for source in machine.instance.groups:
        groups.allow_from_group(
            realm.cloud(REGION), group.id, range(filesystems.NFS_PORT, filesystems.NFS_PORT + 1), source
        )
    before = realm.cloud(REGION).ec2.describe_security_groups(GroupIds=[group.id])["SecurityGroups"]
    mounted = mount(machine)
    assert guards(realm, mounted) == (group.id,)
    assert realm.cloud(REGION).ec2.describe_security_groups(GroupIds=[group.id])["SecurityGroups"] == before
    assert any("is not ours" in note for note in heard.notes)
    assert output(machine, "mountpoint -q ~/efs && echo yes") == "yes"


def test_a_mount_that_fails_tells_the_words_of_the_instance(realm, launch, mount, token):
    machine = launch()
    # Nobody is let in; without this the script would try for a minute.
    output(machine, "mkdir -p bin && printf '#!/bin/sh\\n' > bin/sleep && chmod +x bin/sleep")
    output(machine, "sed -i '1i PATH=$HOME/bin:$PATH' ~/.bashrc")
    theirs(realm, token, machine)
    with pytest.raises(ScriptFailed, match="port 2049"):
        mount(machine)
