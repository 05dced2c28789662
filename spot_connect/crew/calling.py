"""A job that calls a Python function on some items, one after the other: ``python -m spot_connect.crew.calling``."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from spot_connect.interruption.runner import REQUEUE

Answer = tuple[bool, Any]
"""Whether it went well, and what came back or was raised."""


class _Leaving(BaseException):
    """The machine is taken away."""


def main() -> int:
    """Call it on every item that has no answer yet; the exit status is 1 when one has raised."""
    import cloudpickle

    kept = Path(os.environ["SPOT_CONNECT_CHECKPOINT_DIR"]) / "answers.pkl"
    wanted = Path(os.environ["SPOT_CONNECT_OUT_DIR"]) / "answers.pkl"
    call = wanted.parents[1] / "in" / "call.pkl"
    version, function, items = _read(call)
    if version != tuple(sys.version_info[:2]):
        sys.stderr.write(f"this is Python {sys.version.split()[0]}, the function comes from {version}\n")
        return 1
    function, items = cloudpickle.loads(function), cloudpickle.loads(items)
    answers: list[Answer] = _read(kept) if kept.exists() else []
    signal.signal(signal.SIGTERM, _leave)
    try:
        for item in items[len(answers) :]:
            answers.append(_answer(function, item))
    except _Leaving:
        _write(kept, answers)
        return REQUEUE
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _write(wanted, answers)
    return 0 if all(went_well for went_well, _ in answers) else 1


def _answer(function: Any, item: Any) -> Answer:
    import cloudpickle

    try:
        return True, cloudpickle.dumps(function(item))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the caller's to see
        traceback.print_exc()
        return False, _as_bytes(error)


def _as_bytes(error: Exception) -> bytes:
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps(error))
    except Exception:  # noqa: BLE001 - an exception may hold anything
        return bytes(cloudpickle.dumps(RuntimeError(f"{type(error).__name__}: {error}")))


def _leave(*_: object) -> None:
    raise _Leaving


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        return pickle.load(file)  # noqa: S301 - the caller's own files


def _write(path: Path, answers: list[Answer]) -> None:
    temporary = path.with_name(f".{path.name}")
    with temporary.open("wb") as file:
        pickle.dump(answers, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
