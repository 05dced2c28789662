"""Private keys, as they lie in files."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from spot_connect.core.errors import UsageError
from spot_connect.ssh.trouble import reason

if TYPE_CHECKING:
    import paramiko


def load_key(path: Path) -> paramiko.PKey:
    """The private key in a file; one that has not changed since is not read again.

    Raises:
        UsageError: the file is missing, broken or protected by a passphrase.

    Example:
        >>> load_key(Path("k.pem"))  # doctest: +SKIP
        PKey(alg=ED25519, bits=256, fp=SHA256:...)
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from paramiko import SSHException
    from paramiko.pkey import UnknownKeyType

    try:
        found = path.stat()
        return _read(path, found.st_ino, found.st_size, found.st_mtime_ns)
    except OSError as error:
        advice = "Give the file of the private key that the instance was launched with."
        raise UsageError(f"cannot read the key file {path}", reason(error), advice) from error
    except (SSHException, UnsupportedAlgorithm, UnknownKeyType, ValueError, TypeError) as error:
        raise _refusal(path, error) from error


@functools.lru_cache(maxsize=8)
def _read(path: Path, *_as_found: int) -> paramiko.PKey:
    # The same key opens a hundred instances, and reading it takes a tenth of this side's work for each.
    from paramiko import PKey

    return PKey.from_path(path)


def _refusal(path: Path, error: Exception) -> UsageError:
    from paramiko import PasswordRequiredException

    # A missing passphrase is a TypeError to the cryptography package.
    if isinstance(error, TypeError | PasswordRequiredException):
        advice = f"Make a copy without one (ssh-keygen -p -f copy-of-{path.name}) and use that."
        return UsageError(f"the key file {path} is protected by a passphrase", advice=advice)
    advice = "It should hold an ed25519 or RSA private key in PEM or OpenSSH form."
    return UsageError(f"the key file {path} is not a private key", str(error), advice)
