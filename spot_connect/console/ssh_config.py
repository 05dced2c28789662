"""The verb ``ssh-config``."""

from __future__ import annotations

import argparse

from spot_connect.core.errors import StateError
from spot_connect.core.ssh_config import include_lines
from spot_connect.core.untrusted import Refused
from spot_connect.launching.realm import choose_realm
from spot_connect.screen.streams import say


def show_include(arguments: argparse.Namespace) -> int:
    """Print what OpenSSH needs to know every machine by name; the exit status."""
    try:
        lines = include_lines(choose_realm(arguments.use_local).aliases.files)
    except Refused as error:
        advice = "Choose another state directory with SPOT_CONNECT_HOME."
        raise StateError("cannot tell OpenSSH of your machines", str(error), advice) from error
    say(*lines.splitlines())
    return 0
