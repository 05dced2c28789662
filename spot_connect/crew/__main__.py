"""The program on an instance: ``python3 AGENT VERB``, for runs and for distributed jobs."""

from __future__ import annotations

import json
import sys

from spot_connect.crew.answers import VERBS
from spot_connect.interruption.__main__ import main as main_of_runs


def main(words: list[str]) -> int:
    """Do the verb; the exit status."""
    verb = VERBS.get(words[0])
    if verb is None:
        return main_of_runs(words)
    return verb(json.loads(words[1]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
