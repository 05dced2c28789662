"""What moto does differently from AWS, put right.

One module per theme, each with a table ``PATCHES``; ``tests/boundary/local`` holds a contract test for each entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spot_connect.local.patches import (
    account,
    answers,
    console,
    describing,
    dry_runs,
    ending,
    filesystems,
    fleets,
    groups,
    images,
    lagging,
    launching,
    networks,
    prices,
    quotas,
    spot,
    tags,
)
from spot_connect.local.patches.patch import Patch

if TYPE_CHECKING:
    from spot_connect.local.cloud import Cloud

PATCHES: tuple[Patch, ...] = (
    *account.PATCHES,
    *answers.PATCHES,
    *dry_runs.PATCHES,
    *tags.PATCHES,
    *launching.PATCHES,
    *ending.PATCHES,
    *describing.PATCHES,
    *spot.PATCHES,
    *groups.PATCHES,
    *networks.PATCHES,
    *images.PATCHES,
    *fleets.PATCHES,
    *filesystems.PATCHES,
    *prices.PATCHES,
    *console.PATCHES,
    *quotas.PATCHES,
    # Above all others, so that what they tell of themselves lags, too.
    *lagging.PATCHES,
)


def install(cloud: Cloud) -> None:
    """Make moto behave, for the rest of this process."""
    for patch in PATCHES:
        patch.install(cloud)
    launching.add_fields()
    describing.add_filters()
    filesystems.lengthen_ids()
    account.enable_regions()
