"""Whose process is at the other end of a connection over the loopback address; Linux tells, sock_diag(7).

Everybody on this computer can connect, and a secret that was seen in a command line or a log is as good as the true
one. Who asks is the one thing that they cannot copy.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Callable, Collection
from contextlib import suppress

Place = tuple[str, int]

_SOCK_DIAG = 4
_BY_FAMILY = 20
_REQUEST = 1
_ALL_STATES = 0xFFFFFFFF
_NO_COOKIE = 0xFFFFFFFF
_HEADER = struct.Struct("=IHHII")
_ID = struct.Struct("=2s2s16s16sIII")
_ANSWER = struct.Struct("=BBBB48sIIIII")


def user_of(near: Place, far: Place) -> int | None:
    """The user who holds the socket at ``far`` that is connected to ``near``; ``None`` when the system does not tell.

    A socket that its process has let go of belongs to nobody, however much of what it sent is still to be read.
    """
    if sys.platform != "linux":
        return None
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _SOCK_DIAG) as kernel:
            kernel.settimeout(1.0)
            kernel.send(_question(near, far))
            said = kernel.recv(4096)
    except OSError:
        return None
    size, kind, *_ = _HEADER.unpack_from(said)
    if kind != _BY_FAMILY or size < _HEADER.size + _ANSWER.size:
        return None
    *_, user, inode = _ANSWER.unpack_from(said, _HEADER.size)
    return int(user) if inode else None


def _question(near: Place, far: Place) -> bytes:
    ends = (far[1].to_bytes(2, "big"), near[1].to_bytes(2, "big"), _packed(far[0]), _packed(near[0]))
    body = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, _ALL_STATES)
    body += _ID.pack(*ends, 0, _NO_COOKIE, _NO_COOKIE)
    return _HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST, 1, 0) + body


def _packed(address: str) -> bytes:
    return socket.inet_aton(address).ljust(16, b"\0")


def admission(users: Collection[int]) -> Callable[[Place, Place], bool]:
    """What tells whether a connection comes from one of ``users``; from anybody where the system does not tell.

    Example:
        >>> admission([os.geteuid()])(("127.0.0.1", 1), ("127.0.0.1", 2))  # doctest: +SKIP
        False
    """
    if not _is_told():
        return lambda _near, _far: True
    return lambda near, far: user_of(near, far) in users


def _is_told() -> bool:
    with suppress(OSError), socket.create_server(("127.0.0.1", 0)) as listener:
        near = listener.getsockname()
        with socket.create_connection(near) as trial:
            return user_of(near, trial.getsockname()) == os.geteuid()
    return False
