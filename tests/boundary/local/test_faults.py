"""Trouble that was ordered comes as AWS brings it, where and as often as it was ordered."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from spot_connect.core.errors import LocalCloudError, SshLost
from spot_connect.core.models import Address
from spot_connect.core.waiting import Seen, wait_for
from spot_connect.local import service
from spot_connect.ssh.command import run
from spot_connect.ssh.connection import Connection
from tests.boundary.local.test_metadata import Metadata
from tests.local_cloud import PATIENCE, running_local_cloud

ZONE, OTHER_ZONE = "us-east-1a", "us-east-1b"


@pytest.fixture(autouse=True)
def _no_faults(cloud):
    yield
    cloud.control("DELETE", "faults")


@pytest.fixture
def plan(cloud):
    def plan(kind, **details):
        return cloud.control("POST", "faults", kind=kind, **details)

    return plan


@pytest.fixture(scope="session")
def once(cloud):
    """EC2 through a client that tries nothing twice."""
    return cloud.client("ec2", config=Config(retries={"total_max_attempts": 1}))


def left(cloud):
    return [fault["left"] for fault in cloud.control("GET", "faults")["faults"]]


def request(cloud, zone="", **parameters):
    place = {"Placement": {"AvailabilityZone": zone}} if zone else {}
    market = {"InstanceMarketOptions": {"MarketType": "spot"}}
    return (
        {"ImageId": cloud.image(), "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
        | place
        | (market | parameters)
    )


def launched_in(reply):
    return [instance["Placement"]["AvailabilityZone"] for instance in reply["Instances"]]


def failure(call, **parameters):
    """Code, message and HTTP status of a refusal."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    response = caught.value.response
    return response["Error"]["Code"], response["Error"]["Message"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_without_capacity_a_launch_is_a_server_error_in_that_pool_alone(cloud, once, plan):
    plan("capacity", instance_type="t3.micro", zone=ZONE)
    code, message, status = failure(once.run_instances, **request(cloud, ZONE))
    assert (code, status) == ("InsufficientInstanceCapacity", 500)
    assert message == "There is no Spot capacity available that matches your request."
    assert launched_in(once.run_instances(**request(cloud, OTHER_ZONE))) == [OTHER_ZONE]
    assert launched_in(once.run_instances(**request(cloud, ZONE, InstanceType="t3.small"))) == [ZONE]


def test_on_demand_has_no_capacity_either_and_says_where(cloud, once, plan):
    plan("capacity")
    code, message, status = failure(once.run_instances, **request(cloud, ZONE, InstanceMarketOptions={}))
    assert (code, status) == ("InsufficientInstanceCapacity", 500)
    assert f"sufficient t3.micro capacity in the Availability Zone you requested ({ZONE})" in message


def test_a_launch_that_names_no_zone_goes_where_there_is_capacity(cloud, once, plan):
    (first,) = launched_in(once.run_instances(**request(cloud)))
    plan("capacity", zone=first)
    (second,) = launched_in(once.run_instances(**request(cloud)))
    assert second != first


def test_capacity_comes_back_after_so_many_refusals(cloud, once, plan):
    plan("capacity", zone=ZONE, times=2)
    codes = [failure(once.run_instances, **request(cloud, ZONE))[0] for _ in range(2)]
    assert codes == ["InsufficientInstanceCapacity"] * 2
    assert left(cloud) == []
    once.run_instances(**request(cloud, ZONE))


def test_a_dry_run_meets_no_lack_of_capacity_and_does_not_count(cloud, once, plan):
    plan("capacity", times=1)
    assert failure(once.run_instances, **request(cloud, ZONE, DryRun=True))[0] == "DryRunOperation"
    assert left(cloud) == [1]


def test_a_refused_launch_may_be_asked_again_with_its_token(cloud, once, plan, name):
    plan("capacity", times=1)
    asked = request(cloud, ZONE, ClientToken=name)
    failure(once.run_instances, **asked)
    first, again = once.run_instances(**asked), once.run_instances(**asked)
    assert first["Instances"][0]["InstanceId"] == again["Instances"][0]["InstanceId"]


def test_a_refused_launch_leaves_neither_instance_nor_spot_request(cloud, once, plan, name):
    plan("capacity")
    tags = [{"Key": "Name", "Value": name}]
    specifications = [{"ResourceType": kind, "Tags": tags} for kind in ("instance", "spot-instances-request")]
    failure(once.run_instances, **request(cloud, TagSpecifications=specifications))
    filters = [{"Name": "tag:Name", "Values": [name]}]
    assert once.describe_instances(Filters=filters)["Reservations"] == []
    assert once.describe_spot_instance_requests(Filters=filters)["SpotInstanceRequests"] == []


@pytest.fixture
def fleet(ec2, cloud, name):
    """``fleet(count)`` is the answer of an instant fleet over two zones; the cheaper zone is asked first."""
    subnets = {subnet["AvailabilityZone"]: subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]}
    data = {"ImageId": cloud.image(), "InstanceType": "t3.micro"}
    template = ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)["LaunchTemplate"]

    def fleet(count, **override):
        pools = [{"SubnetId": subnets[zone], **override} for zone in (ZONE, OTHER_ZONE)]
        return ec2.create_fleet(
            Type="instant",
            LaunchTemplateConfigs=[
                {
                    "LaunchTemplateSpecification": {
                        "LaunchTemplateId": template["LaunchTemplateId"],
                        "Version": "$Latest",
                    },
                    "Overrides": pools,
                }
            ],
            TargetCapacitySpecification={"TotalTargetCapacity": count, "DefaultTargetCapacityType": "spot"},
            SpotOptions={"AllocationStrategy": "price-capacity-optimized"},
        )

    fleet.subnets = subnets
    return fleet


