"""Take all measurements, or those that are named, and print one table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.options import add_options
from benchmarks.timing import Number, table

MEASUREMENTS = {
    "start_up": "`spot_connect --help` against a bare interpreter",
    "listing": "`spot_connect list` against `aws ec2 describe-instances`",
    "warm_command": "a command on an open connection against multiplexed ssh",
    "launch": "from the command to the first prompt, beyond boot and AWS",
    "reconnect": "AWS calls to come back by name",
    "fleet": "many instances started and answering",
}
ROOT = Path(__file__).parents[1]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 1 when a measurement could not be taken, whatever the numbers are."""
    listed = "".join(f"  {name:<13} {meaning}\n" for name, meaning in MEASUREMENTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"measurements:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; all of them by default")
    add_options(parser)
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = parser.parse_args(words)
    unknown = [name for name in arguments.names if name not in MEASUREMENTS]
    if unknown:
        parser.error(f"no measurement is called {', '.join(unknown)}; there are {', '.join(MEASUREMENTS)}")
    flags = [word for word in words if word not in (*arguments.names, "--json")]
    numbers: list[Number] = []
    failed = 0
    for name in arguments.names or MEASUREMENTS:
        print(f"{name}: {MEASUREMENTS[name]} ...", file=sys.stderr)
        found = _take(name, flags)
        failed += found is None
        numbers += found or []
    show(numbers, as_json=arguments.json)
    return 1 if failed else 0


def show(numbers: object, *, as_json: bool) -> None:
    """Print the numbers on standard output."""
    found = [number for number in numbers if isinstance(number, Number)] if isinstance(numbers, list) else []
    if as_json:
        print(json.dumps({"computer": computer(), "numbers": [number.record() for number in found]}, indent=2))
        return
    print(f"{computer()}\n\n{table(found)}")


def computer() -> str:
    """What was measured on, in general words."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores, {platform.system()}, Python {platform.python_version()}"


def _take(name: str, flags: Sequence[str]) -> list[Number] | None:
    # A process for each, so that no threads or memory of one weigh on the next.
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", *flags]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        print(f"{name}: failed with status {done.returncode}", file=sys.stderr)
        return None
    found = json.loads(done.stdout)["numbers"]
    return [Number(**{**each, "notes": tuple(each["notes"])}) for each in found]


if __name__ == "__main__":
    sys.exit(main())
