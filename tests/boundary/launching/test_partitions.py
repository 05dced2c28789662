"""China and GovCloud: what a launch needs is found there, and names of servers end as botocore knows it."""

from __future__ import annotations

import uuid

import botocore.session
import pytest

from spot_connect.aws.session import Cloud
from spot_connect.core.errors import UsageError
from spot_connect.launching import connecting, ending, mounting
from spot_connect.launching.preparing import prepare
from spot_connect.ssh.command import run

OTHERS = {"cn-north-1": ("aws-cn", "amazonaws.com.cn"), "us-gov-west-1": ("aws-us-gov", "amazonaws.com")}


def every_region():
    session = botocore.session.get_session()
    resolver = session._get_internal_component("endpoint_resolver")
    for partition in session.get_available_partitions():
        for region in session.get_available_regions("ec2", partition):
            yield region, resolver.get_partition_dns_suffix(partition)


def test_the_suffix_of_every_region_is_that_of_botocore():
    found = dict(every_region())
    assert len(found) > 30
    assert {region: Cloud(region).dns_suffix for region in found} == found


def test_of_a_region_that_botocore_does_not_know_it_is_that_of_most():
    assert Cloud("xx-nowhere-1").dns_suffix == "amazonaws.com"


@pytest.mark.parametrize("service", ["ec2", "efs", "s3", "ssm"])
def test_calls_go_to_the_servers_of_the_partition(service, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    for region, (partition, suffix) in OTHERS.items():
        client = Cloud(region).client(service)
        assert client.meta.partition == partition
        assert client.meta.endpoint_url.endswith(f".{region}.{suffix}")


@pytest.mark.parametrize("region", OTHERS)
def test_it_launches_there_with_the_newest_image_and_mounts(realm, request_for, keys, heard, region):
    token = f"fs-{uuid.uuid4().hex[:8]}"
    reached = connecting.reach(realm, request_for("t3.micro", region=region), keys, heard)
    try:
        mounted = mounting.mount(realm, reached.instance, reached.connection, token, heard, new_target=False)
        assert reached.instance.region == region
        assert mounted.dns == f"{mounted.file_system.id}.efs.{region}.{OTHERS[region][1]}"
        assert run(reached.connection, "whoami").stdout == b"ec2-user\n"
        assert [warning for warning in heard.warnings if "yuan" in warning] or not region.startswith("cn-")
    finally:
        reached.connection.close()
        ending.terminate(realm, [reached.instance])


def test_where_aws_tells_no_image_the_user_is_asked_for_one_before_anything_is_made(
    realm, request_for, keys, heard, wire
):
    wire.tap("us-gov-west-1").refuse("GetParameter", "ParameterNotFound")
    with pytest.raises(UsageError, match=r"no image .* in us-gov-west-1.*-ami"):
        prepare(realm, request_for("t3.micro", region="us-gov-west-1"), keys, heard)
    assert not {"ImportKeyPair", "CreateSecurityGroup"} & wire.calls.keys()
