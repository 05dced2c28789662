"""What is sent to RunInstances, checked against botocore's own model of it."""

from decimal import Decimal

import botocore.session
import pytest
from botocore.validate import ParamValidator

from spot_connect.aws.instances import run_request
from spot_connect.core.models import Image, LaunchSpec, Subnet

SUBNET = Subnet("subnet-1", "us-east-1a", "vpc-1")


def spec(**changes):
    fields = {
        "name": "vm1",
        "region": "us-east-1",
        "instance_type": "t2.micro",
        "image": Image("ami-1", "x86_64", "/dev/xvda", 8),
        "key_name": "KP-vm1",
        "group_id": "sg-1",
        "tags": {"Name": "vm1"},
        "username": "ec2-user",
    }
    return LaunchSpec(**(fields | changes))


@pytest.fixture(scope="module")
def model():
    service = botocore.session.get_session().get_service_model("ec2")
    return service.operation_model("RunInstances").input_shape


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"max_price": Decimal("0.05"), "monitoring": True, "user_data": "#!/bin/bash\n"},
        {"instance_profile": "role1"},
        {"instance_profile": "arn:aws:iam::123456789012:instance-profile/role1"},
    ],
)
def test_the_request_fits_the_model(model, changes):
    report = ParamValidator().validate(run_request(spec(**changes), SUBNET), model)
    assert not report.has_errors(), report.generate_report()


def test_it_asks_for_one_time_spot_that_ends_when_it_is_interrupted():
    options = run_request(spec(), SUBNET)["InstanceMarketOptions"]
    assert options == {
        "MarketType": "spot",
        "SpotOptions": {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"},
    }


def test_a_price_is_sent_only_when_there_is_one():
    spot = run_request(spec(max_price=Decimal("0.05")), SUBNET)["InstanceMarketOptions"]["SpotOptions"]
    assert spot["MaxPrice"] == "0.05"


def test_everything_it_makes_is_tagged_in_the_same_call():
    kinds = {entry["ResourceType"] for entry in run_request(spec(), SUBNET)["TagSpecifications"]}
    assert kinds == {"instance", "volume", "network-interface", "spot-instances-request"}


def test_the_disk_is_encrypted_and_goes_with_the_instance():
    [mapping] = run_request(spec(image=Image("ami-1", "x86_64", "/dev/sda1", 75)), SUBNET)["BlockDeviceMappings"]
    assert mapping["DeviceName"] == "/dev/sda1"
    assert mapping["Ebs"] == {"VolumeSize": 75, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True}


def test_metadata_needs_a_token():
    assert run_request(spec(), SUBNET)["MetadataOptions"]["HttpTokens"] == "required"


def test_a_shutdown_inside_ends_it():
    assert run_request(spec(), SUBNET)["InstanceInitiatedShutdownBehavior"] == "terminate"
