"""docs/permissions.md, run: all that it promises works with its policies and no others, and what is denied is said."""

from __future__ import annotations

import uuid

import pytest

from spot_connect import sutils
from spot_connect.core.errors import NotAuthorized
from spot_connect.core.waiting import Seen, wait_for
from tests.boundary.jobs.conftest import PATIENCE, interrupt, states
from tests.boundary.jobs.test_capacity import members, successor_of
from tests.boundary.jobs.test_trouble import counting, until, victim_of
from tests.boundary.policies.conftest import page_policies


def good(done):
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done


def quiet(done):
    """It went well, and nothing was passed over for want of rights."""
    assert "authorized" not in good(done).stderr
    return done


pytestmark = pytest.mark.timeout(300)


# What the caller's policy promises.


def test_launching_connecting_and_ending_with_the_one_line(account, callers_policy, name, tmp_path):
    script = tmp_path / "job.sh"
    script.write_text("echo done on $(hostname)\n")
    quiet(account.types("-n", name, "-p", "t2.micro", "-s", str(script)))
    quiet(account.types("-n", name, "-c", "true"))
    assert name in quiet(account.types("list", "--all-regions")).stdout
    quiet(account.types("-n", name, "-s", str(script), "--detach", "True"))
    quiet(account.types("logs", name))
    quiet(account.types("logs", name, "--cloud-init"))
    quiet(account.types("terminate", name))


def test_a_file_system_is_made_found_and_reached(account, callers_policy, name):
    token = f"fs-{name}"
    quiet(account.types("-n", name, "-p", "t2.micro", "-f", token))
    quiet(account.types("terminate", name))
    quiet(account.types("-n", name, "-p", "t2.micro", "-f", token))
    quiet(account.types("terminate", name))


def test_an_instance_gets_a_role_that_may_be_given(account, callers_policy, name):
    quiet(account.types("-n", name, "-p", "t2.micro", "-ip", account.role))
    quiet(account.types("terminate", name))
    assert [one.name for one in sutils.list_instance_profiles()] == [account.role]


def test_prices_types_and_profiles(account, callers_policy):
    quiet(account.types("prices", "t3.micro"))
    quiet(account.types("find", "--vcpus", "2"))
    sutils.refresh_prices("us-east-1")
    sutils.refresh_images("us-east-1")


@pytest.mark.parametrize("maintain", [False, True])
def test_a_fleet_is_launched_named_refreshed_and_ended(callers_policy, manager, name, maintain):
    fleet = manager.launch_fleet(2, "t2.micro", name, maintain=maintain)
    assert len(manager.refresh_fleet_instances(fleet.id)[fleet.id].instances) == 2
    manager.cancel_fleet(fleet.id)


def test_copies_between_a_bucket_and_an_instance(account, callers_policy, manager, name):
    machine = manager.launch_instance(f"{name}-t", profile="t2.micro", instance_profile=account.role)
    machine.run("mkdir -p out && echo out > out/b.txt", cmd=True)
    there = f"s3://{account.bucket}/got/"
    transfer = manager.instance_s3_transfer("out", there, account.role, instance_name=f"{name}-t")

    def look():
        return Seen(transfer.refresh_instance(verbose=False) in ("shutting-down", "terminated") or None)

    wait_for("end of the instance", look, seconds=PATIENCE, every=0.3)
    assert "got/b.txt" in sutils.list_bucket(account.bucket, "got/")
    assert sutils.delete_from_bucket(account.bucket, ["got/b.txt"]) == 1


def test_jobs_run_on_a_fleet_with_a_file_system(callers_policy, manager, name):
    run = manager.run_distributed_jobs(name, 2, "echo job", "t2.micro", f"fs-{name}", linger=30)
    assert states(run.wait(PATIENCE)) == ["succeeded"] * 2
    run.close()


