"""Pinned host keys: what each instance's SSH server showed, in OpenSSH's own format.

The host field is the instance id, which never comes back, where an address does. OpenSSH reads the file with
``ssh -o UserKnownHostsFile=<file> -o HostKeyAlias=<instance id>``. Format: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spot_connect.core import values
from spot_connect.core.errors import HostKeyChanged, StateError, UsageError
from spot_connect.store.state import State

_VERIFIED = "verified"
_FIRST_USE = "first-use"
# RFC 4251, section 6, of which "@" and what follows it is a name that somebody has chosen.
_ALGORITHM = re.compile(r"[A-Za-z0-9@._+-]{1,64}")


@dataclass(frozen=True, slots=True)
class _Pin:
    instance_id: str
    algorithm: str
    key: str
    verified: bool

    def __str__(self) -> str:
        return f"{self.instance_id} {self.algorithm} {self.key} {_VERIFIED if self.verified else _FIRST_USE}"


class Pins:
    """The pinned host keys of one realm."""

    def __init__(self, state: State) -> None:
        self._state = state

    @property
    def path(self) -> Path:
        """The file, for ``ssh -o UserKnownHostsFile=...``; it may not exist yet."""
        return self._state.path("known_hosts")

    def read(self, instance_id: str) -> tuple[tuple[str, str], ...]:
        """The pinned keys of an instance: algorithm and key in base64; none when it was never met.

        Raises:
            StateError: its line is damaged; it is never silently taken for an instance that was not met.
        """
        return tuple((pin.algorithm, pin.key) for pin in self._pins(instance_id, self._lines()))

    def is_verified(self, instance_id: str) -> bool:
        """Whether there are pins and all of them were confirmed by something other than the server itself."""
        pins = list(self._pins(instance_id, self._lines()))
        return bool(pins) and all(pin.verified for pin in pins)

    def pin(self, instance_id: str, algorithm: str, key: str, *, verified: bool) -> None:
        """Remember a host key. A key that was verified once stays verified.

        Args:
            instance_id: whose key it is.
            algorithm: as SSH spells it, for instance ``ssh-ed25519``.
            key: the public key in base64.
            verified: the key came from somewhere else than the server itself, such as the console output.

        Raises:
            HostKeyChanged: another key of that algorithm is pinned.
            UsageError: ``instance_id`` is none, or the key is not one of that algorithm; nothing is written.
        """
        if not _is_key(algorithm, key):
            raise UsageError(f"cannot pin the host key of {instance_id}", f"it is not a key of {algorithm!r}")
        new = _Pin(values.instance_id(instance_id), algorithm, key, verified)
        with self._state.lock("known_hosts", wait_seconds=30):
            lines = self._lines()
            old = next((pin for pin in self._pins(instance_id, lines) if pin.algorithm == algorithm), None)
            if old is None:
                self._write([*lines, str(new)])
            elif old.key != key:
                advice = f"If you know why, delete the lines of {instance_id} in {self.path}."
                raise HostKeyChanged(f"cannot pin the host key of {instance_id}", "another one is pinned", advice)
            elif verified and not old.verified:
                self._write([str(new) if line == str(old) else line for line in lines])

    def forget(self, instance_id: str) -> None:
        """Drop the pins of an instance that is gone; none is no error."""
        if not any(_host(line) == instance_id for line in self._lines()):
            return
        with self._state.lock("known_hosts", wait_seconds=30):
            self._write([line for line in self._lines() if _host(line) != instance_id])

    def _lines(self) -> list[str]:
        return (self._state.read_text(self.path) or "").splitlines()

    def _write(self, lines: list[str]) -> None:
        self._state.write_atomic(self.path, "".join(f"{line}\n" for line in lines))

    def _pins(self, instance_id: str, lines: list[str]) -> Iterator[_Pin]:
        for number, line in enumerate(lines, 1):
            if _host(line) != instance_id:
                continue
            fields = line.split()
            if len(fields) < 3 or not _is_key(fields[1], fields[2]):
                advice = "Delete that line if you trust the instance as it is now."
                raise StateError(f"cannot read {self.path}, line {number}", "it is not a host key", advice)
            yield _Pin(instance_id, fields[1], fields[2], _VERIFIED in fields[3:])


def _host(line: str) -> str:
    return line.split(maxsplit=1)[0] if line.strip() else ""


def _is_key(algorithm: str, key: str) -> bool:
    """Whether the base64 is a key of that algorithm: RFC 4253, 6.6, begins it with the algorithm's length and name."""
    if not _ALGORITHM.fullmatch(algorithm):
        return False
    try:
        blob = base64.b64decode(key, validate=True)
    except ValueError:
        return False
    name = algorithm.encode()
    return blob[: 4 + len(name)] == len(name).to_bytes(4, "big") + name
