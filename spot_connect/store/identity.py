"""Who this computer's user is, among others who know the same machines."""

from __future__ import annotations

import secrets

from spot_connect.store.state import State


def own_id(state: State) -> str:
    """A random word, made once, that no other state directory has.

    Raises:
        StateError: the state directory cannot be written.
    """
    path = state.path("own-id")
    known = state.read_text(path)
    if known:
        return known.strip()
    with state.lock("own-id", wait_seconds=30):
        known = state.read_text(path) or secrets.token_hex(16)
        state.write_atomic(path, known.strip() + "\n")
    return known.strip()
