"""The user's own settings: where private keys are kept, and which Region was chosen."""

from __future__ import annotations

import json
from pathlib import Path

from spot_connect.core.errors import StateError
from spot_connect.store.state import State

_KEYS = ("key_directory", "region")


class Settings:
    """Settings of one realm, in ``settings.json``.

    Raises:
        StateError: the file is damaged; the error names the line.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._path = state.path("settings.json")

    @property
    def key_directory(self) -> Path:
        """Where private keys are kept: the directory that was set, else ``key_pairs`` in the state directory."""
        chosen = self._read().get("key_directory")
        return Path(chosen) if chosen else self._state.path("key_pairs")

    def set_key_directory(self, directory: str | Path) -> None:
        """Keep private keys in ``directory`` from now on; keys that exist stay where they are."""
        self._set("key_directory", str(Path(directory).expanduser().absolute()))

    @property
    def region(self) -> str:
        """The Region that the profiles were moved to last; empty when nobody has moved them."""
        return self._read().get("region", "")

    def set_region(self, region: str) -> None:
        """Remember the Region that the profiles were moved to: they may be where they have been shipped to."""
        self._set("region", region)

    def _set(self, key: str, value: str) -> None:
        with self._state.lock("settings", wait_seconds=30):
            text = json.dumps(self._read() | {key: value}, indent=1, sort_keys=True)
            self._state.write_atomic(self._path, text + "\n")

    def _read(self) -> dict[str, str]:
        advice = "Correct it, or delete the file to go back to the defaults."
        try:
            found = json.loads(self._state.read_text(self._path) or "{}")
        except json.JSONDecodeError as error:
            raise StateError(f"cannot read {self._path}, line {error.lineno}", error.msg, advice) from error
        except (ValueError, RecursionError) as error:
            # Numbers of thousands of digits, and lists as deep.
            raise StateError(f"cannot read {self._path}", "it does not hold settings", advice) from error
        if not isinstance(found, dict) or not all(isinstance(found.get(key, ""), str) for key in _KEYS):
            raise StateError(f"cannot read {self._path}", "it does not hold settings", advice)
        return found
