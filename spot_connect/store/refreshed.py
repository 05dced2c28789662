"""What a refresh has put into the profiles, so that the next one can tell it from what the user put there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress

from spot_connect.core.errors import DeadlinePassed, StateError
from spot_connect.store.state import State


class Refreshed:
    """Image ids and on-demand prices that came from AWS. A lost or broken file is never an error.

    Without it, the next refresh takes what the last one wrote for the user's own choice, and leaves it alone.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._path = state.path("refreshed.json")
        self._known = self._read()

    def image_name(self, image_id: str) -> str:
        """The name of the image that a refresh gave this id to; empty for any other id."""
        return self._known.get(f"image {image_id}", "")

    def price(self, instance_type: str, region: str) -> str:
        """The on-demand price that a refresh wrote; empty when none did."""
        return self._known.get(f"price {instance_type} {region}", "")

    def remember(
        self, *, images: Mapping[str, str] | None = None, prices: Mapping[tuple[str, str], str] | None = None
    ) -> None:
        """Note ids with the names of their images, and on-demand prices by type and Region."""
        new = {f"image {image_id}": name for image_id, name in (images or {}).items()}
        new |= {f"price {kind} {region}": price for (kind, region), price in (prices or {}).items()}
        with suppress(StateError, DeadlinePassed), self._state.lock("refreshed", wait_seconds=5):
            self._known = self._read() | new
            self._state.write_atomic(self._path, json.dumps(self._known, indent=1, sort_keys=True) + "\n")

    def _read(self) -> dict[str, str]:
        try:
            found = json.loads(self._state.read(self._path) or b"{}")
        except (StateError, ValueError, RecursionError):
            return {}
        items = found.items() if isinstance(found, dict) else ()
        return {key: value for key, value in items if isinstance(value, str)}
