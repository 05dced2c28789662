"""What the doctor finds at a real local cloud, and that it makes nothing there."""

from __future__ import annotations

import re
import stat
from urllib.parse import parse_qs

import pytest
from botocore.httpsession import URLLib3Session

from spot_connect.aws import rights as calls
from spot_connect.aws.service_models import EC2_OPERATIONS
from spot_connect.core.errors import AwsError, NotAuthorized, UnknownProfile
from spot_connect.core.findings import State
from spot_connect.doctor.rights import GROUPS
from spot_connect.instance_manager import InstanceManager
from spot_connect.spotted import SpotInstance
from spot_connect.sutils import doctor

READING = {
    "elasticfilesystem": "DescribeFileSystems",
    "iam": "GetRole",
    "servicequotas": "GetServiceQuota",
    "ssm": "GetParameter",
    "sts": "GetCallerIdentity",
}
REST = {"/2015-02-01/file-systems": "DescribeFileSystems"}


@pytest.fixture
def sent(monkeypatch):
    """Whatever goes out by botocore, as service, action, and whether it is a dry run."""
    found = set()
    send = URLLib3Session.send

    def noted(self, request):
        signed = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", _text(request.headers.get("Authorization", "")))
        said = parse_qs(_text(request.body or b""))
        target = _text(request.headers.get("X-Amz-Target", "")).rpartition(".")[2]
        path = request.url.partition("?")[0].partition("//")[2].partition("/")[2]
        action = target or said.get("Action", [""])[0] or REST.get(f"/{path}", path)
        found.add((signed[1] if signed else "sts", action, said.get("DryRun") == ["true"]))
        return send(self, request)

    monkeypatch.setattr(URLLib3Session, "send", noted)
    return found


def _text(text):
    return text.decode() if isinstance(text, bytes) else str(text)


@pytest.fixture
def busy(realm):
    """A name with a machine, and a fleet that is maintained: something of each kind that can be changed."""
    SpotInstance("vm1", profile="t3.micro", local=True)
    manager = InstanceManager(local=True)
    manager.launch_fleet(1, "t3.micro", "w", maintain=True)
    yield
    manager.cancel_fleet("w")
    manager.terminate("vm1")


def everything(cloud):
    """All that EC2, EFS and IAM hold, without the time and the number of the answer."""
    ec2, found = cloud.client("ec2"), {}
    for name in ("instances", "security_groups", "key_pairs", "launch_templates", "fleets", "spot_instance_requests"):
        found[name] = getattr(ec2, f"describe_{name}")()
    found["rules"] = ec2.describe_security_group_rules()
    found["tags"] = ec2.describe_tags()
    found["file systems"] = cloud.client("efs").describe_file_systems()
    for answer in found.values():
        del answer["ResponseMetadata"]
    return found


def test_a_new_local_cloud_stands_in_nobodys_way(look):
    found = look()
    assert {finding.state for finding in found.values()} == {State.OK}, found
    assert "so far" not in found["may change"].says
    assert set(found["may change"].details["calls"]) == set(calls.CHANGE)


def test_nothing_is_made_or_changed_whatever_there_is_to_change(cloud, look, busy, sent):
    before = everything(cloud)
    found = look()
    assert everything(cloud) == before
    asked = {call for call in sent if call[0] != "ec2"}
    assert {(service, action) for service, action, _ in asked} == set(READING.items())
    ec2 = {(action, dry) for service, action, dry in sent if service == "ec2"}
    really = {action for action, dry in ec2 if not dry}
    assert all(action.startswith(("Describe", "Get")) for action in really), really
    assert {state for finding in found.values() for state in [finding.state]} == {State.OK}, found


def test_each_call_of_the_package_is_asked_for_with_dry_run(look, busy, sent):
    found = look()
    assert {action for service, action, dry in sent if dry} == EC2_OPERATIONS
    told = {name: each["state"] for group in GROUPS for name, each in found[group.check].details["calls"].items()}
    assert told == {f"ec2:{name}": "allowed" for name in EC2_OPERATIONS}


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.check)
def test_a_call_that_is_refused_is_a_fault_that_names_it(look, busy, fault, group):
    refused = group.calls[0]
    fault(refused.removeprefix("ec2:"), "UnauthorizedOperation")
    found = look()
    states = {name: finding.state for name, finding in found.items() if finding.state is not State.OK}
    # What else rests on the call may suffer, too.
    assert states[group.check] is State.FAULT
    assert f"refused: {refused}" in found[group.check].says
    assert "docs/permissions.md" in found[group.check].mend
    assert found[group.check].details["calls"][refused]["state"] == "refused"
    assert found["credentials"].state is State.OK


def test_a_call_that_fails_otherwise_is_unknown_and_not_refused(look, fault):
    fault("RunInstances", "InvalidParameterValue", 400)
    found = look()["may launch"]
    assert found.state is State.UNKNOWN
    assert found.details["calls"]["ec2:RunInstances"]["state"] == "unknown"
    assert "could not be looked at: ec2:RunInstances" in found.says


def test_throttling_is_no_fault_of_the_account(look, fault):
    fault("DescribeSubnets", "RequestLimitExceeded", 503)
    found = look()
    assert found["network"].state is State.UNKNOWN
    assert found["may look"].state is State.UNKNOWN
    assert found["credentials"].state is State.OK


