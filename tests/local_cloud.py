"""A real local cloud in a home of its own, for as long as a test or a session needs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from spot_connect.core.waiting import Seen, wait_for
from spot_connect.local import service

PATIENCE = 60
lag_seconds = 0.0
"""How late calls to every cloud hear of what others have made; ``--lag`` sets it."""
TESTS_OWN = "sent-by-a-test"
"""What tells the requests of tests themselves, which may be wrong on purpose, from those of our code."""
AMAZON_LINUX = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{}"


@cache
def _session() -> Any:
    import boto3
    import botocore.session

    session = botocore.session.get_session()
    session.user_agent_extra = TESTS_OWN
    return boto3.session.Session(botocore_session=session)


@dataclass
class LocalCloud:
    """The running cloud, and what tests do with it again and again."""

    home: Path
    endpoint: service.Endpoint
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    def client(self, name: str, region: str = service.DEFAULT_REGION, **options: Any) -> Any:
        """A boto3 client of the service."""
        if options:
            return _session().client(name, **{**self._access(region), **options})
        if (name, region) not in self._clients:
            self._clients[name, region] = _session().client(name, **self._access(region))
        return self._clients[name, region]

    def _access(self, region: str) -> dict[str, Any]:
        return {
            "region_name": region,
            "endpoint_url": self.endpoint.url,
            "aws_access_key_id": self.endpoint.access_key,
            "aws_secret_access_key": self.endpoint.secret_key,
        }

    def image(self, architecture: str = "x86_64", region: str = service.DEFAULT_REGION) -> str:
        """The id of today's Amazon Linux."""
        name = AMAZON_LINUX.format(architecture)
        return self.client("ssm", region).get_parameter(Name=name)["Parameter"]["Value"]

    def run(self, **parameters: Any) -> dict[str, Any]:
        """An instance as RunInstances tells it; on demand unless asked otherwise."""
        defaults = {"ImageId": self.image(), "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
        return self.client("ec2").run_instances(**{**defaults, **parameters})["Instances"][0]

    def spot(self, **parameters: Any) -> dict[str, Any]:
        """A spot instance as RunInstances tells it."""
        options = parameters.pop("options", {})
        market = {"MarketType": "spot"} | ({"SpotOptions": options} if options else {})
        return self.run(InstanceMarketOptions=market, **parameters)

    def instance(self, instance_id: str) -> dict[str, Any]:
        """The instance as DescribeInstances tells it."""
        return self.client("ec2").describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]

    def tags(self, instance_id: str) -> dict[str, str]:
        """The tags of the instance."""
        return {tag["Key"]: tag["Value"] for tag in self.instance(instance_id).get("Tags", [])}

    def until(self, instance_id: str, state: str) -> dict[str, Any]:
        """The instance, once it is in the state."""

        def look() -> Seen[dict[str, Any]]:
            found = self.instance(instance_id)
            now = found["State"]["Name"]
            return Seen(found if now == state else None, now)

        return wait_for(f"{instance_id} {state}", look, seconds=PATIENCE, every=0.05)

    def end(self, *instance_ids: str) -> None:
        """Terminate the instances and see them gone."""
        self.client("ec2").terminate_instances(InstanceIds=list(instance_ids))
        for instance_id in instance_ids:
            self.until(instance_id, "terminated")

    def control(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """An answer of the control interface."""
        return service.call(self.home, method, path, body)


def somebody_else(region: str = service.DEFAULT_REGION) -> Any:
    """EC2 as another program sees it, with every operation; of the local cloud that ``SPOT_CONNECT_HOME`` names."""
    return LocalCloud(Path(), service.ensure_up()).client("ec2", region)


@contextmanager
def running_local_cloud(home: Path, **options: Any) -> Iterator[LocalCloud]:
    """A local cloud that ``service.up`` starts with ``options``, and that is gone afterwards."""
    report = service.up(home, **options)
    if lag_seconds:
        service.call(home, "POST", "faults", {"kind": "lag", "seconds": lag_seconds})
    try:
        yield LocalCloud(home, report.endpoint)
    finally:
        service.down(home)
