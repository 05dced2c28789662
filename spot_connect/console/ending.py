"""The verb ``terminate``."""

from __future__ import annotations

from collections.abc import Sequence

from spot_connect.launching.ending import terminate_names
from spot_connect.launching.realm import choose_realm
from spot_connect.screen.reporter import Screen


def terminate(names: Sequence[str], region: str, *, local: bool | None) -> int:
    """End the machines with these names; the exit status."""
    realm = choose_realm(local)
    screen = Screen(local=realm.is_local)
    for instance in terminate_names(realm, names, region, screen):
        screen.note(f"terminated {instance.name} ({instance.id})")
    return 0
