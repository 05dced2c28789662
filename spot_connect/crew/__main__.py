"""The program on an instance: ``python3 AGENT VERB ASKED``, for runs and for distributed jobs.

``ASKED`` is JSON, or ``-`` where it is too long for an argument and is the first line of standard input.
"""

from __future__ import annotations

import json
import sys

from spot_connect.crew.answers import VERBS
from spot_connect.interruption.__main__ import main as main_of_runs


def main(words: list[str]) -> int:
    """Do the verb; the exit status."""
    if words[1:] == ["-"]:
        words = [words[0], sys.stdin.buffer.readline().decode()]
    verb = VERBS.get(words[0])
    if verb is None:
        return main_of_runs(words)
    return verb(json.loads(words[1]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
