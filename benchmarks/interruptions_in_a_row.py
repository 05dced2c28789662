"""Whether one counting job, through many interruptions, has every number in its log exactly once.

The notices are short, 8 to 10 s before the end, and the simulated boot takes no time.
"""

from __future__ import annotations

import sys

from benchmarks.counting import counted, lost, within
from benchmarks.ground import local_cloud
from benchmarks.options import Options, as_script
from benchmarks.timing import Number


def measure(options: Options) -> list[Number]:
    """What is wrong in the result, and the times of so many rounds."""
    count = options.interruptions
    with local_cloud(options):
        story = counted("in-a-row", count, lambda number: 8.0 + number % 3)
    row = f"{count} in a row"
    return [
        lost(f"{row}: numbers lost or repeated", story),
        within(f"{row}: notice on the instance", story.sample("to `seen`", "given", "seen_on_instance"), 6),
        within(
            f"{row}: replacement requested", story.sample("notice to RunInstances", "seen_by_client", "requested"), 2
        ),
        within(f"{row}: script runs again", story.sample("SSH answer to start", "answered", "running"), 10),
    ]


if __name__ == "__main__":
    sys.exit(as_script(__doc__, measure))
