"""From the words of the command line to the verb that does it."""

from __future__ import annotations

import sys

from spot_connect.console.flags import BEFORE_A_VERB, VERBS, help_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

_AT_TAB = ["completion", "words"]


def run(argv: Sequence[str] | None = None) -> int:
    """Do what ``argv`` says; the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(words)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 0
    except BaseException as error:  # noqa: BLE001 - the one place that turns errors into exit statuses
        from spot_connect.console.exits import tell

        return tell(error, debug="--debug" in words)


def _dispatch(words: list[str]) -> int:
    if words[:2] == _AT_TAB:
        from spot_connect.console.completing import show_words

        return show_words(words[2:])
    leading = next((index for index, word in enumerate(words) if word not in BEFORE_A_VERB), len(words))
    verb = words[leading] if leading < len(words) else ""
    if verb not in VERBS:
        return _connect(words)
    from spot_connect.console.parser import verb_parser

    rest = words[:leading] + words[leading + 1 :]
    arguments = verb_parser(verb).parse_args(_flags_first(rest))
    if verb == "terminate":
        from spot_connect.console.ending import terminate

        return terminate(arguments.names, arguments.region, local=arguments.use_local)
    return _doer(verb)(arguments)


_DOERS = {
    "list": ("listing", "show"),
    "prices": ("pricing", "show_prices"),
    "find": ("finding_types", "show_types"),
    "logs": ("logs", "show_logs"),
    "runs": ("runs", "show_runs"),
    "resume": ("runs", "resume_run"),
    "stop": ("runs", "stop_run"),
    "sync": ("syncing", "sync"),
    "ssh-config": ("ssh_config", "show_include"),
    "doctor": ("doctor", "show_findings"),
    "completion": ("completing", "show_script"),
    "jobs": ("jobs", "act"),
    "local": ("local", "act"),
}
"""The module in this room, and the function in it, that does a verb."""


def _doer(verb: str) -> Callable[[argparse.Namespace], int]:
    """What does the verb; only its own module is imported."""
    from importlib import import_module

    module, name = _DOERS[verb]
    found: Callable[[argparse.Namespace], int] = getattr(import_module(f"spot_connect.console.{module}"), name)
    return found


def _flags_first(words: list[str]) -> list[str]:
    # A verb of verbs (`local up`) hands what follows to another parser, which does not know these flags.
    general = [word for word in words if word in BEFORE_A_VERB]
    return general + [word for word in words if word not in BEFORE_A_VERB]


def _connect(words: list[str]) -> int:
    if not words:
        sys.stderr.write(help_text())
        return 2
    if words in (["--help"], ["-h"]):
        sys.stdout.write(help_text())
        return 0
    from spot_connect.console.parser import main_parser

    arguments = main_parser().parse_args(words)
    return _version() if arguments.version else _connect_as(arguments)


def _connect_as(arguments: argparse.Namespace) -> int:
    if arguments.command is not None and not arguments.terminate:
        from spot_connect.console.commanding import run_at_once

        status = run_at_once(arguments)
        if status is not None:
            return status
    from spot_connect.console.connecting import connect

    return connect(arguments)


def _version() -> int:
    from spot_connect import __version__
    from spot_connect.screen.streams import say

    say(f"spot_connect {__version__}")
    return 0
