"""Many instances from one object, on a real local cloud."""

from __future__ import annotations

import hashlib
import io
import json
import random
import subprocess
import threading
import uuid
from collections import Counter
from pathlib import Path

import pytest

from spot_connect import sutils
from spot_connect.aws import instances
from spot_connect.core.errors import (
    AwsObjectMissing,
    InstanceNotFound,
    PartlyFailed,
    ScriptFailed,
    TransferFailed,
    UsageError,
)
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.instance_manager import InstanceManager
from spot_connect.launching import s3_transfers
from spot_connect.launching.realm import Realm
from spot_connect.screen.reporter import Screen
from spot_connect.spotted import SpotInstance
from tests.local_cloud import running_local_cloud

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


@pytest.fixture(scope="session")
def cloud_home(tmp_path_factory):
    home = tmp_path_factory.mktemp("cloud") / "home"
    with running_local_cloud(home):
        yield home


@pytest.fixture
def words():
    return io.StringIO()


@pytest.fixture
def manager(cloud_home, monkeypatch, words):
    monkeypatch.setenv("SPOT_CONNECT_HOME", str(cloud_home))
    one = InstanceManager(local=True, reporter=Screen(local=True, stream=words))
    yield one
    if one.instances:
        one.terminate(list(one.instances))


@pytest.fixture
def cloud(manager):
    return Realm(local=True).cloud("us-east-1")


@pytest.fixture
def name():
    return f"vm-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def pair(manager, name):
    return manager.launch_instances([f"{name}-a", f"{name}-b"], profile="t2.micro")


def test_an_instance_is_kept_by_name(manager, name):
    instance = manager.launch_instance(name, profile="t2.micro")
    assert manager.instances == {name: instance}
    assert instance.run("echo hello", cmd=True, return_output=True) == "hello\n"


def test_positional_arguments_mean_what_they_mean_to_a_spot_instance(manager, name):
    instance = manager.launch_instance(name, False, "t2.micro")  # noqa: FBT003 - as old scripts write it
    assert instance.profile == "t2.micro"


def test_several_are_launched_side_by_side(manager, pair):
    assert len({instance.id for instance in pair}) == 2
    assert set(manager.instances) == {instance.name for instance in pair}


def test_one_command_runs_on_several(manager, pair):
    answers = manager.run(pair, "hostname")
    assert len(set(answers)) == 2


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "a tree"
    (root / "deep").mkdir(parents=True)
    (root / "deep" / "large").write_bytes(random.Random(1).randbytes(9_000_000))
    for number in range(50):
        (root / f"small {number}").write_text(f"{number}\n" * number)
    return root


def hashes(instances):
    """What each instance says of the files in its tree."""
    return [one.run("cd 'a tree' && find . -type f | sort | xargs -d '\\n' sha256sum", cmd=True, return_output=True)
            for one in instances]  # fmt: skip


def test_files_go_to_several_at_once(manager, pair, tree, words):
    # One of them has a part of it, and another of the same size that is older.
    pair[0].run("mkdir 'a tree' && echo 1 > 'a tree/small 1' && echo x > 'a tree/small 2'", cmd=True)
    manager.upload(pair, tree)
    here = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  ./{path.relative_to(tree)}"
        for path in sorted((one for one in tree.rglob("*") if one.is_file()), key=lambda one: str(one).encode())
    ]
    assert [sorted(text.splitlines()) for text in hashes(pair)] == [sorted(here)] * 2
    assert "to bring up to date on 2 instances: " in words.getvalue()


def test_files_go_to_the_others_when_one_has_no_room_for_them(manager, pair, tree):
    pair[0].run("touch 'a tree'", cmd=True)
    with pytest.raises(PartlyFailed, match=r"^1 of 2 failed: .*: cannot upload ") as caught:
        manager.upload(pair, tree)
    assert list(caught.value.failed) == [pair[0].name]
    assert caught.value.succeeded[pair[1].name][0].endswith("/a tree")
    assert hashes(pair[1:])[0].count("\n") == 51


