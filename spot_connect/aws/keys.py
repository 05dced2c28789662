"""EC2 key pairs: the public halves of keys that never leave this computer."""

from __future__ import annotations

from collections.abc import Mapping

from spot_connect.aws.refusals import asking
from spot_connect.aws.session import Cloud
from spot_connect.core.errors import AwsError
from spot_connect.core.models import KeyPair


def find(cloud: Cloud, name: str) -> KeyPair | None:
    """The key pair ``name`` in the Region, or ``None``."""
    try:
        with asking(f"look for the key pair {name} in {cloud.region}"):
            answer = cloud.ec2.describe_key_pairs(KeyNames=[name], IncludePublicKey=True)
    except AwsError as error:
        if error.code == "InvalidKeyPair.NotFound":
            return None
        raise
    pair = answer["KeyPairs"][0]
    return KeyPair(name, _bare(pair.get("PublicKey", "")), pair.get("KeyFingerprint", ""))


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


def _bare(line: str) -> str:
    return " ".join(line.split()[:2])
