"""Opens a shell on a server, for the tests that need a process with a terminal of its own."""

from __future__ import annotations

import sys
from pathlib import Path

from spot_connect.core.errors import SpotConnectError
from spot_connect.core.models import Address
from spot_connect.ssh.connection import Connection
from spot_connect.ssh.shell import interact


def main(host: str, port: str, username: str, key_file: str) -> int:
    address = Address(host, int(port))
    with Connection(address, username, Path(key_file), verify=lambda key: None) as connection:
        try:
            return interact(connection)
        except SpotConnectError as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            return error.exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
