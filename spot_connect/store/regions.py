"""In which Region a name was last seen: a hint that saves asking all of them."""

from __future__ import annotations

import json
from contextlib import suppress

from spot_connect.core.errors import DeadlinePassed, StateError
from spot_connect.store.seen import REGIONS_FILE, seen
from spot_connect.store.state import State


class RegionHints:
    """Region hints by instance name. A lost or broken file, or one that cannot be written, is never an error."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._path = state.path(REGIONS_FILE)

    def hint(self, name: str) -> str | None:
        """The Region the name was last seen in, if anybody remembers."""
        return self._read().get(name)

    def regions(self) -> tuple[str, ...]:
        """Every Region in which something was seen, in alphabetical order."""
        return tuple(sorted(set(self._read().values())))

    def remember(self, name: str, region: str) -> None:
        """Note where the name is."""
        if self.hint(name) != region:
            self._change(name, region)

    def forget(self, name: str) -> None:
        """Drop the hint for a name."""
        if self.hint(name) is not None:
            self._change(name, None)

    def _change(self, name: str, region: str | None) -> None:
        with suppress(StateError, DeadlinePassed), self._state.lock("regions", wait_seconds=5):
            hints = self._read()
            hints.pop(name, None)
            if region is not None:
                hints[name] = region
            self._state.write_atomic(self._path, json.dumps(hints, indent=1, sort_keys=True) + "\n")

    def _read(self) -> dict[str, str]:
        return seen(str(self._state.root))
