"""The verb ``logs``."""

from __future__ import annotations

import argparse

from spot_connect.core.errors import UsageError
from spot_connect.launching.logs import show_cloud_init
from spot_connect.launching.realm import choose_realm
from spot_connect.screen.reporter import Screen
from spot_connect.screen.streams import foreign_to_stdout
from spot_connect.store.where import local_is_chosen


def show_logs(arguments: argparse.Namespace) -> int:
    """Print what an instance has printed; the exit status."""
    if not arguments.cloud_init:
        from spot_connect.console.runs import show_log

        return show_log(arguments)
    if arguments.run:
        raise UsageError("a run and --cloud-init were both asked for", advice="Leave one of them out.")
    screen = Screen(local=local_is_chosen(arguments.use_local))
    realm = choose_realm(arguments.use_local, screen)
    files = realm.keys(arguments.keydir, screen)
    with foreign_to_stdout() as show:
        show_cloud_init(
            realm,
            arguments.name,
            arguments.region,
            files,
            screen,
            show=show,
            follow=arguments.follow,
        )
    return 0
