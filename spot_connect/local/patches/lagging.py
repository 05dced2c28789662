"""What was made moments ago: recorded when it is made, and left out where a call does not know it yet."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.fleets import FleetsBackend
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.models.key_pairs import KeyPairBackend
from moto.ec2.models.launch_templates import LaunchTemplateBackend
from moto.ec2.models.security_groups import SecurityGroupBackend
from moto.ec2.models.spot_requests import SpotInstanceRequest, SpotRequestBackend
from moto.ec2.models.tags import TagBackend
from moto.efs.models import EFSBackend
from moto.iam.models import IAMBackend

from spot_connect.core.names import SSH_TAG
from spot_connect.local.lag import KEY_PAIR, PROFILE, ROLE, named, refusal
from spot_connect.local.patches import errors
from spot_connect.local.patches.patch import Patch

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud

Told = Callable[[Any, Any], str]
"""How a thing is told to the lag, from its backend and itself."""
_IAM = "knows a new profile or role later"


def check_launch(cloud: Cloud, backend: Any, key_name: str | None, group_ids: list[str], profile: str) -> None:
    """Refuse a launch with what it does not know yet.

    Raises:
        EC2ClientError: it was made moments ago.
    """
    region = backend.region_name
    things = [
        *(("sg", group_id, group_id) for group_id in group_ids),
        (KEY_PAIR, key_name or "", named(KEY_PAIR, region, key_name or "")),
        (PROFILE, profile, named(PROFILE, region, profile)),
    ]
    for kind, name, thing in things:
        if cloud.lag.hides(thing):
            code, words, _ = refusal("ec2", kind, name)
            raise errors.refusal(code, words)


def _by_id(_: Any, made: Any) -> str:
    return str(made.id)


def _of_efs(_: Any, made: Any) -> str:
    ids = (getattr(made, name, "") for name in ("mount_target_id", "access_point_id", "file_system_id"))
    return str(next(filter(None, ids)))


def _by_name(kind: str, backend: Any, made: Any) -> str:
    return named(kind, getattr(backend, "region_name", ""), getattr(made, "key_name", "") or made.name)


def _record(told: Told, cloud: Cloud, original: Any, backend: Any, *args: Any, **kwargs: Any) -> Any:
    """What was made, and from now on is unknown to others for a while."""
    made = original(backend, *args, **kwargs)
    cloud.lag.made(told(backend, made))
    return made


def launched(cloud: Cloud, original: Any, backend: Any, *args: Any, **kwargs: Any) -> Any:
    """A reservation, whose instances others do not know for a while."""
    reservation = original(backend, *args, **kwargs)
    for instance in reservation.instances:
        cloud.lag.made(instance.id)
    return reservation


def requested(cloud: Cloud, original: Any, request: Any, *args: Any, **kwargs: Any) -> None:
    """A spot request, which others do not know for a while."""
    original(request, *args, **kwargs)
    cloud.lag.made(request.id)


def create_tags(cloud: Cloud, original: Any, backend: Any, resource_ids: list[str], tags: dict[str, str]) -> bool:
    """Tags, which others see for a while as they were."""
    before = {one: dict(backend.tags.get(one, {})) for one in resource_ids}
    written: bool = original(backend, resource_ids, tags)
    for one in resource_ids:
        for key in tags:
            # AWS has no such tag: it stands for the address, which a launch is told with.
            if key != SSH_TAG:
                cloud.lag.made(_tag(one, key), before[one].get(key))
    return written


def get_tags(cloud: Cloud, original: Any, resource: Any) -> list[dict[str, str]]:
    """The tags as this call knows them."""
    shown = []
    for tag in original(resource):
        thing = _tag(tag["resource_id"], tag["key"])
        value = cloud.lag.before(thing) if cloud.lag.hides(thing) else tag["value"]
        if value is not None:
            shown.append({**tag, "value": value})
    return shown


def _tag(resource_id: str, key: str) -> str:
    return f"tag {resource_id} {key}"


def _shown(told: Told, cloud: Cloud, original: Any, backend: Any, *args: Any, **kwargs: Any) -> Any:
    """Of what is there, what this call knows."""
    return [one for one in original(backend, *args, **kwargs) if not cloud.lag.hides(told(backend, one))]


def _page(cloud: Cloud, original: Any, backend: Any, *args: Any, **kwargs: Any) -> Any:
    """The same for one page of a list."""
    marker, found = original(backend, *args, **kwargs)
    return marker, [one for one in found if not cloud.lag.hides(_of_efs(backend, one))]


def describe_templates(cloud: Cloud, original: Any, backend: Any, *args: Any, **kwargs: Any) -> Any:
    """The templates that this call knows; those that it names it knows, or it would have been refused."""
    found = original(backend, *args, **kwargs)
    by_name = kwargs.get("template_names") or kwargs.get("template_ids")
    return found if by_name else [one for one in found if not cloud.lag.hides(one.id)]


def describe_instances(cloud: Cloud, original: Any, backend: Any, filters: Any = None) -> Any:
    """The reservations, with the instances that this call knows."""
    found = original(backend, filters)
    for reservation in found:
        reservation.instances = [one for one in reservation.instances if not cloud.lag.hides(one.id)]
    return [reservation for reservation in found if reservation.instances]


_KEY_NAME, _PROFILE_NAME, _ROLE_NAME = (partial(_by_name, kind) for kind in (KEY_PAIR, PROFILE, ROLE))

PATCHES = (
    Patch(InstanceBackend, "run_instances", launched, "knows a new instance later"),
    Patch(InstanceBackend, "describe_instances", describe_instances, "knows a new instance later"),
    Patch(SpotInstanceRequest, "__init__", requested, "knows a new spot request later"),
    Patch(SpotRequestBackend, "describe_spot_instance_requests", partial(_shown, _by_id), "knows a request later"),
    Patch(SecurityGroupBackend, "create_security_group", partial(_record, _by_id), "knows a new group later"),
    Patch(SecurityGroupBackend, "describe_security_groups", partial(_shown, _by_id), "knows a new group later"),
    Patch(KeyPairBackend, "create_key_pair", partial(_record, _KEY_NAME), "knows a new key pair later"),
    Patch(KeyPairBackend, "import_key_pair", partial(_record, _KEY_NAME), "knows a new key pair later"),
    Patch(KeyPairBackend, "describe_key_pairs", partial(_shown, _KEY_NAME), "knows a new key pair later"),
    Patch(LaunchTemplateBackend, "create_launch_template", partial(_record, _by_id), "knows a new template later"),
    Patch(LaunchTemplateBackend, "describe_launch_templates", describe_templates, "knows a new template later"),
    Patch(FleetsBackend, "create_fleet", partial(_record, _by_id), "knows a new fleet later"),
    Patch(TagBackend, "create_tags", create_tags, "shows new tags later"),
    Patch(TaggedEC2Resource, "get_tags", get_tags, "shows new tags later"),
    Patch(EFSBackend, "create_file_system", partial(_record, _of_efs), "knows a new file system later"),
    Patch(EFSBackend, "describe_file_systems", _page, "knows a new file system later"),
    Patch(EFSBackend, "create_mount_target", partial(_record, _of_efs), "knows a new mount target later"),
    Patch(EFSBackend, "describe_mount_targets", _page, "knows a new mount target later"),
    Patch(EFSBackend, "create_access_point", partial(_record, _of_efs), "knows a new access point later"),
    Patch(EFSBackend, "describe_access_points", partial(_shown, _of_efs), "knows a new access point later"),
    Patch(IAMBackend, "create_instance_profile", partial(_record, _PROFILE_NAME), _IAM),
    Patch(IAMBackend, "get_instance_profiles", partial(_shown, _PROFILE_NAME), _IAM),
    Patch(IAMBackend, "create_role", partial(_record, _ROLE_NAME), _IAM),
    Patch(IAMBackend, "get_roles", partial(_shown, _ROLE_NAME), _IAM),
)