def test_a_region_without_a_default_vpc_is_a_fault_with_the_command_that_makes_one(cloud, look):
    ec2 = cloud.client("ec2", "eu-west-3")
    for subnet in ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    found = look(region="eu-west-3")
    assert found["network"].state is State.FAULT
    assert "aws ec2 create-default-vpc --region eu-west-3" in found["network"].mend
    assert "doctor" not in found["network"].mend
    # It could not be asked for an instance in no subnet.
    assert found["may launch"].details["calls"]["ec2:RunInstances"]["state"] == "unknown"


def test_a_default_vpc_that_leads_nowhere_is_a_fault(cloud, look):
    ec2 = cloud.client("ec2", "eu-west-2")
    [vpc] = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    [table] = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["RouteTables"]
    ec2.delete_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0")
    found = look(region="eu-west-2")["network"]
    assert (found.state, found.details["public_subnets"]) == (State.FAULT, [])
    assert "create-route" in found.mend


def test_the_quota_is_that_of_the_families_of_the_type(look):
    found = look("p4d.24xlarge")
    assert (found["spot quota"].details["code"], found["spot quota"].details["needed"]) == ("L-7212CCBC", 96)
    assert "L-417A185B" in found["on-demand quota"].says
    assert found["on-demand quota"].state is State.UNKNOWN


def test_what_runs_counts_against_the_quota(cloud, look):
    started = cloud.client("ec2").run_instances(
        ImageId=cloud.image(),
        InstanceType="g6e.48xlarge",
        MinCount=1,
        MaxCount=1,
        InstanceMarketOptions={"MarketType": "spot"},
    )["Instances"][0]["InstanceId"]
    try:
        found = look("g6e.48xlarge")["spot quota"]
        assert (found.state, found.details["in_use"]) == (State.FAULT, 192)
        assert "--quota-code L-3819A6DF --desired-value 448" in found.mend
        assert look("t3.micro")["spot quota"].details["in_use"] == 0
    finally:
        cloud.end(started)


def test_an_unknown_profile_is_a_mistake_of_the_user(look):
    with pytest.raises(UnknownProfile):
        look("t3.mirco")


def test_broken_profiles_and_settings_are_faults_and_hide_nothing_else(realm, look):
    realm.state.write_atomic(realm.profiles.own, "{ 'x': ")
    realm.state.write_atomic(realm.state.path("settings.json"), "[")
    try:
        found = look()
    finally:
        realm.profiles.own.unlink()
        realm.state.path("settings.json").unlink()
    assert found["profiles"].state is State.FAULT
    assert str(realm.profiles.own) in found["profiles"].says
    assert found["key directory"].state is not State.OK
    assert found["credentials"].state is State.OK
    assert found["network"].state is State.OK


@pytest.mark.parametrize(("mode", "state"), [(0o777, State.FAULT), (0o755, State.OK), (0o500, None), (0o700, State.OK)])
def test_a_key_directory_that_others_can_change_is_a_fault_and_stays_as_it_is(look, tmp_path, mode, state):
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "KP-a.pem").touch(0o600)
    (keys / "KP-b.pem").touch(0o644)
    (keys / "KP-b.pem").chmod(0o644)
    keys.chmod(mode)
    found = look(key_directory=str(keys))["key directory"]
    assert stat.S_IMODE(keys.stat().st_mode) == mode
    assert stat.S_IMODE((keys / "KP-b.pem").stat().st_mode) == 0o644
    keys.chmod(0o700)
    if state is State.FAULT:
        assert (found.state, f"chmod go-w {keys}" in found.mend) == (State.FAULT, True)
    elif state is State.OK:
        # The directory may be seen; the key may not.
        assert (found.state, found.mend) == (State.WARNING, f"Run: chmod go-rwx {keys / 'KP-b.pem'}")
        assert found.details["open_to_others"] == [str(keys / "KP-b.pem")]


def test_a_key_directory_that_cannot_be_made_is_a_fault_and_one_that_can_is_not_made(look, tmp_path):
    (tmp_path / "file").touch()
    found = look(key_directory=str(tmp_path / "file" / "keys"))["key directory"]
    assert (found.state, bool(found.mend)) == (State.FAULT, True)
    assert look(key_directory=str(tmp_path / "file"))["key directory"].state is State.FAULT
    found = look(key_directory=str(tmp_path / "new" / "keys"))["key directory"]
    assert (found.state, found.details["exists"]) == (State.OK, False)
    assert not (tmp_path / "new").exists()


def test_python_gets_the_same_report(realm):
    report = doctor("t3.micro", local=True)
    assert (report.state, report.region, report.profile) == (State.OK, "us-east-1", "t3.micro")
    assert [finding.check for finding in report.findings if finding.state == "fault"] == []


@pytest.mark.parametrize(
    ("code", "is_examined"),
    [
        ("UnauthorizedOperation", True),
        ("VcpuLimitExceeded", True),
        ("AuthFailure", True),
        ("InvalidAMIID.NotFound", False),
    ],
)
def test_a_refusal_ends_with_the_doctor_of_the_same_cloud_where_that_can_help(realm, fault, code, is_examined):
    fault("DescribeInstances", code, 400)
    with pytest.raises(AwsError) as caught:
        SpotInstance("vm9", local=True)
    assert caught.value.advice.endswith("`spot_connect --local doctor` looks for the cause.") == is_examined
    assert isinstance(caught.value, NotAuthorized) == (code == "UnauthorizedOperation")
