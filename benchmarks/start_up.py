"""`spot_connect --help` against a bare interpreter.

Both in a virtual environment made for it, into which the package is installed as a user installs it: an editable
install would slow both sides down.
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial

from benchmarks.installed import installed
from benchmarks.options import Options, as_script
from benchmarks.timing import Number, interleave_programs, ratio


def measure(options: Options) -> list[Number]:
    """The help text, and as much of an interpreter as nothing at all needs."""
    with installed() as programs:
        sides = {
            "`spot_connect --help`": [str(programs / "spot_connect"), "--help"],
            "`python -c pass`": [str(programs / "python"), "-c", "pass"],
        }
        ours, peer = interleave_programs(
            {label: partial(_run, command) for label, command in sides.items()},
            options.rounds or 60,
            warm_up=5,
        )
    return [ratio("start-up", ours, peer, most=2)]


def _run(command: list[str]) -> None:
    subprocess.run(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    sys.exit(as_script(__doc__, measure))
