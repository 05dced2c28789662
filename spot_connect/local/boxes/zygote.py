"""The process that every box is forked from: one thread, everything imported, nothing of its own to do.

Run as ``python -m spot_connect.local.boxes.zygote DESCRIPTOR``, with the descriptor of a socket that orders come in on.
It ends when that socket does.
"""

from __future__ import annotations

import gc
import logging
import os
import select
import signal
import socket
import sys

from spot_connect.local.boxes import entry, errands, linux, machine
from spot_connect.local.boxes.levels import Level
from spot_connect.local.boxes.order import Errand, Order, receive, tell


class Zygote:
    """Forks boxes on order and buries what dies."""

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        self._launching: dict[int, int] = {}
        """Launcher's pid, to the pipe that tells its box that the launcher is gone."""
        self._woken, self._waker = socket.socketpair()
        for end in (self._woken, self._waker):
            end.settimeout(0)
        signal.set_wakeup_fd(self._waker.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self) -> None:
        """Serve until the daemon is gone."""
        while True:
            ready, _, _ = select.select([self._orders, self._woken], [], [])
            if self._woken in ready:
                self._woken.recv(4096)
                self._bury()
            if self._orders in ready:
                received = receive(self._orders)
                if received is None:
                    return
                order, descriptors = received
                if isinstance(order, Errand):
                    self._send_on(order, descriptors)
                else:
                    self._make(order, descriptors)

    def _bury(self) -> None:
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            go = self._launching.pop(pid, None)
            if go is not None:
                _write_go(go)

    def _make(self, order: Order, descriptors: list[int]) -> None:
        listener = socket.socket(fileno=descriptors[0])
        channel = socket.socket(fileno=descriptors[1])
        go, gone = os.pipe()
        holder = None
        try:
            holder = entry.start_holder(order) if order.level is Level.NS_BWRAP else None
            pid = os.fork()
            if pid == 0:
                self._child(order, listener, channel, go, holder)
            self._launching[pid] = gone
        except OSError as error:
            os.close(gone)
            tell(channel, "failed", str(error))
        finally:
            os.close(go)
            listener.close()
            channel.close()
            if holder is not None:
                holder.close()

    def _send_on(self, errand: Errand, descriptors: list[int]) -> None:
        """In a fork, because who has entered a box does not come back."""
        with socket.socket(fileno=descriptors[0]) as channel:
            view = descriptors[1] if len(descriptors) > 1 else -1
            pid = os.fork()
            if pid == 0:
                _go(errand, channel, view)
            if view >= 0:
                os.close(view)

    def _child(
        self, order: Order, listener: socket.socket, channel: socket.socket, go: int, holder: entry.Holder | None
    ) -> None:
        """Never returns: a copy of the zygote must not go on as one."""
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            pipes = {holder.info, holder.process.stdout.fileno()} if holder and holder.process.stdout else set()
            _close_all_but({0, 1, 2, listener.fileno(), channel.fileno(), go, *pipes})
            entry.launch(order, channel, holder, lambda: machine.run(order, listener, channel, go))
            os._exit(0)
        except Exception as error:
            logging.exception("cannot make %s", order.instance_id)
            tell(channel, "failed", str(error))
        finally:
            os._exit(1)


def _go(errand: Errand, channel: socket.socket, view: int) -> None:
    """Never returns: a copy of the zygote must not go on as one."""
    try:
        signal.set_wakeup_fd(-1)
        _close_all_but({0, 1, 2, channel.fileno(), *({view} if view >= 0 else ())})
        errands.run(errand, view)
        tell(channel, "done")
    except OSError as error:
        tell(channel, "failed", error.strerror or str(error))
    finally:
        os._exit(0)


def _write_go(go: int) -> None:
    try:
        os.write(go, b"g")
    except BrokenPipeError:
        return
    finally:
        os.close(go)


def _close_all_but(keep: set[int]) -> None:
    first = 3
    for descriptor in sorted(number for number in keep if number >= first):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, max(first, 65536))


def main() -> None:
    """Get warm, then serve."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(process)d %(message)s")
    logging.getLogger("asyncssh").setLevel(logging.CRITICAL)
    orders = socket.socket(fileno=int(sys.argv[1]))
    if sys.platform == "linux":
        linux.adopt_orphans()
    machine.warm_up()
    gc.collect()
    gc.disable()
    gc.freeze()
    Zygote(orders).run()


if __name__ == "__main__":
    main()
