"""What can be set on the command line of a measurement."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

INTERRUPTED = 130
"""The exit status after Ctrl-C."""


@dataclass(frozen=True, slots=True)
class Options:
    """How thoroughly to measure; ``rounds`` 0 leaves it to the measurement."""

    rounds: int = 0
    boot_seconds: float = 20.0
    listed: int = 5
    fleet: int = 100
    interruptions: int = 50
    isolation: str = ""
    cells: str = ""
    congestion: str = ""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the flags, the same for every measurement."""
    usual = Options()
    parser.add_argument("--rounds", type=int, default=usual.rounds, help="how often each side is timed")
    parser.add_argument(
        "--boot-seconds",
        type=float,
        default=usual.boot_seconds,
        metavar="N",
        help="launch, interruption: simulated boot (20)",
    )
    parser.add_argument("--listed", type=int, default=usual.listed, metavar="N", help="listing: instances (5)")
    parser.add_argument("--fleet", type=int, default=usual.fleet, metavar="N", help="fleet: instances (100)")
    parser.add_argument(
        "--interruptions",
        type=int,
        default=usual.interruptions,
        metavar="N",
        help="interruptions_in_a_row: how many (50)",
    )
    parser.add_argument("--isolation", choices=("ns", "plain"), default="", help="of the local cloud; the best here")
    parser.add_argument(
        "--cells",
        default=usual.cells,
        metavar="PATTERNS",
        help="real_links: some of them, e.g. '1000/80/0.1' (Mbit/s, ms, %% lost) or '*/*/0/command,1000/80/*/up'",
    )
    parser.add_argument("--congestion", default=usual.congestion, help="real_links: TCP's congestion control (cubic)")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")


def options_of(arguments: argparse.Namespace) -> Options:
    """The options in what was parsed."""
    return Options(**{name: getattr(arguments, name) for name in Options.__slots__})


def as_script(description: str | None, measure: Callable[[Options], object], argv: Sequence[str] | None = None) -> int:
    """Be a script that takes one measurement and prints it; the exit status."""
    from benchmarks.run import show

    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    add_options(parser)
    arguments = parser.parse_args(argv)
    try:
        show(measure(options_of(arguments)), as_json=arguments.json)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0
