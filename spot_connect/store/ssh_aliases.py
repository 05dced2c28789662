"""One file per machine that OpenSSH can include, so that ``ssh NAME`` goes where the name is now."""

from __future__ import annotations

from pathlib import Path

from spot_connect.core.errors import StateError
from spot_connect.core.names import file_name
from spot_connect.core.ssh_config import SshAlias, alias_of, can_be_alias, host_block
from spot_connect.core.untrusted import Refused
from spot_connect.store.state import State


class SshAliases:
    """The aliases of one realm, below ``ssh/`` in its state directory."""

    def __init__(self, state: State) -> None:
        self._state = state

    @property
    def files(self) -> str:
        """A pattern that OpenSSH's ``Include`` takes for all of them."""
        return f"{self._state.path('ssh').as_posix()}/*.conf"

    def keep(self, alias: SshAlias) -> None:
        """The name leads to this machine from now on; one that OpenSSH could not be told is left out.

        Raises:
            StateError: the file cannot be written, or would say something else; it stays as it is.
        """
        if not can_be_alias(alias.name):
            return
        path = self._path(alias.name)
        try:
            text = host_block(alias)
        except Refused as error:
            raise StateError(f"cannot tell OpenSSH of {alias.name}", str(error)) from error
        if self._state.read_text(path) != text:
            self._state.write_atomic(path, text)

    def find(self, name: str) -> SshAlias | None:
        """The machine that the name led to when it was reached last from this computer."""
        return alias_of(self._state.read_text(self._path(name)) or "")

    def forget(self, name: str, instance_id: str) -> None:
        """The machine is gone; another one that has the name by now stays."""
        path = self._path(name)
        if f"HostKeyAlias {instance_id}\n" in (self._state.read_text(path) or ""):
            self._state.remove(path)

    def _path(self, name: str) -> Path:
        return self._state.path("ssh", f"{file_name(name)}.conf")
