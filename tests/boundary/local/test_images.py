"""Images and the public parameters that name them."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

UBUNTU = "/aws/service/canonical/ubuntu/server/{}/stable/current/{}/hvm/{}/ami-id"


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1", "ap-south-1"])
@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
@pytest.mark.parametrize("version", ["24.04", "22.04"])
def test_ubuntu_is_named_by_canonicals_parameter_and_can_be_described(cloud, region, architecture, version):
    name = UBUNTU.format(version, architecture, "ebs-gp3" if version == "24.04" else "ebs-gp2")
    value = cloud.client("ssm", region).get_parameter(Name=name)["Parameter"]["Value"]
    image = cloud.client("ec2", region).describe_images(ImageIds=[value])["Images"][0]
    assert image["OwnerId"] == "099720109477"
    assert image["Architecture"] == {"amd64": "x86_64"}.get(architecture, architecture)
    assert image["RootDeviceName"] == "/dev/sda1"


@pytest.mark.parametrize(
    "name", ["/aws/service/debian/release/12/latest/amd64", UBUNTU.format("1.04", "amd64", "ebs-gp3"), "/mine"]
)
def test_other_parameters_are_not_there(cloud, refused, name):
    assert refused(cloud.client("ssm").get_parameter, Name=name)[0] == "ParameterNotFound"


def test_images_have_the_dates_they_were_made(cloud, ec2):
    images = ec2.describe_images(ImageIds=[cloud.image(), _ubuntu(cloud)])["Images"]
    today = datetime.now(timezone.utc).date().isoformat()
    dates = [image["CreationDate"] for image in images]
    assert all("2025" < date < today for date in dates)


def test_the_newest_amazon_linux_by_date_is_a_new_one(ec2):
    images = ec2.describe_images(
        Owners=["amazon"],
        Filters=[{"Name": "name", "Values": ["al2023-ami-2023*"]}, {"Name": "architecture", "Values": ["x86_64"]}],
    )["Images"]
    dates = {image["CreationDate"] for image in images}
    assert max(dates) > "2026"


def _ubuntu(cloud):
    return cloud.client("ssm").get_parameter(Name=UBUNTU.format("24.04", "amd64", "ebs-gp3"))["Parameter"]["Value"]
