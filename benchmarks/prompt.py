"""The interactive shell against OpenSSH's: printing 50 MB, and pasting 1 MB.

Both sit at a pseudo-terminal of the same size and talk to the same instance. What is timed is from the last key of the
command, or the first byte of the paste, until the shell's next word has come.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks.ground import door_of, local_cloud, tool
from benchmarks.options import Options, as_script
from benchmarks.timing import Number, interleave, ratio
from spot_connect.core.reporting import Silent

_PRINTED = 50_000_000
_PASTED = (b"x" * 79 + b"\n") * 12_500
_READ = 64 * 1024


class Seat:
    """Somebody at a terminal with a shell on the instance."""

    def __init__(self, command: Sequence[str]) -> None:
        self._end, far = pty.openpty()
        self._process = subprocess.Popen(command, stdin=far, stdout=far, stderr=subprocess.DEVNULL, close_fds=True)
        os.close(far)
        # No echo and no bracketed paste: the shell's own words would look like the end of the work.
        self.types(b"bind 'set enable-bracketed-paste off'; PS1=; stty -echo; echo READ''Y\n", until=b"READY\r\n")

    def types(self, keys: bytes, until: bytes) -> None:
        """Type, and read what the terminal shows until the words have come."""
        writer = threading.Thread(target=self._write, args=(keys,))
        writer.start()
        seen = b""
        while until not in seen:
            seen = seen[-len(until) :] + os.read(self._end, _READ)
        writer.join()

    def prints(self) -> None:
        """Have much printed."""
        self.types(f"head -c {_PRINTED} /dev/zero | tr '\\0' x | fold -w 99; echo DON''E\n".encode(), b"DONE\r\n")

    def pastes(self) -> None:
        """Paste much into a program that reads it."""
        self.types(f"head -c {len(_PASTED)} > /dev/null; echo DON''E\n".encode() + _PASTED, b"DONE\r\n")

    def leaves(self) -> None:
        """Leave the shell."""
        self._process.kill()
        self._process.wait()
        os.close(self._end)

    def _write(self, keys: bytes) -> None:
        view = memoryview(keys)
        while view:
            view = view[os.write(self._end, view) :]


def measure(options: Options) -> list[Number]:
    """Both kinds of work, each side in turn."""
    from spot_connect.spotted import SpotInstance

    with local_cloud(options), SpotInstance("prompt", profile="t2.micro", reporter=Silent()) as machine:
        door = door_of(machine.instance, machine.kp_dir)
        ssh = door.ssh("-tt", "-o", "EscapeChar=~", door.target)
        with _seated([tool("spot_connect"), "prompt"]) as ours, _seated(ssh) as peer:
            printing = interleave({"printed": ours.prints, "printed by `ssh`": peer.prints}, options.rounds or 5)
            pasting = interleave({"pasted": ours.pastes, "pasted to `ssh`": peer.pastes}, options.rounds or 5)
    return [
        ratio("50 MB printed by the shell", *printing, most=1.0),
        ratio("1 MB pasted into the shell", *pasting, most=1.0),
    ]


@contextmanager
def _seated(command: Sequence[str]) -> Iterator[Seat]:
    seat = Seat(command)
    try:
        yield seat
    finally:
        seat.leaves()


if __name__ == "__main__":
    sys.exit(as_script(__doc__, measure))
