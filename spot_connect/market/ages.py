"""How old the shipped figures are."""

from __future__ import annotations

from spot_connect.store import tables


def prices_date() -> str:
    """The day of the spot prices, as ``2026-01-19``."""
    return tables.prices_date()


def interruptions_date() -> str:
    """The day of the interruption bands."""
    return tables.interruptions_date()
