"""The keys by which the answers of runs that began on this computer are known."""

from __future__ import annotations

from pathlib import Path

from spot_connect.core.names import file_name
from spot_connect.store.state import State


def keep(state: State, run_id: str, key: bytes) -> None:
    """Keep the key of a run.

    Raises:
        StateError: the disk refuses.
    """
    state.write_atomic(_path(state, run_id), key)


def kept(state: State, run_id: str) -> bytes | None:
    """The key of a run; ``None`` when it began elsewhere."""
    return state.read(_path(state, run_id))


def _path(state: State, run_id: str) -> Path:
    return state.path("jobs", file_name(run_id), "answers.key")
