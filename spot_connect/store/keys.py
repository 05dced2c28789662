"""Private keys: one file per key pair, readable by its owner only."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spot_connect.core.errors import StateError, UsageError
from spot_connect.core.names import file_name
from spot_connect.core.reporting import Reporter, Silent
from spot_connect.store import private
from spot_connect.store.state import State, home, is_private, told

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

_ANOTHER = "Give another directory, or make this one writable."


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A private key on this computer.

    ``public_line`` is its public half as OpenSSH writes it, without a comment: ``ssh-ed25519 AAAA...``.
    """

    path: Path
    public_line: str


class KeyFiles:
    """The private keys in one directory, each in ``<key pair name>.pem``.

    A directory or a file that others can change is refused: who puts a key of their own there could read along. A
    directory that they can only read is fine.

    Args:
        directory: where the files are; made with mode 0700 when a key is to be written.
        reporter: hears of a file whose permissions had to be repaired.

    Example:
        >>> from tempfile import mkdtemp
        >>> keys = KeyFiles(Path(mkdtemp()))
        >>> made = keys.create("KP-vm1")
        >>> keys.read("KP-vm1") == made, made.public_line.split()[0]
        (True, 'ssh-ed25519')
    """

    def __init__(self, directory: str | Path, reporter: Reporter | None = None) -> None:
        self.directory = Path(directory).expanduser().absolute()
        self._top = home()
        # What lies in the state directory is private like the rest of it.
        is_own = self._top in self.directory.parents
        self._files = State(self.directory, self._top) if is_own else State(self.directory, is_users=True)
        self._reporter: Reporter = reporter or Silent()

    def path(self, key_name: str) -> Path:
        """The file of a key pair, whether or not it exists."""
        return self.directory / f"{file_name(key_name)}.pem"

    def check_writable(self) -> None:
        """Make sure, before anything is launched, that a private key could be kept here.

        Raises:
            UsageError: it could not; nothing was called and nothing was changed on AWS.
        """
        what = f"private keys cannot be kept in {self.directory}"
        try:
            self._check(self.directory)
        except StateError as error:
            raise UsageError(what, error.said, error.advice) from error
        try:
            self._files.check_writable()
        except StateError as error:
            raise UsageError(what, error.said, _ANOTHER) from error

    def create(self, key_name: str) -> PrivateKey:
        """A new ed25519 key, safely on the disk with mode 0600 before anybody else hears of it.

        Raises:
            StateError: there is already such a file, or it cannot be written, or others can change the directory; AWS
                knows of nothing.
        """
        self._check(self.directory)
        from cryptography.hazmat.primitives import serialization as form
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        key = Ed25519PrivateKey.generate()
        text = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
        path = self.path(key_name)
        self._files.create(path, text)
        _hide(path)
        return PrivateKey(path, _public_line(key))

    def read(self, key_name: str) -> PrivateKey | None:
        """The key of a key pair, ed25519 or RSA in any usual format; ``None`` when there is no file.

        A file that others can read is closed to them, and the reporter is told.

        Raises:
            StateError: the file is not a private key that EC2 takes, or it has a passphrase, or others can change it.
        """
        path = self.path(key_name)
        self._check(path)
        data = self._files.read(path)
        if data is None:
            return None
        self._close(path)
        return PrivateKey(path, _public_line(_load(data, path)))

    def remove(self, key_name: str) -> bool:
        """Delete the private key of a key pair; whether there was one."""
        return self._files.remove(self.path(key_name))

    def names(self) -> tuple[str, ...]:
        """The file names, without ``.pem``, of the keys here."""
        self._check(self.directory)
        with told("read", self.directory):
            return tuple(sorted(path.stem for path in self.directory.glob("*.pem")))

    def _check(self, path: Path) -> None:
        with told("read", path):
            private.check(str(path), "" if self._files.is_users else str(self._top))

    def _close(self, path: Path) -> None:
        with told("set the permissions of", path):
            if is_private(path):
                return
            path.chmod(0o600)
        self._reporter.note(f"{path} could be read by others; only you can read it now")


def _load(data: bytes, path: Path) -> Ed25519PrivateKey | RSAPrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    key = _parse(data, path)
    if not isinstance(key, (Ed25519PrivateKey, RSAPrivateKey)):
        raise StateError(f"cannot use {path}", "EC2 takes ed25519 and RSA keys only", "Use another key pair.")
    return key


def _parse(data: bytes, path: Path) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

    load = load_ssh_private_key if b"BEGIN OPENSSH" in data else load_pem_private_key
    try:
        return load(data, None)
    except TypeError as error:
        advice = f"Remove the passphrase with: ssh-keygen -p -f {path}"
        raise StateError(f"cannot use {path}", "it is protected by a passphrase", advice) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        advice = "Move the file away, or name another key pair."
        raise StateError(f"cannot use {path}", "it is not a private key", advice) from error


def _public_line(key: Ed25519PrivateKey | RSAPrivateKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")


def _hide(path: Path) -> None:
    """On Windows, leave only the user on the file's access list; OpenSSH there refuses the key otherwise."""
    if sys.platform != "win32":
        return
    import getpass
    import subprocess

    with suppress(OSError, subprocess.SubprocessError):
        user = getpass.getuser()
        command = ["icacls", str(path), "/inheritance:r", "/grant:r", f"{user}:F"]
        subprocess.run(command, check=False, capture_output=True, timeout=10)  # noqa: S603 - icacls with a path of ours