def test_a_directory_is_synced_to_several_and_worked_in_and_results_come_back(manager, pair, tree, words):
    (tree / ".spotignore").write_text("small*\n")
    there = manager.sync(pair, tree)
    assert there == {one.name: "/home/ec2-user/a tree" for one in pair}
    made = "ls -A; mkdir out; hostname > out/host"
    assert manager.run(pair, made, directory="a tree") == [".spotignore\ndeep\n"] * 2
    (tree / "deep" / "large").unlink()
    manager.sync(pair, tree, delete=True)
    assert (
        f"LOCAL {pair[0].name}, {pair[1].name}: removed a tree/deep/large, a tree/out, a tree/out/host\n"
        in words.getvalue()
    )
    manager.sync(pair, tree)
    assert f"LOCAL {pair[0].name}, {pair[1].name}: a tree: up to date\n" in words.getvalue()
    assert manager.run(pair, "ls deep", directory="a tree") == ["", ""]
    pair[0].run("mkdir 'a tree/out'; hostname > 'a tree/out/host'", cmd=True)
    hosts = manager.run(pair[0], "hostname")
    with pytest.raises(PartlyFailed, match="1 of 2 failed") as caught:
        manager.download(pair, "a tree/out", tree / "back")
    place = tree / "back" / pair[0].name / "out"
    assert caught.value.succeeded == {pair[0].name: [str(place)]}
    assert list(caught.value.failed) == [pair[1].name]
    assert (place / "host").read_text() == hosts[0]
    assert f"LOCAL {pair[0].name}: host: " in words.getvalue()
    assert not (tree / "back" / pair[1].name).exists()


def test_nothing_is_synced_that_is_not_there(manager, pair, tree):
    with pytest.raises(UsageError, match="not a directory"):
        manager.sync(pair, tree / "small 1")
    assert manager.run(pair, "ls") == ["", ""]


def test_no_instance_gets_anything_when_a_file_is_missing(manager, pair, tree):
    with pytest.raises(UsageError, match="nothing"):
        manager.upload(pair, [tree, tree / "nothing"])
    assert manager.run(pair, "ls") == ["", ""]


def test_a_failure_on_one_is_raised_when_the_others_are_done(manager, pair):
    pair[0].run("touch ok", cmd=True)
    with pytest.raises(PartlyFailed, match=r"^1 of 2 failed: .*: `test -e ok.* failed on ") as caught:
        manager.run(pair, "test -e ok && echo yes")
    assert caught.value.succeeded == {pair[0].name: "yes\n"}
    assert list(caught.value.failed) == [pair[1].name]
    assert isinstance(caught.value.failed[pair[1].name], ScriptFailed)


def test_what_several_write_to_standard_error_has_their_names(manager, pair, capsys):
    names = [one.name for one in pair]
    assert manager.run(pair, "echo one >&2; echo two >&2; echo out") == ["out\n"] * 2
    assert sorted(capsys.readouterr().err.splitlines()) == [
        f"{name}: {word}" for name in names for word in ("one", "two")
    ]
    manager.run(names[0], "echo one >&2")
    assert capsys.readouterr().err == "one\n"


def test_states_are_printed_and_asked_for_in_one_call(manager, pair, capsys, cloud):
    calls = Counter()
    manager._realm.cloud("us-east-1").ec2.meta.events.register(
        "before-send", lambda event_name, **_: calls.update([event_name]) or None
    )
    states = manager.show_instances()
    assert states == {instance.name: "running" for instance in pair}
    assert capsys.readouterr().out.strip() == str(states)
    assert sum(calls.values()) == 1


def test_the_monitor(manager, name):
    assert manager.monitor is None
    with pytest.raises(InstanceNotFound):
        manager.terminate_monitor()
    monitor = manager.launch_monitor(name)
    assert manager.monitor is monitor
    manager.terminate_monitor()
    assert manager.monitor is None
    assert name not in manager.instances
    assert monitor.refresh_instance(verbose=False) in ("shutting-down", "terminated")


def test_a_quick_launch_is_a_small_instance(manager, name):
    assert manager.quick_launch(name).instance["InstanceType"] == "t2.micro"


def test_termination_of_an_unknown_name_ends_nothing(manager, pair):
    with pytest.raises(InstanceNotFound):
        manager.terminate([pair[0].name, "nobody-of-that-name"])
    assert set(manager.show_instances().values()) == {"running"}


