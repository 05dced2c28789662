"""The holder as a program; :mod:`spot_connect.holding.calling` starts it."""

from __future__ import annotations

import gc
import os
import sys

if __name__ == "__main__":
    # Python has put this directory first, where it would look for its own modules.
    sys.path[0:1] = []
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    # paramiko loads it for a word in OpenSSH's configuration files, which are not read here; it takes half of the time.
    sys.modules["invoke"] = None  # type: ignore[assignment]
    gc.set_threshold(100_000, 20, 20)
    from spot_connect.holding.holder import main

    sys.exit(main(sys.argv[1:]))
