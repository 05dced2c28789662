"""A transfer of ours in a process of its own, which prints the most memory that it had, in bytes.

python -m benchmarks.moving up|down HOST PORT USER KEY_FILE SOURCE TARGET
"""

from __future__ import annotations

import sys
from pathlib import Path

from spot_connect.core.models import Address
from spot_connect.core.reporting import Silent
from spot_connect.ssh.connection import Connection
from spot_connect.transfers.download import download
from spot_connect.transfers.upload import upload


def main(way: str, host: str, port: str, user: str, key_file: str, source: str, target: str) -> None:
    """Move ``source`` into ``target``."""
    with Connection(Address(host, int(port)), user, Path(key_file), verify=lambda key: None) as connection:
        if way == "up":
            upload(connection, [Path(source)], target, reporter=Silent())
        else:
            download(connection, [source], Path(target), reporter=Silent())
    print(_most_memory())


def _most_memory() -> int:
    # getrusage would count what the process was before it became this program.
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main(*sys.argv[1:])