def test_while_somebody_stays_machines_are_replaced_on_demand_too(callers_policy, manager, name):
    settings = {"n_instances": 2, "on_demand_after": 1, "linger": 30, "lease": 15}
    run = manager.run_distributed_jobs(name, 4, counting(40), "t2.micro", f"fs-{name}", **settings)
    interrupt(manager, victim_of(run).instance, 10)
    record = run.stay(2 * PATIENCE)
    assert states(record) == ["succeeded"] * 4
    assert not record.capacity
    for fleet in list(manager.fleets):
        manager.cancel_fleet(fleet)


def test_key_pairs_are_cleared(callers_policy, account, name):
    quiet(account.types("-n", name, "-p", "t2.micro"))
    quiet(account.types("terminate", name))
    assert f"KP-{name}" in sutils.clear_key_pairs(yes=True, region="us-east-1")


def test_what_the_page_leaves_out_on_purpose_is_refused(account, callers_policy, name):
    ec2 = account.cloud.client("ec2")
    account.free()
    foreign = account.cloud.run()["InstanceId"]
    account.enforce(page_policies(YOUR_BUCKET=account.bucket)[0])
    done = account.types("terminate", foreign)
    assert done.returncode == 4, done.stderr
    assert "not authorized to perform: ec2:TerminateInstances" in " ".join(done.stderr.split())
    with pytest.raises(Exception, match="not authorized"):
        ec2.create_tags(Resources=[foreign], Tags=[{"Key": "spot-connect:managed", "Value": "true"}])


# What the administrator's policy promises.


def test_an_administrator_makes_an_instance_profile(account):
    account.enforce(page_policies()[2])
    name = f"spot-connect-{uuid.uuid4().hex[:8]}"
    assert sutils.create_instance_profile(name, "AmazonS3ReadOnlyAccess").name == name


# What the policy of instances promises.


def test_machines_replace_one_another_with_the_policy_of_the_page_alone(account, manager, name):
    places = {"YOUR_REGION": "us-east-1", "YOUR_PREFIX": name, "spot_connect_YOUR_ROLE": account.role}
    account.enforce(page_policies(YOUR_BUCKET=account.bucket)[0])
    account.enforce(page_policies(**places)[1], role=account.role)
    settings = {"n_instances": 2, "instance_profile": account.role, "linger": 30, "lease": 5}
    run = manager.run_distributed_jobs(name, 5, counting(60), "t2.micro", f"fs-{name}", **settings)
    first = members(run)
    victim = victim_of(run)
    interrupt(manager, victim.instance, 10)
    successor = successor_of(run, victim.instance, first)
    record = run.wait(2 * PATIENCE)
    assert states(record) == ["succeeded"] * 5
    assert successor.id not in first
    for fleet in list(manager.fleets):
        manager.cancel_fleet(fleet)


def test_another_prefix_is_refused_and_told_of(account, manager, name):
    places = {"YOUR_REGION": "us-east-1", "YOUR_PREFIX": "another", "spot_connect_YOUR_ROLE": account.role}
    account.enforce(page_policies(**places)[1], role=account.role)
    settings = {"n_instances": 2, "instance_profile": account.role, "linger": 30, "lease": 5}
    run = manager.run_distributed_jobs(name, 6, counting(100), "t2.micro", f"fs-{name}", **settings)
    interrupt(manager, victim_of(run).instance, 5)

    record = until(run, "a word of it", lambda record: record.capacity)
    assert "no instance in the place of" in record.capacity
    assert "not authorized to perform: ec2:CreateFleet" in record.capacity
    assert "Encoded" not in record.capacity
    run.cancel()
    for fleet in list(manager.fleets):
        manager.cancel_fleet(fleet)


# What is said when one right is missing.

LAUNCH = ("ec2:RunInstances", "ec2:CreateSecurityGroup", "ec2:ImportKeyPair", "ec2:CreateTags", "ec2:DescribeInstances")


