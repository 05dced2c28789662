"""The verb ``sync``."""

from __future__ import annotations

import argparse

from spot_connect.console.runs import machine_named
from spot_connect.screen.streams import say
from spot_connect.store.given import existing


def sync(arguments: argparse.Namespace) -> int:
    """Bring a directory there up to date, and print its path; the exit status."""
    existing(arguments.directory)
    with machine_named(arguments) as machine:
        say(machine.sync(arguments.directory, arguments.remotepath, delete=arguments.delete))
    return 0
