"""In which Region each name was seen last, as it is kept.

It imports little: a shell reads it at every TAB.
"""

from __future__ import annotations

import json
import os

from spot_connect.store.private import is_safe

REGIONS_FILE = "regions.json"


def seen(directory: str) -> dict[str, str]:
    """Regions by name, from the state in ``directory``; nothing where the file is lost or broken, or not ours alone."""
    if not is_safe(directory):
        return {}
    try:
        with open(os.path.join(directory, REGIONS_FILE), "rb") as file:
            found = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    items = found.items() if isinstance(found, dict) else ()
    return {name: region for name, region in items if isinstance(region, str)}