def codes(answer):
    return [error["ErrorCode"] for error in answer["Errors"]]


def test_a_fleet_tells_which_pools_have_no_capacity_and_takes_the_others(cloud, fleet, plan):
    (cheaper,) = {cloud.instance(one)["SubnetId"] for group in fleet(1)["Instances"] for one in group["InstanceIds"]}
    zone = next(zone for zone, subnet in fleet.subnets.items() if subnet == cheaper)
    plan("capacity", zone=zone)
    answer = fleet(3)
    assert codes(answer) == ["InsufficientInstanceCapacity"]
    assert answer["Errors"][0]["LaunchTemplateAndOverrides"]["Overrides"]["SubnetId"] == cheaper
    ids = [one for group in answer["Instances"] for one in group["InstanceIds"]]
    assert len(ids) == 3
    assert cheaper not in {cloud.instance(one)["SubnetId"] for one in ids}


def test_a_fleet_without_any_capacity_is_no_error_of_the_call(fleet, plan):
    plan("capacity", instance_type="t3.micro")
    answer = fleet(2)
    assert codes(answer) == ["InsufficientInstanceCapacity"] * 2
    assert answer["Instances"] == []


def test_the_price_is_above_the_maximum_where_one_was_given(cloud, once, plan):
    plan("price", instance_type="t3.micro", zone=ZONE)
    spot = {"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.5"}}
    code, message, status = failure(once.run_instances, **request(cloud, ZONE, InstanceMarketOptions=spot))
    assert (code, status) == ("SpotMaxPriceTooLow", 400)
    assert message.startswith("Your Spot request price of 0.5 is lower than the minimum required")
    once.run_instances(**request(cloud, OTHER_ZONE, InstanceMarketOptions=spot))
    # The cap is the on-demand price then, which EC2's spot prices do not exceed.
    once.run_instances(**request(cloud, ZONE))


def test_a_fleet_tells_which_pools_are_too_dear(fleet, plan):
    plan("price", times=1)
    answer = fleet(1, MaxPrice="0.5")
    assert codes(answer) == ["SpotMaxPriceTooLow"]
    assert len(answer["Instances"]) == 1


