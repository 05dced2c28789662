"""Host keys."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class HostKey:
    """A host key: ``private`` in OpenSSH's PEM form, ``public`` as ``type base64``."""

    private: str
    public: str


def host_key(path: Path) -> HostKey:
    """The ed25519 key in ``path``, made there if there is none; the public half lies beside it.

    Raises:
        OSError: the file cannot be read or written.
    """
    public = path.with_name(path.name + ".pub")
    if not public.exists():
        made = _make()
        _write(path, made.private)
        _write(public, made.public + "\n")
        return made
    return HostKey(path.read_text(), public.read_text().strip())


def _make() -> HostKey:
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption()).decode()
    public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH).decode()
    return HostKey(private, public)


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def fingerprint(public: str) -> str:
    """``SHA256:…`` of a public key, as ssh-keygen shows it."""
    digest = hashlib.sha256(base64.b64decode(public.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
