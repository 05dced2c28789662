"""Take all measurements, or those that are named, and print one table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.options import INTERRUPTED, Options, add_options
from benchmarks.picture import draw
from benchmarks.timing import Number, table

MEASUREMENTS = {
    "start_up": "`spot_connect --help` against a bare interpreter",
    "listing": "`spot_connect list` against `aws ec2 describe-instances`",
    "warm_command": "a command on an open connection against multiplexed ssh",
    "command": "`spot_connect -c` over a long line against `ssh`, with and without a connection that is kept open",
    "prompt": "printing and pasting in the interactive shell against `ssh`",
    "transfers": "files up and down against scp, rsync and sftp, over lines with and without delay",
    "real_links": "files up and down and a first command over lines of the kernel's own TCP, with rate, delay and loss",
    "to_many": "files to several instances at once against an rsync for each",
    "launch": "from the command to the first prompt, beyond boot and AWS",
    "reconnect": "AWS calls to come back by name",
    "fleet_calls": "AWS calls to launch many instances, and to reach them",
    "fan_out": "a command on many instances at once against fabric, parallel-ssh and GNU parallel",
    "fleet": "many instances started and answering",
    "jobs": "how busy distributed jobs keep their instances, and what each costs, against GNU parallel",
    "jobs_acceptance": "what may happen to distributed jobs, one thing at a time",
    "jobs_chaos": "distributed jobs while instances, heads and clients are taken away",
    "growth": "how the time grows with files, bytes, instances and jobs",
    "interruption": "from the notice to the work going on elsewhere",
    "interruptions_in_a_row": "one counting job through many interruptions",
}
ROOT = Path(__file__).parents[1]
_COMMON = "measured"
"""The place in a page for all that has no place of its own name there."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 1 when a measurement could not be taken, whatever the numbers are."""
    listed = "".join(f"  {name:<22} {meaning}\n" for name, meaning in MEASUREMENTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"measurements:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; all of them by default")
    parser.add_argument(
        "--update", type=Path, metavar="FILE", help="put the table into a page, e.g. docs/benchmarks.md"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="growth: draw it, e.g. docs/growth.svg")
    add_options(parser)
    arguments = parser.parse_args(argv)
    unknown = [name for name in arguments.names if name not in MEASUREMENTS]
    if unknown:
        parser.error(f"no measurement is called {', '.join(unknown)}; there are {', '.join(MEASUREMENTS)}")
    flags = _flags(arguments)
    if arguments.update and arguments.cells:
        parser.error("a part of the cells cannot take the place of a table of all of them")
    found: dict[str, list[Number]] = {}
    failed = 0
    for name in arguments.names or MEASUREMENTS:
        print(f"{name}: {MEASUREMENTS[name]} ...", file=sys.stderr)
        taken = _take(name, flags)
        failed += taken is None
        found[name] = taken or []
    numbers = [number for taken in found.values() for number in taken]
    show(numbers, as_json=arguments.json)
    if arguments.update and not failed:
        update(arguments.update, found)
    if arguments.plot and not failed:
        draw(numbers, arguments.plot)
    return 1 if failed else 0


def show(numbers: object, *, as_json: bool) -> None:
    """Print the numbers on standard output."""
    found = [number for number in numbers if isinstance(number, Number)] if isinstance(numbers, list) else []
    if as_json:
        print(json.dumps({"computer": computer(), "numbers": [number.record() for number in found]}, indent=2))
        return
    print(_text(found))


def computer() -> str:
    """What was measured on, in general words."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores, {platform.system()}, Python {platform.python_version()}"


def _text(numbers: Sequence[Number]) -> str:
    return f"{computer()}\n\n{table(numbers)}"


def update(page: Path, found: Mapping[str, Sequence[Number]]) -> None:
    """Put the numbers of measurements into a page: each into the place of its name, or all others into the common one.

    What was not measured, or could not be measured here, leaves its place as it is.
    """
    text = page.read_text(encoding="utf-8")
    places: dict[str, list[Number]] = {}
    for name, numbers in found.items():
        if numbers:
            places.setdefault(name if _marks(name)[0] in text else _COMMON, []).extend(numbers)
    for name, numbers in places.items():
        begin, end = _marks(name)
        before, _, rest = text.partition(begin)
        _, is_there, after = rest.partition(end)
        if not is_there:
            raise SystemExit(f"{page} has no place for the table: {begin} and {end}")
        text = f"{before}{begin}\n{_text(numbers)}\n{end}{after}"
    page.write_text(text, encoding="utf-8")


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def _flags(arguments: argparse.Namespace) -> list[str]:
    """The flags that every measurement knows, as they were given."""
    given = [(name, getattr(arguments, name)) for name in Options.__slots__]
    return [word for name, value in given if value for word in (f"--{name.replace('_', '-')}", str(value))]


def _take(name: str, flags: Sequence[str]) -> list[Number] | None:
    # A process for each, so that no threads or memory of one weigh on the next.
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", *flags]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as measuring:
        try:
            told, _ = measuring.communicate()
        except KeyboardInterrupt:
            # It has heard of it, too, and has servers to end and files to remove.
            measuring.wait()
            raise SystemExit(INTERRUPTED) from None
    if measuring.returncode:
        print(f"{name}: failed with status {measuring.returncode}", file=sys.stderr)
        return None
    found = json.loads(told)["numbers"]
    return [Number(**{**each, "notes": tuple(each["notes"])}) for each in found]


if __name__ == "__main__":
    sys.exit(main())
