#!/usr/bin/env python3
"""Count to 150. When AWS takes the machine away, say so with status 75; the next machine goes on with the next number.

It runs on the instance, begun with --detach True or --resume True, and needs nothing but Python there.
"""

import os
import signal
import sys
import threading
from pathlib import Path

LAST = 150
NOT_FINISHED = 75

# Every attempt finds here what the last one has left.
checkpoint = Path(os.environ["SPOT_CONNECT_CHECKPOINT_DIR"]) / "numbers"
counted = len(checkpoint.read_text().split()) if checkpoint.exists() else 0

# Without a handler SIGTERM would end the script in the middle of a step.
asked_to_end = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: asked_to_end.set())

print(f"attempt {os.environ['SPOT_CONNECT_ATTEMPT']} begins after {counted}")
with checkpoint.open("a") as numbers:
    for number in range(counted + 1, LAST + 1):
        if asked_to_end.is_set():
            print(f"asked to end after {number - 1}")
            sys.exit(NOT_FINISHED)
        print(number)
        numbers.write(f"{number}\n")
        numbers.flush()
        asked_to_end.wait(0.1)  # the work
print(f"counted to {LAST}")
