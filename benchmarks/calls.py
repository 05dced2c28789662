"""Which AWS calls are made, and when.

As a program, ``python -m benchmarks.calls FILE WORD...``: be ``spot_connect WORD...`` and write the calls to FILE.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """One call; its times are the system's monotonic clock, the same in all processes."""

    operation: str
    began: float
    ended: float


@contextmanager
def recorded(hear: Callable[[Call], object], away: float = 0) -> Iterator[None]:
    """Tell ``hear`` of every AWS call that botocore makes in this process meanwhile.

    Each takes ``away`` seconds more, as if AWS were far away.
    """
    from botocore.client import BaseClient

    original = BaseClient._make_api_call

    def call(self: Any, operation_name: str, api_params: Any) -> Any:
        began = time.monotonic()
        try:
            time.sleep(away)
            return original(self, operation_name, api_params)
        finally:
            hear(Call(operation_name, began, time.monotonic()))

    BaseClient._make_api_call = call
    try:
        yield
    finally:
        BaseClient._make_api_call = original


@contextmanager
def recorded_in(path: Path) -> Iterator[None]:
    """Write a line for every AWS call to the file."""
    with path.open("a", encoding="utf-8", buffering=1) as file:

        def hear(call: Call) -> None:
            file.write(json.dumps([call.operation, call.began, call.ended]) + "\n")

        with recorded(hear):
            yield


def read(path: Path) -> list[Call]:
    """The calls in the file."""
    return [Call(*json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def busy_seconds(calls: Iterable[Call], without: tuple[float, float]) -> float:
    """For how long at least one call was under way, the time ``without`` left out.

    Example:
        >>> busy_seconds([Call("a", 0, 2), Call("b", 1, 3), Call("c", 5, 9)], without=(6, 8))
        5.0
    """
    total = 0.0
    until = float("-inf")
    for call in sorted(calls, key=lambda call: call.began):
        began, ended = max(call.began, until), max(call.ended, until)
        hidden = max(0.0, min(ended, without[1]) - max(began, without[0]))
        total += ended - began - hidden
        until = ended
    return float(total)


def main() -> int:
    """Be ``spot_connect``; its exit status."""
    with recorded_in(Path(sys.argv[1])):
        from spot_connect.connect import main as spot_connect

        return spot_connect(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