def test_throttling_hits_every_call_of_ec2_until_it_is_cleared(cloud, once, plan):
    plan("throttling")
    for call in (once.describe_regions, once.describe_vpcs):
        assert failure(call) == ("RequestLimitExceeded", "Request limit exceeded.", 503)
    cloud.client("sts").get_caller_identity()
    cloud.client("s3").list_buckets()
    cloud.control("DELETE", "faults")
    once.describe_regions()


def test_throttling_of_one_action_leaves_the_others(cloud, once, plan):
    plan("throttling", action="RunInstances", times=1)
    once.describe_regions()
    assert failure(once.run_instances, **request(cloud))[0] == "RequestLimitExceeded"
    once.run_instances(**request(cloud))


def test_a_client_that_tries_again_gets_through(cloud, plan):
    plan("throttling", times=2)
    patient = cloud.client("ec2", config=Config(retries={"mode": "standard", "total_max_attempts": 4}))
    reply = patient.describe_regions()
    assert reply["ResponseMetadata"]["RetryAttempts"] == 2


def test_a_call_that_is_not_meant_arrives_whole(cloud, ec2, plan, name):
    plan("throttling", action="StopInstances")
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}, {"Key": "é", "Value": "&=+ü"}]}]
    launched = cloud.run(TagSpecifications=tags)
    assert cloud.tags(launched["InstanceId"])["é"] == "&=+ü"


def test_neither_the_control_interface_nor_the_metadata_service_is_throttled(cloud, plan):
    instance = cloud.run()
    plan("throttling")
    assert cloud.control("GET", "status")["level"]
    metadata = Metadata(cloud, instance["InstanceId"])
    metadata.begin()
    assert metadata.get("meta-data/instance-id") == (200, instance["InstanceId"])
    assert left(cloud) == [None]


def test_any_error_can_be_ordered(once, cloud, plan):
    plan("error", action="RunInstances", code="VcpuLimitExceeded", times=1)
    code, message, status = failure(once.run_instances, **request(cloud))
    assert (code, status) == ("VcpuLimitExceeded", 400)
    assert "spot_connect local fault" in message
    plan("error", action="DescribeRegions", code="InternalError", status=500)
    assert failure(once.describe_regions)[::2] == ("InternalError", 500)


def test_a_boot_takes_as_long_as_ordered_until_it_is_cleared(cloud, ec2, plan):
    def health(instance_id):
        found = ec2.describe_instance_status(InstanceIds=[instance_id])["InstanceStatuses"][0]
        return found["InstanceStatus"]["Status"]

    plan("boot", seconds=7)
    plan("boot", seconds=500)
    assert len(left(cloud)) == 1
    slow = cloud.until(cloud.run()["InstanceId"], "running")["InstanceId"]
    cloud.control("DELETE", "faults")
    quick = cloud.until(cloud.run()["InstanceId"], "running")["InstanceId"]
    assert (health(slow), health(quick)) == ("initializing", "ok")


@pytest.mark.parametrize(
    ("details", "said"),
    [
        ({"kind": "capacity", "instance_type": "t3.mircro"}, "is it t3.micro"),
        ({"kind": "price", "zone": "us-east-1"}, "no availability zone"),
        ({"kind": "throttling", "action": "RunInstance"}, "is it RunInstances"),
        ({"kind": "error", "action": "RunInstances", "code": "a code"}, "no error code"),
        ({"kind": "error", "action": "RunInstances", "code": "Oops", "status": 200}, "400 to 599"),
        ({"kind": "flood"}, "the faults are"),
    ],
)
def test_what_could_never_strike_is_refused(cloud, details, said):
    with pytest.raises(LocalCloudError, match=said):
        cloud.control("POST", "faults", **details)
    assert left(cloud) == []


