"""What can be made again, kept to save the time."""

from __future__ import annotations

from contextlib import suppress

from spot_connect.core.errors import StateError
from spot_connect.store.state import State

_DIRECTORY = "cache"


class CacheFiles:
    """Files below ``cache/`` in the state directory. A lost file, or one that cannot be written, is never an error."""

    def __init__(self, state: State) -> None:
        self._state = state

    def get(self, name: str) -> bytes | None:
        """What was put under the name, unless it is gone."""
        with suppress(StateError):
            return self._state.read(self._state.path(_DIRECTORY, name))
        return None

    def put(self, name: str, data: bytes) -> None:
        """Keep ``data`` under the name; what is kept for another version under the same first word goes."""
        kind = name.partition("-")[0]
        with suppress(StateError, OSError):
            directory = self._state.directory(_DIRECTORY)
            self._state.write_atomic(directory / name, data)
            for older in directory.glob(f"{kind}-*"):
                if older.name != name:
                    self._state.remove(older)
