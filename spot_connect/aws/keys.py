"""EC2 key pairs: the public halves of keys that never leave this computer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spot_connect.aws.refusals import asking
from spot_connect.aws.session import Cloud
from spot_connect.core.errors import AwsError
from spot_connect.core.models import KeyPair
from spot_connect.core.names import MANAGED_TAG


def find(cloud: Cloud, name: str) -> KeyPair | None:
    """The key pair ``name`` in the Region, or ``None``."""
    try:
        with asking(f"look for the key pair {name} in {cloud.region}"):
            answer = cloud.ec2.describe_key_pairs(KeyNames=[name], IncludePublicKey=True)
    except AwsError as error:
        if error.code == "InvalidKeyPair.NotFound":
            return None
        raise
    return _pair(answer["KeyPairs"][0])


def managed(cloud: Cloud) -> tuple[KeyPair, ...]:
    """The key pairs in the Region that spot-connect made."""
    filters = [{"Name": "tag-key", "Values": [MANAGED_TAG]}]
    with asking(f"list the key pairs in {cloud.region}"):
        answer = cloud.ec2.describe_key_pairs(Filters=filters, IncludePublicKey=True)
    return tuple(_pair(raw) for raw in answer["KeyPairs"])


def delete(cloud: Cloud, name: str) -> None:
    """Remove the key pair from the Region; one that is gone is no error. Machines that have it keep it."""
    with asking(f"delete the key pair {name} in {cloud.region}"):
        cloud.ec2.delete_key_pair(KeyName=name)


def put(cloud: Cloud, name: str, public_line: str, tags: Mapping[str, str]) -> None:
    """Import ``public_line`` (OpenSSH form, ed25519 or RSA) as the key pair ``name``.

    Raises:
        AwsError: with code ``InvalidKeyPair.Duplicate`` when somebody else has just made it.
    """
    marks = [{"Key": key, "Value": value} for key, value in tags.items()]
    with asking(f"import the key pair {name} into {cloud.region}"):
        cloud.ec2.import_key_pair(
            KeyName=name,
            PublicKeyMaterial=public_line.encode(),
            TagSpecifications=[{"ResourceType": "key-pair", "Tags": marks}],
        )


def same_key(left: str, right: str) -> bool:
    """Whether two OpenSSH public lines are one key, whatever their comments.

    Example:
        >>> same_key("ssh-ed25519 AAAA me", "ssh-ed25519 AAAA")
        True
    """
    return _bare(left) == _bare(right) != ""


def _pair(raw: Mapping[str, Any]) -> KeyPair:
    return KeyPair(raw["KeyName"], _bare(raw.get("PublicKey", "")), raw.get("KeyFingerprint", ""))


def _bare(line: str) -> str:
    return " ".join(line.split()[:2])
