"""The example that people start with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "jobs.py"


def test_the_example_runs_and_its_interruption_costs_nothing():
    done = subprocess.run([sys.executable, EXAMPLE], capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stderr
    summary, steps = done.stdout.splitlines()
    assert "6 succeeded; 1 interruption" in summary
    assert steps == "each step once: True"
