"""The verb ``terminate``."""

from __future__ import annotations

from collections.abc import Sequence

from spot_connect.launching.ending import terminate_names
from spot_connect.launching.realm import choose_realm
from spot_connect.screen.reporter import Screen
from spot_connect.store.where import local_is_chosen


def terminate(names: Sequence[str], region: str, *, local: bool | None) -> int:
    """End the machines with these names; the exit status."""
    screen = Screen(local=local_is_chosen(local))
    realm = choose_realm(local, screen)
    for instance in terminate_names(realm, names, region, screen):
        screen.note(f"terminated {instance.name} ({instance.id})")
    return 0
