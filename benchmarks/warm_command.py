"""`SpotInstance.run("true")` on an open connection against OpenSSH over a connection it keeps open.

The same instance, the same key file. OpenSSH is started anew for every command, as a shell script does it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.ground import Door, door_of, local_cloud, quiet
from benchmarks.options import Options, as_script
from benchmarks.timing import Number, interleave, ratio
from spot_connect.core.reporting import Silent


def measure(options: Options) -> list[Number]:
    """One command there and back, its output returned."""
    from spot_connect.spotted import SpotInstance

    with local_cloud(options) as ground, SpotInstance("warm", profile="t2.micro", reporter=Silent()) as machine:
        door = door_of(machine.instance, machine.kp_dir)
        with kept_open(door, ground.home / "line") as ssh:
            ours, peer = interleave(
                {
                    "`run('true')`": lambda: machine.run("true", cmd=True, return_output=True),
                    "`ssh true`, multiplexed": lambda: quiet(*ssh, "true"),
                },
                options.rounds or 60,
                warm_up=5,
            )
    return [ratio("warm command", ours, peer, most=1.05)]


@contextmanager
def kept_open(door: Door, path: Path) -> Iterator[list[str]]:
    """An ssh command line that goes over a connection which is open already."""
    line = ["-o", f"ControlPath={path}"]
    keeper = subprocess.Popen(
        door.ssh(*line, "-o", "ControlMaster=yes", "-o", "ControlPersist=no", "-N", door.target),
        stdin=subprocess.DEVNULL,
    )
    try:
        # Retries until the keeper has made its socket.
        while subprocess.run(door.ssh(*line, "-O", "check", door.target), capture_output=True, check=False).returncode:
            if keeper.poll() is not None:
                raise SystemExit("ssh cannot log in to the instance")
        yield door.ssh(*line, door.target)
    finally:
        keeper.terminate()
        keeper.wait()


if __name__ == "__main__":
    sys.exit(as_script(__doc__, measure))
