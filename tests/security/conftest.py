"""Somebody at a shell, and the local cloud that they rehearse on."""

from __future__ import annotations

from tests.journeys.conftest import cloud_home, machine, name, person

__all__ = ["cloud_home", "machine", "name", "person"]