def test_several_are_found_at_once_and_ended_in_one_call(manager, name, cloud):
    fleet = manager.launch_fleet(8, "t2.micro", name)
    made = calls_of(lambda: manager.terminate([one.name for one in fleet.instances]), cloud)
    assert made["TerminateInstances"] == 1
    assert made["DescribeInstances"] < 8
    assert manager.get_fleet_iids(fleet.id) == []


def test_one_that_was_not_launched_here_is_ended_by_name_without_its_key(manager, name, cloud):
    with SpotInstance(name, profile="t2.micro", local=True) as other:
        Path(other.kp_dir, f"KP-{name}.pem").unlink()
    manager.terminate(name)
    assert instances.named(cloud, name) == ()


def test_home_directory_and_cores_are_printed_and_returned(manager, name, capsys):
    manager.launch_instance(name, profile="t2.micro")
    assert manager.get_instance_home_directory(name) == "/home/ec2-user"
    physical, logical = manager.count_cores(name)
    assert 1 <= physical <= logical
    printed = capsys.readouterr().out
    assert "/home/ec2-user" in printed
    assert f"{logical} logical" in printed


@pytest.fixture
def repository(tmp_path):
    """A git repository as the text of a bundle, and the way to commit to it."""
    place = tmp_path / "repository"

    def git(*words):
        identity = ["-c", "user.name=me", "-c", "user.email=me@example.com", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", *identity, *words], cwd=place, check=True, capture_output=True)

    place.mkdir()
    git("init")
    (place / "a.txt").write_text("one\n")
    git("add", ".")
    git("commit", "-m", "one")
    return place, git


def test_a_repository_is_cloned_and_updated_on_several(manager, pair, repository):
    place, git = repository
    for instance in pair:
        instance.upload(str(place), "origin")
    manager.clone_repo(pair, "/home/ec2-user/origin/repository", "copy of it")
    assert manager.run(pair, "cat 'copy of it/a.txt'") == ["one\n", "one\n"]
    (place / "a.txt").write_text("two\n")
    git("commit", "-am", "two")
    for instance in pair:
        instance.upload(str(place), "origin")
    manager.update_repo(pair, "copy of it", branch="main")
    assert manager.run(pair, "cat 'copy of it/a.txt'") == ["two\n", "two\n"]


def test_what_git_could_not_do_is_named(manager, name):
    manager.launch_instance(name, profile="t2.micro")
    with pytest.raises(ScriptFailed, match=f"cannot clone /no/such/repository to copy on {name}: exit status 128"):
        manager.clone_repo(name, "/no/such/repository", "copy")
    with pytest.raises(ScriptFailed, match=f"cannot update copy on {name}: exit status 1"):
        manager.update_repo(name, "copy")


def test_a_name_that_runs_is_reached_without_having_been_launched_here(manager, cloud_home, name):
    with SpotInstance(name, profile="t2.micro", local=True):
        assert manager.get_instance_home_directory(name) == "/home/ec2-user"


def test_profiles_by_both_names(manager):
    assert manager.list_profiles() == manager.list_all_profiles()
    assert "t2.micro" in manager.list_profiles()


def test_ten_items_in_three_jobs_make_three_files(manager, tmp_path):
    assert len(manager.split_workload(3, list(range(10)), str(tmp_path), "part")) == 3


@pytest.fixture
def bucket(cloud, name):
    s3 = cloud.client("s3")
    bucket = f"data-{name}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="in/a.txt", Body=b"from the bucket")
    iam = cloud.client("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    return bucket


def ended(instance):
    def look():
        return Seen(instance.refresh_instance(verbose=False) in ("shutting-down", "terminated") or None)

    wait_for("end of the instance", look, seconds=60, every=0.3)


def test_a_directory_goes_to_a_bucket_and_the_instance_ends_itself(manager, bucket, name, cloud):
    machine = manager.launch_instance(f"{name}-t", profile="t2.micro", instance_profile=name)
    machine.run("mkdir -p out && echo 'from the instance' > 'out/b c.txt'", cmd=True)
    transfer = manager.instance_s3_transfer("out", f"s3://{bucket}/got/", name, instance_name=f"{name}-t")
    ended(transfer)
    assert cloud.client("s3").get_object(Bucket=bucket, Key="got/b c.txt")["Body"].read() == b"from the instance\n"


def test_the_log_of_a_copy_stays_on_the_file_system(manager, bucket, name):
    token = f"fs-{name}"
    transfer = manager.instance_s3_transfer(
        f"s3://{bucket}/in/", "~/efs/in", name, efs=token, instance_name=f"{name}-t", profile="t2.micro"
    )
    ended(transfer)
    manager.instances.pop(f"{name}-t")
    other = manager.launch_instance(f"{name}-o", profile="t2.micro", filesystem=token)
    assert other.run("cat efs/in/a.txt", cmd=True, return_output=True) == "from the bucket"
    log = manager.s3_transfer_log(f"{name}-t", from_instance=f"{name}-o")
    assert log.splitlines()[-1].endswith("with status 0")


def test_a_bucket_is_listed_and_emptied(manager, bucket):
    assert sutils.list_bucket(bucket, "in/", local=True) == ["in/a.txt"]
    with pytest.raises(UsageError):
        sutils.delete_from_bucket(bucket, "in/a.txt", local=True)
    assert sutils.delete_from_bucket(bucket, ["in/a.txt"], local=True) == 1
    assert sutils.list_bucket(bucket, local=True) == []


def test_a_failed_copy_ends_the_instance_too(manager, bucket, name, monkeypatch):
    monkeypatch.setattr(s3_transfers, "check", lambda *_: None)
    manager.launch_instance(f"{name}-t", profile="t2.micro")
    transfer = manager.instance_s3_transfer("~", "s3://no-such-bucket-here/x", name, instance_name=f"{name}-t")
    ended(transfer)


def test_a_machine_that_can_get_no_aws_cli_says_so_and_ends(manager, bucket, name, cloud, monkeypatch):
    fails = "spot_aws_cli() { echo 'cannot install awscli: no network' >&2; return 1; }\n"
    monkeypatch.setattr(s3_transfers, "aws_cli", lambda: fails)
    with pytest.raises(ScriptFailed, match=r"has no AWS CLI.*no network") as caught:
        manager.instance_s3_transfer(
            f"s3://{bucket}/in/", "~/efs/in", name, efs=f"fs-{name}", instance_name=f"{name}-t", profile="t2.micro"
        )
    assert caught.value.exit_status == 1
    assert manager.instances == {}
    assert instances.named(cloud, f"{name}-t") == ()


def test_a_directory_that_does_not_exist_is_told_at_once_and_the_instance_ends(manager, bucket, name, cloud):
    with pytest.raises(TransferFailed, match="no such directory"):
        manager.instance_s3_transfer(
            "~/efs/nowhere", f"s3://{bucket}/x", name, efs=f"fs-{name}", instance_name=f"{name}-t", profile="t2.micro"
        )
    assert manager.instances == {}
    assert instances.named(cloud, f"{name}-t") == ()


def test_a_copy_that_would_end_with_the_instance_is_refused_before_a_launch(manager, bucket, name):
    for source, dest in ((f"s3://{bucket}/in/", "~/in"), ("~/out", f"s3://{bucket}/x")):
        with pytest.raises(UsageError, match="ends when it is done"):
            manager.instance_s3_transfer(source, dest, name)
    assert manager.instances == {}


@pytest.mark.parametrize(
    ("source", "dest", "profile", "error"),
    [
        ("here", "there", "p", UsageError),
        ("s3://a-bucket/x", "s3://b-bucket/y", "p", UsageError),
        ("s3://NOT_A_BUCKET/x", "here", "p", UsageError),
        ("s3://no-such-bucket-here/x", "here", "p", AwsObjectMissing),
        ("s3://a-bucket/x", "here", "", UsageError),
    ],
)
def test_what_cannot_be_copied_is_refused_before_a_launch(manager, source, dest, profile, error):
    with pytest.raises(error):
        manager.instance_s3_transfer(source, dest, profile, efs="data")
    assert manager.instances == {}


def test_a_prefix_without_files_is_refused_before_a_launch(manager, bucket, name):
    with pytest.raises(AwsObjectMissing, match="nothing in the bucket"):
        manager.instance_s3_transfer(f"s3://{bucket}/empty/", "here", name, efs="data")
    assert manager.instances == {}


def test_a_fleet_is_launched_reached_refreshed_and_cancelled(manager, name):
    fleet = manager.launch_fleet(3, "t2.micro", name, types=["t3.micro"])
    assert manager.fleets == {fleet.id: fleet}
    assert sorted(manager.get_fleet_iids()) == sorted(fleet.ids)
    reached = manager.reach_fleet(fleet.id)
    assert sorted(manager.instances) == [f"{name}_{number}" for number in range(3)]
    assert len(set(manager.run(reached, "hostname"))) == 3
    assert manager.refresh_fleet_instances()[fleet.id].ids == fleet.ids
    manager.cancel_fleet()
    assert manager.fleets == {}
    assert manager.instances == {}
    assert {one.refresh_instance(verbose=False) for one in reached} <= {"shutting-down", "terminated"}


def calls_of(work, cloud, away=0.3):
    """How many AWS calls of each kind ``work`` takes, when each takes as long as a real one."""
    made = Counter()

    def hear(event_name, **_):
        made.update([event_name.rpartition(".")[2]])
        threading.Event().wait(away)

    cloud.ec2.meta.events.register("before-send", hear)
    try:
        work()
    finally:
        cloud.ec2.meta.events.unregister("before-send", hear)
    return made


def test_who_reaches_a_fleet_asks_for_all_of_it_at_once(manager, name, cloud):
    manager.launch_fleet(12, "t2.micro", name)
    made = calls_of(manager.reach_fleet, cloud)
    # EC2 tells the console of one instance at a time.
    assert made.pop("GetConsoleOutput") == 12
    assert sum(made.values()) < 12
    again = calls_of(lambda: manager.launch_instances(list(manager.instances)), cloud)
    assert sum(again.values()) < 12
    manager.cancel_fleet()


def test_a_fleet_keeps_its_file_system_in_mind(manager, name, cloud):
    fleet = manager.launch_fleet(2, "t2.micro", name, filesystem=name)
    reached = manager.reach_fleet(fleet.id)
    reached[0].run("echo kept > efs/file", cmd=True)
    assert manager.run(reached, "cat efs/file") == ["kept\n"] * 2
    assert {one.filesystem for one in reached} == {name}
    manager.cancel_fleet()


def test_an_unknown_fleet_is_refused(manager):
    with pytest.raises(InstanceNotFound, match="cannot find the fleet fleet-1"):
        manager.get_fleet_iids("fleet-1")


@pytest.mark.parametrize("maintain", [False, True])
def test_a_fleet_is_used_and_ended_from_another_computer(manager, name, maintain):
    fleet = manager.launch_fleet(3, "t2.micro", name, maintain=maintain, region="eu-west-1")
    other = InstanceManager(local=True)
    assert [one.id for one in other.reach_fleet(name)] == list(fleet.ids)
    assert list(other.instances) == [f"{name}_{number}" for number in range(3)]
    assert InstanceManager(local=True).get_fleet_iids(fleet.id) == other.get_fleet_iids(name)
    other.cancel_fleet(name)
    assert other.fleets == other.instances == {}
    assert manager.get_fleet_iids(fleet.id) == []
    with pytest.raises(InstanceNotFound):
        other.cancel_fleet(name)


def test_those_that_failed_are_named_whatever_the_failure_says(manager, name, tmp_path):
    names = [f"{name}_{number}" for number in range(2)]
    manager.launch_instances(names, profile="t2.micro")
    manager.run(names[1], "touch taken")
    (tmp_path / "taken").mkdir()
    with pytest.raises(PartlyFailed, match=f"1 of 2 failed: {name}_1: cannot upload ") as caught:
        manager.upload(names, tmp_path / "taken")
    assert list(caught.value.failed) == names[1:]


def test_a_mount_without_a_name_takes_the_instances_own(manager, name):
    instance = manager.launch_instance(name, profile="t2.micro", efs_mount=True)
    assert instance.filesystem == name
    assert instance.run("mountpoint efs", cmd=True, return_output=True).startswith("efs is a mountpoint")
    assert instance.mount_target["LifeCycleState"] == "available"
