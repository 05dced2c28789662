"""A job that calls a Python function on some items, one after the other: ``python -m spot_connect.crew.calling``."""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from spot_connect.crew.batch import Batch
from spot_connect.crew.sealing import (
    ANSWERS,
    BYTES,
    CALL,
    OBJECT,
    PLAIN,
    RAISED,
    Forged,
    answer_place,
    call_place,
    join,
    part,
    raised,
    seal,
    unseal,
)
from spot_connect.interruption.runner import REQUEUE


class _Leaving(BaseException):
    """The machine is taken away."""


def main() -> int:
    """Call it on every item that has no answer yet; the exit status is 1 when one has raised."""
    import cloudpickle

    directory = Path(os.environ["SPOT_CONNECT_OUT_DIR"]).parent
    batch, job = Batch(directory.parents[1]), int(directory.name)
    key = batch.answers_key()
    try:
        call = unseal(key, call_place(batch.id, job), (directory / "in" / CALL).read_bytes())
    except Forged as error:
        sys.stderr.write(f"the call of this job is not made: {error}\n")
        return 1
    version, jobs, function, items = pickle.loads(call)  # noqa: S301 - it comes from who began the run
    if version != tuple(sys.version_info[:2]):
        sys.stderr.write(f"this is Python {sys.version.split()[0]}, the function comes from {version}\n")
        return 1
    function, items = cloudpickle.loads(function), cloudpickle.loads(items)

    def place(item: int) -> Sequence[object]:
        return answer_place(batch.id, job, jobs, item, len(items))

    kept = Path(os.environ["SPOT_CONNECT_CHECKPOINT_DIR"]) / ANSWERS
    sealed = _kept(kept, key, place)
    signal.signal(signal.SIGTERM, _leave)
    try:
        for item in range(len(sealed), len(items)):
            sealed.append(seal(key, place(item), _answer(function, items[item])))
    except _Leaving:
        _write(kept, sealed)
        return REQUEUE
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _write(directory / "out" / ANSWERS, sealed)
    return 1 if any(unseal(key, place(item), one)[:1] == RAISED for item, one in enumerate(sealed)) else 0


def _kept(path: Path, key: bytes, place: Callable[[int], Sequence[object]]) -> list[bytes]:
    """The answers of an attempt that was interrupted; none where others have made them."""
    if not path.exists():
        return []
    try:
        found = part(path.read_bytes())
        for item, one in enumerate(found):
            unseal(key, place(item), one)
    except Forged as error:
        sys.stderr.write(f"answers of an earlier attempt are not taken, and the calls made again: {error}\n")
        return []
    return found


def _answer(function: Any, item: Any) -> bytes:
    import cloudpickle

    try:
        value = function(item)
        if type(value) is bytes:
            return BYTES + value
        plain = _as_json(value)
        return PLAIN + plain if plain else OBJECT + bytes(cloudpickle.dumps(value))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the caller's to see
        traceback.print_exc()
        return raised(f"{type(error).__name__}: {error}", _as_bytes(error))


def _as_json(value: Any) -> bytes:
    """The value as JSON, if just the same comes of that; else nothing."""
    try:
        return json.dumps(value).encode() if _is_plain(value) else b""
    except (ValueError, RecursionError):
        # It refers to itself, or is a number of thousands of digits.
        return b""


def _is_plain(value: Any) -> bool:
    if type(value) is list:
        return all(map(_is_plain, value))
    if type(value) is dict:
        return all(type(key) is str and _is_plain(one) for key, one in value.items())
    return value is None or type(value) in (bool, int, float, str)


def _as_bytes(error: Exception) -> bytes:
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps(error))
    except Exception:  # noqa: BLE001 - an exception may hold anything
        return bytes(cloudpickle.dumps(RuntimeError(f"{type(error).__name__}: {error}")))


def _leave(*_: object) -> None:
    raise _Leaving


def _write(path: Path, sealed: Sequence[bytes]) -> None:
    temporary = path.with_name(f".{path.name}")
    with temporary.open("wb") as file:
        file.write(join(sealed))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