def test_the_plan_tells_what_is_left_of_it(cloud, once, plan):
    plan("throttling", action="DescribeRegions", times=3)
    plan("capacity", instance_type="t3.micro")
    failure(once.describe_regions)
    told = cloud.control("GET", "faults")["faults"]
    assert [(fault["kind"], fault["left"]) for fault in told] == [("throttling", 2), ("capacity", None)]
    assert told[0]["says"] == "RequestLimitExceeded (HTTP 503) from DescribeRegions, 2 more"
    assert told[1]["says"] == "no capacity for t3.micro in every zone, until cleared"


def test_two_faults_of_a_kind_are_counted_one_after_the_other(cloud, once, plan):
    plan("error", action="DescribeRegions", code="First", times=1)
    plan("error", action="DescribeRegions", code="Second", times=1)
    assert [failure(once.describe_regions)[0] for _ in range(2)] == ["First", "Second"]
    assert left(cloud) == []


def test_faults_end_with_a_reset_and_with_the_daemon(tmp_path):
    with running_local_cloud(tmp_path / "home") as own:
        own.control("POST", "faults", kind="boot", seconds=5)
        own.control("POST", "reset")
        assert left(own) == []
        own.control("POST", "faults", kind="capacity")
        service.down(own.home)
        service.up(own.home)
        assert left(own) == []


@pytest.fixture
def machine(cloud, ec2, name, tmp_path):
    """``machine()`` is a new SSH connection to one instance, whose id is ``machine.id``."""
    key = tmp_path / "key.pem"
    key.touch(mode=0o600)
    key.write_text(ec2.create_key_pair(KeyName=name)["KeyMaterial"], encoding="utf-8")
    instance_id = cloud.until(cloud.spot(KeyName=name)["InstanceId"], "running")["InstanceId"]
    host, _, port = cloud.tags(instance_id)["spot-connect:ssh"].rpartition(":")

    def machine():
        return Connection(Address(host, int(port)), "ec2-user", key, verify=lambda _: None)

    machine.id = instance_id
    return machine


def appears(connection, name):
    def look():
        there = run(connection, f"test -e {name}").exit_status == 0
        return Seen(there or None, "not yet")

    wait_for(name, look, seconds=PATIENCE, every=0.05)


def drop(cloud, machine):
    return cloud.control("POST", f"instances/{machine.id}/drop-lines")["dropped"]


def test_every_line_breaks_and_what_runs_goes_on(cloud, machine):
    with machine() as working, machine() as idle, ThreadPoolExecutor(1) as pool:
        work = "touch begun; while ! test -e go; do sleep 0.05; done; touch done"
        running = pool.submit(run, working, work)
        appears(idle, "begun")
        assert drop(cloud, machine) == 2
        with pytest.raises(SshLost):
            running.result(PATIENCE)
        assert drop(cloud, machine) == 0
        # The idle one connects again by itself.
        run(idle, "touch go")
        appears(idle, "done")
        assert drop(cloud, machine) == 1


def test_a_new_line_is_as_good_as_the_first(cloud, machine):
    for _ in range(3):
        with machine() as line:
            assert run(line, "echo here").stdout == b"here\n"
            assert drop(cloud, machine) == 1
    with machine() as line:
        assert run(line, "head -c 1000000 /dev/zero | wc -c").stdout.strip() == b"1000000"


def test_only_the_lines_of_that_instance_break(cloud, machine):
    other = cloud.until(cloud.spot()["InstanceId"], "running")["InstanceId"]
    with machine() as line:
        run(line, "true")
        assert cloud.control("POST", f"instances/{other}/drop-lines") == {"dropped": 0}
        assert line.is_open


def test_what_does_not_run_has_no_lines(cloud):
    instance_id = cloud.spot()["InstanceId"]
    cloud.end(instance_id)
    with pytest.raises(LocalCloudError, match="does not run"):
        cloud.control("POST", f"instances/{instance_id}/drop-lines")
