"""What a run of the live tests has left in the account, and its end; with boto3 alone, whatever is wrong with ours."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_LIVE = ["pending", "running", "stopping", "stopped", "shutting-down"]
_SECONDS = 600


class Leftovers:
    """All whose name begins with ``prefix``, in the Region of the environment."""

    def __init__(self, prefix: str, endpoint: str = "") -> None:
        import boto3

        session = boto3.session.Session()
        options = {"region_name": session.region_name or "us-east-1", "endpoint_url": endpoint or None}
        self.ec2 = session.client("ec2", **options)
        self.efs = session.client("efs", **options)
        self._prefix = prefix

    def instances(self) -> list[str]:
        """The ids of machines that have not ended."""
        names = [f"{self._prefix}*"]
        found: dict[str, None] = {}
        for key in ("Name", "spot-connect:name", "spot-connect:fleet"):
            filters = [{"Name": f"tag:{key}", "Values": names}, {"Name": "instance-state-name", "Values": _LIVE}]
            for page in self.ec2.get_paginator("describe_instances").paginate(Filters=filters):
                found |= {one["InstanceId"]: None for each in page["Reservations"] for one in each["Instances"]}
        return list(found)

    def everything(self) -> dict[str, list[str]]:
        """What there is, by kind."""
        return {
            "instances": self.instances(),
            "templates": self._templates(),
            "file systems": self._file_systems(),
            "groups": self._groups(),
            "key pairs": self._key_pairs(),
        }

    def clear(self) -> None:
        """End and delete it all.

        Each step is tried whatever became of the others. What is still there in the end is raised, with its names.
        """
        deadline = time.monotonic() + _SECONDS
        while True:
            for step in (self._end_instances, self._delete_file_systems, self._delete_the_rest):
                self._try(step)
            left = {kind: names for kind, names in self.everything().items() if names}
            if not left:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"DELETE BY HAND, they may cost money: {left}")
            time.sleep(3)

    def _try(self, step: Callable[[], None]) -> None:
        from botocore.exceptions import ClientError

        # Some can be deleted only once others are gone; the next round does it.
        with suppress(ClientError):
            step()

    def _end_instances(self) -> None:
        ids = self.instances()
        if ids:
            self.ec2.terminate_instances(InstanceIds=ids)

    def _delete_file_systems(self) -> None:
        for one in self._file_systems():
            for target in self.efs.describe_mount_targets(FileSystemId=one)["MountTargets"]:
                self._try(lambda target=target: self.efs.delete_mount_target(MountTargetId=target["MountTargetId"]))
            self._try(lambda one=one: self.efs.delete_file_system(FileSystemId=one))

    def _delete_the_rest(self) -> None:
        for one in self._templates():
            self._try(lambda one=one: self.ec2.delete_launch_template(LaunchTemplateId=one))
        for one in self._groups():
            self._try(lambda one=one: self._delete_group(one))
        for one in self._key_pairs():
            self._try(lambda one=one: self.ec2.delete_key_pair(KeyName=one))

    def _delete_group(self, group_id: str) -> None:
        rules = self.ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"][0]["IpPermissions"]
        if rules:
            self.ec2.revoke_security_group_ingress(GroupId=group_id, IpPermissions=rules)
        self.ec2.delete_security_group(GroupId=group_id)

    def _templates(self) -> list[str]:
        found = self.ec2.describe_launch_templates()["LaunchTemplates"]
        return [one["LaunchTemplateId"] for one in found if self._is_ours(one)]

    def _file_systems(self) -> list[str]:
        found = self.efs.describe_file_systems()["FileSystems"]
        return [one["FileSystemId"] for one in found if one["CreationToken"].startswith(self._prefix)]

    def _groups(self) -> list[str]:
        found = self.ec2.describe_security_groups()["SecurityGroups"]
        names = tuple(f"{start}{self._prefix}" for start in ("SG-", "SG-EFS-"))
        return [one["GroupId"] for one in found if one["GroupName"].startswith(names)]

    def _key_pairs(self) -> list[str]:
        found = self.ec2.describe_key_pairs()["KeyPairs"]
        return [one["KeyName"] for one in found if one["KeyName"].startswith(f"KP-{self._prefix}")]

    def _is_ours(self, raw: dict[str, Any]) -> bool:
        return any(tag["Value"].startswith(self._prefix) for tag in raw.get("Tags", ()))
