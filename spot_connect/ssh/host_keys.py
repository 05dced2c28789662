"""Host keys: what they are, and where a new instance tells its own."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from spot_connect.core.errors import UsageError

_KEY = re.compile(r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp\d+)[ \t]+(AAAA[A-Za-z0-9+/]+={0,2})")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


@dataclass(frozen=True, slots=True)
class HostKey:
    """A server's public key: its algorithm and its base64 blob, as in a ``.pub`` file.

    Example:
        >>> HostKey("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIA==").line
        'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA=='
    """

    algorithm: str
    blob: str

    @property
    def fingerprint(self) -> str:
        """``SHA256:…`` as ``ssh-keygen -l`` writes it."""
        digest = hashlib.sha256(base64.b64decode(self.blob)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    @property
    def line(self) -> str:
        """The key as in a ``.pub`` file, without a comment."""
        return f"{self.algorithm} {self.blob}"


def parse_public_key(text: str) -> HostKey:
    """The key in a line such as ``ssh-ed25519 AAAA… comment``.

    Raises:
        UsageError: the text is not an OpenSSH public key of a kind we use (ed25519, ECDSA, RSA).

    Example:
        >>> parse_public_key("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== me@home").algorithm
        'ssh-ed25519'
    """
    match = _KEY.match(text.strip())
    key = _sound(match) if match else None
    if key is None:
        raise UsageError("the text is not a public key", repr(text[:60]), "It looks like ssh-ed25519 AAAA….")
    return key


def host_keys_in_console(text: str) -> tuple[HostKey, ...]:
    """The host keys that cloud-init printed into an EC2 console output; empty when there are none yet.

    Example:
        >>> host_keys_in_console("still booting")
        ()
    """
    found = (_sound(match) for part in _sections(text, "KEYS") for match in _KEY.finditer(part))
    return tuple(dict.fromkeys(key for key in found if key))


def fingerprints_in_console(text: str) -> frozenset[str]:
    """The SHA-256 fingerprints that cloud-init printed into an EC2 console output.

    Example:
        >>> fingerprints_in_console("still booting")
        frozenset()
    """
    return frozenset(found for part in _sections(text, "FINGERPRINTS") for found in _FINGERPRINT.findall(part))


def _sections(text: str, kind: str) -> Iterator[str]:
    for part in text.split(f"-----BEGIN SSH HOST KEY {kind}-----")[1:]:
        section, end, _ = part.partition(f"-----END SSH HOST KEY {kind}-----")
        # While it is being printed, the keys that are still to come would be taken for wrong ones.
        if end:
            yield section


def _sound(match: re.Match[str]) -> HostKey | None:
    """The key, unless another line of the console was printed into the middle of it."""
    algorithm, blob = match.groups()
    try:
        packed = base64.b64decode(blob, validate=True)
    except binascii.Error:
        return None
    name = algorithm.encode()
    return HostKey(algorithm, blob) if packed[4:].startswith(name) else None
