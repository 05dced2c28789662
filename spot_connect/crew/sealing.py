"""Calls of Python functions and their answers on their way: authenticated before anything is made of them.

Each carries an HMAC (RFC 2104, SHA-256) with the key of its run, which is made where the run begins. It covers where
the bytes belong, too, so that those of another run, job or item do not pass in their place.
"""

from __future__ import annotations

import hmac
import json
import struct
from collections.abc import Sequence

CALL, ANSWERS = "call", "answers"
"""The files of a job."""
BYTES, PLAIN, OBJECT, RAISED = b"b", b"j", b"o", b"r"
"""How an answer begins, by what follows: the bytes themselves, JSON, a pickle, or what was raised, as both."""
_MAC_BYTES = 32
_LENGTH = struct.Struct(">Q")


class Forged(Exception):
    """Who has made these bytes did not have the key of the run, or made them for another place."""


def call_place(run: str, job: int) -> tuple[object, ...]:
    """Where a call belongs."""
    return "call", run, job


def answer_place(run: str, job: int, jobs: int, item: int, items: int) -> tuple[object, ...]:
    """Where an answer belongs: to which item of how many in the job, which is one of how many."""
    return "answer", run, job, jobs, item, items


def seal(key: bytes, place: Sequence[object], content: bytes) -> bytes:
    """``content`` as it travels."""
    return _mac(key, place, content) + content


def unseal(key: bytes, place: Sequence[object], sealed: bytes) -> bytes:
    """The content.

    Raises:
        Forged: it is none for that place, by who has the key.
    """
    mac, content = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(key, place, content)):
        raise Forged(f"it was not made with the key of the run for {json.dumps(place)}")
    return content


def join(parts: Sequence[bytes]) -> bytes:
    """Several in one file, each behind its length."""
    return b"".join(_LENGTH.pack(len(part)) + part for part in parts)


def part(joined: bytes) -> list[bytes]:
    """What :func:`join` has joined.

    Raises:
        Forged: it has joined nothing like that.
    """
    found, rest = [], memoryview(joined)
    while rest:
        if len(rest) < _LENGTH.size or len(rest) - _LENGTH.size < _LENGTH.unpack_from(rest)[0]:
            raise Forged("it ends in the middle of an answer")
        end = _LENGTH.size + _LENGTH.unpack_from(rest)[0]
        found.append(bytes(rest[_LENGTH.size : end]))
        rest = rest[end:]
    return found


def raised(text: str, packed: bytes) -> bytes:
    """What a call has raised: what there is to say of it, and the pickle of it."""
    return RAISED + join([text.encode("utf-8", "backslashreplace"), packed])


def told(content: bytes) -> tuple[str, bytes]:
    """What :func:`raised` was given, without the letter."""
    text, packed = part(content)
    return text.decode("utf-8", "replace"), packed


def _mac(key: bytes, place: Sequence[object], content: bytes) -> bytes:
    return hmac.digest(key, json.dumps(place).encode() + b"\0" + content, "sha256")
