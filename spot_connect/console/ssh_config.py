"""The verb ``ssh-config``."""

from __future__ import annotations

import argparse

from spot_connect.core.ssh_config import include_lines
from spot_connect.launching.realm import choose_realm
from spot_connect.screen.streams import say


def show_include(arguments: argparse.Namespace) -> int:
    """Print what OpenSSH needs to know every machine by name; the exit status."""
    say(include_lines(choose_realm(arguments.use_local).aliases.files))
    return 0
