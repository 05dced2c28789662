"""The instance metadata service, one for each instance, version 2 as AWS documents it.

It is found below ``/_imds/<secret>/`` instead of at 169.254.169.254. The secret is the instance's own: only its
processes are told, in their environment, as only a machine itself reaches that address in EC2.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from spot_connect.local.interruptions import notices
from spot_connect.local.machines import user_data
from spot_connect.local.replies import text_reply

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud

_TTL = "X-aws-ec2-metadata-token-ttl-seconds"
_TOKEN = "X-aws-ec2-metadata-token"  # noqa: S105 - the name of a header
_ROLE_SECONDS = 6 * 3600
_RENEW_SECONDS = 15 * 60

Tree = Mapping[str, str]


class Metadata:
    """Answers below ``/_imds/``."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._tokens: dict[str, tuple[str, float]] = {}
        self._roles: dict[str, Any] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        return self._answer(Request(environ))(environ, start_response)

    def _answer(self, request: Request) -> Response:
        secret, _, path = request.path.removeprefix("/_imds/").partition("/")
        instance = self._cloud.machines.of_secret(secret)
        if instance is None or instance.state not in ("pending", "running", "shutting-down"):
            return text_reply("", 404)
        if request.method == "PUT" and path.strip("/") == "latest/api/token":
            return self._new_token(instance, request)
        if request.method != "GET" or not self._admits(instance, request):
            return text_reply("", 405 if request.method != "GET" else 401)
        return self._look_up(instance, path)

    def _new_token(self, instance: Any, request: Request) -> Response:
        text = request.headers.get(_TTL, "")
        # AWS: a PUT that came through a proxy could be an open proxy asking for somebody else.
        if "X-Forwarded-For" in request.headers:
            return text_reply("", 403)
        if not text.isdigit() or not 1 <= int(text) <= 21600:
            return text_reply("", 400)
        token = secrets.token_urlsafe(32)
        self._tokens[token] = (instance.id, self._cloud.now() + int(text))
        reply = text_reply(token)
        reply.headers[_TTL] = text
        return reply

    def _admits(self, instance: Any, request: Request) -> bool:
        token = request.headers.get(_TOKEN)
        if token is None:
            return bool(instance.metadata_options.http_tokens == "optional")
        owner, until = self._tokens.get(token, ("", 0.0))
        if until <= self._cloud.now():
            self._tokens.pop(token, None)
            return False
        return bool(owner == instance.id)

    def _look_up(self, instance: Any, path: str) -> Response:
        wanted = path.strip("/")
        if wanted == "latest/user-data":
            content = user_data(instance)
            return Response(content, 200 if content else 404, content_type="application/octet-stream")
        if wanted.startswith("latest/meta-data/iam"):
            return self._credentials(instance, wanted)
        tree = _tree(instance)
        if wanted in tree:
            return text_reply(tree[wanted]) if tree[wanted] else text_reply("", 404)
        below = _children(tree, wanted)
        return text_reply("\n".join(below)) if below else text_reply("", 404)

    def _credentials(self, instance: Any, wanted: str) -> Response:
        role = _role_of(instance)
        if role is None:
            return text_reply("", 404)
        answers: dict[str, Callable[[], str]] = {
            "latest/meta-data/iam": lambda: "info\nsecurity-credentials/",
            "latest/meta-data/iam/info": lambda: _profile_info(instance),
            "latest/meta-data/iam/security-credentials": lambda: str(role.name),
            f"latest/meta-data/iam/security-credentials/{role.name}": lambda: self._role_keys(instance, role),
        }
        return text_reply(answers[wanted]()) if wanted in answers else text_reply("", 404)

    def _role_keys(self, instance: Any, role: Any) -> str:
        assumed = self._roles.get(instance.id)
        if assumed is None or (assumed.expiration.timestamp() - self._cloud.now()) < _RENEW_SECONDS:
            assumed = self._roles[instance.id] = _assume(instance, role)
        return json.dumps(
            {
                "Code": "Success",
                "LastUpdated": _stamp(datetime.now(timezone.utc)),
                "Type": "AWS-HMAC",
                "AccessKeyId": assumed.access_key_id,
                "SecretAccessKey": assumed.secret_access_key,
                "Token": assumed.session_token,
                "Expiration": _stamp(assumed.expiration),
            }
        )


