"""Every request that our code sends to a local cloud of these tests, held against what AWS demands.

A local cloud writes down what it is asked (``SPOT_CONNECT_LOCAL_CALLS``), whoever asks: this process, the installed
script, or the program on an instance. What tests ask themselves is left out.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from spot_connect.local.calls import RECORD
from tests.aws_constraints import faults
from tests.local_cloud import TESTS_OWN


class RecordedCalls:
    """The file that all local clouds write to which this process and its children start."""

    def __init__(self) -> None:
        handle, name = tempfile.mkstemp(prefix="spot-connect-calls-", suffix=".jsonl")
        os.close(handle)
        self.path = Path(name)
        self._read = 0
        os.environ[RECORD] = name

    def faults(self) -> list[str]:
        """What is wrong with the requests since the last look."""
        return [said for line in self._lines() for said in _faults(line)]

    def _lines(self) -> list[bytes]:
        with self.path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        self._read += len(new)
        return new.splitlines()

    def close(self) -> None:
        """Forget them."""
        os.environ.pop(RECORD, None)
        self.path.unlink(missing_ok=True)


def _faults(line: bytes) -> list[str]:
    call = json.loads(line)
    if TESTS_OWN in call["agent"]:
        return []
    return faults(f"{call['service']}:{call['operation']}", call["parameters"])