@pytest.mark.parametrize(
    "action",
    [
        *LAUNCH,
        "ec2:DescribeSubnets",
        "ec2:DescribeImages",
        "ec2:DescribeSpotPriceHistory",
        "ec2:AuthorizeSecurityGroupIngress",
    ],
)
def test_a_launch_without_a_right_ends_with_4_the_right_and_what_to_do(account, callers_policy, name, action):
    account.deny(action)
    done = account.types("-n", name, "-p", "t2.micro", "-c", "true")
    assert done.returncode == 4, done.stderr
    said = " ".join(done.stderr.split())
    assert f"not authorized to perform: {action}" in said
    assert "docs/permissions.md" in said
    assert "Traceback" not in said
    assert "Encoded" not in said
    account.free()
    account.types("terminate", name)


@pytest.mark.parametrize("action", ["ssm:GetParameter", "pricing:GetProducts", "ec2:GetConsoleOutput"])
def test_what_a_launch_can_do_without_it_does_without(account, callers_policy, name, action):
    account.deny(action)
    done = account.types("-n", name, "-p", "t2.micro", "-c", "true")
    account.free()
    account.types("terminate", name)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "action",
    [
        "elasticfilesystem:DescribeFileSystems",
        "elasticfilesystem:CreateFileSystem",
        "elasticfilesystem:TagResource",
        "elasticfilesystem:CreateMountTarget",
        "ec2:CreateNetworkInterface",
    ],
)
def test_a_file_system_without_a_right_ends_with_4_and_the_right(account, callers_policy, name, action):
    account.deny(action)
    done = account.types("-n", name, "-p", "t2.micro", "-f", f"fs-{name}")
    account.free()
    account.types("terminate", name)
    assert done.returncode == 4, done.stderr
    assert f"not authorized to perform: {action}" in " ".join(done.stderr.split())
    assert "docs/permissions.md" in done.stderr


@pytest.mark.parametrize(
    "action", ["ec2:CreateFleet", "ec2:RunInstances", "ec2:CreateTags", "ec2:CreateLaunchTemplate"]
)
def test_a_fleet_without_a_right_leaves_nothing_and_names_it(account, callers_policy, manager, name, action):
    account.deny(action)
    with pytest.raises(NotAuthorized, match=action):
        manager.launch_fleet(2, "t2.micro", name)
    account.free()
    assert not [one for one in sutils.show_instances("us-east-1") if one.startswith(name)]


def test_a_role_that_may_not_be_given_is_refused(account, callers_policy, manager, name):
    account.deny("iam:PassRole")
    done = account.types("-n", name, "-p", "t2.micro", "-ip", account.role)
    assert done.returncode == 4, done.stderr
    assert "iam:PassRole" in done.stderr
    with pytest.raises(NotAuthorized, match="iam:PassRole"):
        manager.launch_fleet(2, "t2.micro", name, instance_profile=account.role)


def test_a_copy_without_a_right_is_refused(account, callers_policy, manager, name):
    account.deny("s3:ListBucket")
    with pytest.raises(NotAuthorized, match=r"docs/permissions\.md"):
        manager.instance_s3_transfer(
            "out", f"s3://{account.bucket}/x", account.role, instance_name=name, profile="t2.micro"
        )


@pytest.mark.parametrize("action", ["ec2:TerminateInstances", "ec2:CancelSpotInstanceRequests"])
def test_an_end_without_a_right_says_so(account, callers_policy, name, action):
    good(account.types("-n", name, "-p", "t2.micro"))
    account.deny(action)
    done = account.types("terminate", name)
    assert done.returncode == 4, done.stderr
    assert f"not authorized to perform: {action}" in " ".join(done.stderr.split())
    account.free()
    good(account.types("terminate", name)) if action == "ec2:TerminateInstances" else None


@pytest.mark.parametrize("words", [("list",), ("prices", "t3.micro"), ("find", "--vcpus", "2"), ("logs", "vm1")])
def test_no_verb_ends_with_a_traceback_when_nothing_is_allowed(account, words):
    account.enforce({"Statement": {"Effect": "Allow", "Action": "sts:GetCallerIdentity", "Resource": "*"}})
    done = account.types(*words)
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 4), done.stderr
    assert done.returncode == 0 or "docs/permissions.md" in done.stderr
