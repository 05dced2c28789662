"""Images: parameter names, login names, and what boots on what."""

from __future__ import annotations

import pytest

from spot_connect.core import images
from spot_connect.core.errors import UsageError
from spot_connect.store import tables


@pytest.mark.parametrize(
    ("family", "architecture", "name"),
    [
        ("amazon-linux-2023", "x86_64", "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"),
        ("amazon-linux-2", "arm64", "/aws/service/ami-amazon-linux-latest/amzn2-ami-kernel-5.10-hvm-arm64-gp2"),
        (
            "ubuntu-24.04",
            "x86_64",
            "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id",
        ),
        ("ubuntu-22.04", "arm64", "/aws/service/canonical/ubuntu/server/22.04/stable/current/arm64/hvm/ebs-gp2/ami-id"),
        ("debian-13", "x86_64", "/aws/service/debian/release/13/latest/amd64"),
        (
            "deep-learning-ubuntu-24.04",
            "arm64",
            "/aws/service/deeplearning/ami/arm64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id",
        ),
    ],
)
def test_parameter_names(family, architecture, name):
    assert images.ssm_parameter(family, architecture) == name


def test_parameter_names_are_those_of_the_table():
    rows = {(row.family, row.architecture): row for row in tables.images("us-east-1") if row.family in images.FAMILIES}
    default = {key: row for key, row in rows.items() if "kernel 6.1" not in row.name or row.name.endswith("6.1)")}
    assert default
    for (family, architecture), row in default.items():
        assert images.ssm_parameter(family, architecture) == row.ssm_parameter


@pytest.mark.parametrize("wrong", [("windows", "x86_64"), ("debian-12", "i386")])
def test_unknown_parameters_are_refused(wrong):
    with pytest.raises(UsageError):
        images.ssm_parameter(*wrong)


@pytest.mark.parametrize(
    ("name", "owner", "user"),
    [
        ("al2023-ami-2023.9.20260101.0-kernel-6.1-x86_64", "", "ec2-user"),
        ("amzn2-ami-hvm-2.0.20260101-x86_64-gp2", "", "ec2-user"),
        ("Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04) 20260101", "898082745236", "ubuntu"),
        ("Deep Learning Base OSS Nvidia Driver GPU AMI (Amazon Linux 2023) 20260101", "", "ec2-user"),
        ("debian-12-amd64-20260101-1", "", "admin"),
        ("bitnami-wordpress-6.0-on-debian-12", "", "bitnami"),
        ("Rocky-9-EC2-Base", "", "rocky"),
        ("CentOS Stream 9", "", "centos"),
        ("RHEL-9.4.0_HVM", "309956199498", "ec2-user"),
        ("suse-sles-15-sp6", "", "ec2-user"),
        ("my image", "099720109477", "ubuntu"),
        ("my image", "136693071363", "admin"),
        ("my image", "123456789012", ""),
        ("", "", ""),
    ],
)
def test_login_names_are_guessed_from_name_and_owner(name, owner, user):
    assert images.username_for(name, owner) == user


def test_the_table_agrees_with_the_guess():
    for row in tables.images("us-east-1"):
        assert images.username_for(row.name) == row.username


@pytest.mark.parametrize(
    ("supported", "chosen"),
    [(["i386", "x86_64"], "x86_64"), (["arm64"], "arm64"), (["x86_64_mac"], ""), ([], "")],
)
def test_the_architecture_to_launch_with(supported, chosen):
    assert images.preferred_architecture(supported) == chosen


def test_an_image_that_cannot_boot_is_refused_with_what_would():
    with pytest.raises(UsageError, match=r"image ami-1 does not run on t4g.nano.*Choose an image for arm64"):
        images.check_architecture("ami-1", "x86_64", "t4g.nano", ["arm64"])
    images.check_architecture("ami-1", "x86_64", "t2.micro", ["i386", "x86_64"])


@pytest.mark.parametrize(
    "text", ["", "ami-", "ami-123", "ami-0006118602dfc1c0", "AMI-12345678", "i-12345678", "ami-1234567g"]
)
def test_image_ids(text):
    with pytest.raises(UsageError):
        images.image_id(text)


@pytest.mark.parametrize(
    "name", ["Amazon Linux 2023 AMI (kernel 6.1)", "al2023-ami-2023.9.20260727.0-kernel-6.1-arm64"]
)
def test_an_image_that_a_type_does_not_start_is_refused_before_a_launch(name):
    images.check_starts("ami-1", name, "t4g.nano")
    images.check_starts("ami-1", "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-arm64-server-20260101", "a1.large")
    with pytest.raises(UsageError, match=r"ami-1 does not start on a1\.large"):
        images.check_starts("ami-1", name, "a1.large")
