"""The program on an instance, for runs and for distributed jobs; see :mod:`spot_connect.interruption.__main__`."""

from __future__ import annotations

import sys

from spot_connect.crew.answers import VERBS
from spot_connect.interruption import __main__ as runs


def main(words: list[str]) -> int:
    """Do the verb; the exit status."""
    return runs.do(words[0], {**runs.VERBS, **VERBS})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