def _assume(instance: Any, role: Any) -> Any:
    from moto.sts.models import sts_backends

    account = instance.owner_id
    assumed = sts_backends[account]["aws"].assume_role(
        region_name=instance.region_name,
        role_session_name=instance.id,
        role_arn=role.arn,
        policy="",
        duration=_ROLE_SECONDS,
        external_id="",
    )
    assumed.expiration = assumed.expiration.replace(tzinfo=timezone.utc)
    return assumed


def _profile(instance: Any) -> Any | None:
    association = instance.ec2_backend.iam_instance_profile_associations.get(instance.id)
    return association.iam_instance_profile if association else None


def _role_of(instance: Any) -> Any | None:
    profile = _profile(instance)
    return profile.roles[0] if profile and profile.roles else None


def _profile_info(instance: Any) -> str:
    profile = _profile(instance)
    found = {"Code": "Success", "InstanceProfileArn": profile.arn, "InstanceProfileId": profile.id} if profile else {}
    return json.dumps(found)


def _tree(instance: Any) -> dict[str, str]:
    """Every leaf of the service; an empty one is a place that AWS documents and that has nothing now."""
    flat = {f"latest/meta-data/{key}": value for key, value in _meta_data(instance).items()}
    flat["latest/dynamic/instance-identity/document"] = json.dumps(_identity(instance), indent=2)
    return flat


def _meta_data(instance: Any) -> dict[str, str]:
    found = {
        "ami-id": instance.image_id,
        "ami-launch-index": str(instance.ami_launch_index),
        "hostname": instance.private_dns_name,
        "instance-id": instance.id,
        "instance-life-cycle": instance.lifecycle or "on-demand",
        "instance-type": instance.instance_type,
        "local-hostname": instance.private_dns_name,
        "local-ipv4": instance.private_ip,
        "mac": instance.nics[0].mac_address,
        "placement/availability-zone": instance.placement.zone,
        "placement/availability-zone-id": _zone_id(instance),
        "placement/region": instance.region_name,
        "public-hostname": instance.public_dns_name or "",
        "public-ipv4": instance.public_ip or "",
        "security-groups": "\n".join(group.name for group in instance.security_groups),
    }
    return found | _keys(instance) | _tags(instance) | dict(notices(instance))


def _keys(instance: Any) -> dict[str, str]:
    if not instance.machine.authorized_key:
        return {}
    return {
        "public-keys": f"0={instance.key_name}",
        "public-keys/0/openssh-key": instance.machine.authorized_key,
    }


def _tags(instance: Any) -> dict[str, str]:
    if instance.metadata_options.instance_metadata_tags != "enabled":
        return {}
    tags = dict(instance.ec2_backend.tags.get(instance.id, {}))
    return {f"tags/instance/{key}": value for key, value in tags.items()}


def _identity(instance: Any) -> dict[str, Any]:
    return {
        "accountId": instance.owner_id,
        "architecture": instance.architecture,
        "availabilityZone": instance.placement.zone,
        "imageId": instance.image_id,
        "instanceId": instance.id,
        "instanceType": instance.instance_type,
        "pendingTime": _stamp(instance.launch_time),
        "privateIp": instance.private_ip,
        "region": instance.region_name,
        "version": "2017-09-30",
    }


def _zone_id(instance: Any) -> str:
    zones = instance.ec2_backend.describe_availability_zones()
    return next((zone.zone_id for zone in zones if zone.name == instance.placement.zone), "")


def _children(tree: Tree, wanted: str) -> list[str]:
    prefix = f"{wanted}/" if wanted else ""
    names: dict[str, None] = {}
    for path, value in tree.items():
        if path.startswith(prefix) and value:
            head, slash, _ = path.removeprefix(prefix).partition("/")
            names[f"{head}{slash}"] = None
    return sorted(names)


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
