"""A socket of this computer and a channel, joined to one stream."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import paramiko

_CHUNK = 256 * 1024


class Pairs:
    """Those that are open now."""

    def __init__(self) -> None:
        self._open: set[Callable[[], None]] = set()
        self._lock = threading.Lock()

    def carry(self, near: socket.socket, far: paramiko.Channel) -> None:
        """Carry bytes both ways, until both sides have nothing more to say or :meth:`close` is called."""

        def close() -> None:
            # Whoever reads from it is woken by the shutdown alone.
            with contextlib.suppress(OSError):
                near.shutdown(socket.SHUT_RDWR)
            near.close()
            with contextlib.suppress(OSError, EOFError):
                far.close()

        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open.add(close)
        out = begin(_carry, near.recv, far.sendall, far.shutdown_write)
        _carry(far.recv, near.sendall, lambda: near.shutdown(socket.SHUT_WR))
        out.join()
        close()
        with self._lock:
            self._open.discard(close)

    def close(self) -> None:
        """End them all."""
        with self._lock:
            still_open = list(self._open)
        for close in still_open:
            close()


def begin(work: Callable[..., None], *arguments: object) -> threading.Thread:
    """Do it in a thread that keeps no process alive."""
    thread = threading.Thread(target=work, args=arguments, daemon=True, name="ssh-forward")
    thread.start()
    return thread


def _carry(receive: Callable[[int], bytes], send: Callable[[bytes], object], end: Callable[[], object]) -> None:
    """Hand on what comes, and then that nothing more does; on a side that broke there is nobody to tell."""
    with contextlib.suppress(OSError, EOFError):
        while piece := receive(_CHUNK):
            send(piece)
    with contextlib.suppress(OSError, EOFError):
        end()
