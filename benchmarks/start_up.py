"""`spot_connect --help`, a wrong flag and the TAB key against a bare interpreter.

Both in a virtual environment made for it, into which the package is installed as a user installs it: an editable
install would slow both sides down.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.installed import installed
from benchmarks.options import Options, as_script
from benchmarks.timing import Number, interleave_programs, ratio

_WRONG = "--no-such-flag"
_WORDS = (["--help"], [_WRONG], ["completion", "words", "--re"], ["completion", "words", "v"])
_GOALS = (("help", 2), ("a wrong flag", 3), ("TAB after a flag's beginning", 3), ("TAB after a name's beginning", 3))


def measure(options: Options) -> list[Number]:
    """Each, and as much of an interpreter as nothing at all needs."""
    with installed() as programs, tempfile.TemporaryDirectory() as home:
        Path(home, "regions.json").write_text('{"vm1": "us-east-1", "vm2": "eu-west-1"}', encoding="utf-8")
        ours = str(programs / "spot_connect")
        sides = {f"`spot_connect {' '.join(words)}`": [ours, *words] for words in _WORDS}
        peer = {"`python -c pass`": [str(programs / "python"), "-c", "pass"]}
        *found, floor = interleave_programs(
            {label: partial(_run, command, home) for label, command in {**sides, **peer}.items()},
            options.rounds or 60,
            warm_up=5,
        )
    return [ratio(f"start-up: {what}", one, floor, most=most) for (what, most), one in zip(_GOALS, found, strict=True)]


def _run(command: list[str], home: str) -> None:
    environment = {**os.environ, "SPOT_CONNECT_HOME": home}
    environment.pop("SPOT_CONNECT_LOCAL", None)
    devnull = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    status = subprocess.run(command, **devnull, env=environment, check=False).returncode
    assert status == (2 if _WRONG in command else 0)


if __name__ == "__main__":
    sys.exit(as_script(__doc__, measure))
