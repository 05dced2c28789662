from __future__ import annotations

from collections.abc import Iterator

import pytest

from spot_connect.ssh.command import run
from spot_connect.ssh.connection import Connection
from tests.boundary.ssh.servers import Proxy, Server, There, asyncssh_server, local_cloud_box, openssh

SERVERS = {"openssh": openssh, "asyncssh": asyncssh_server, "local-cloud": local_cloud_box}


@pytest.fixture(scope="session", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server.address) as line:
        yield line


@pytest.fixture
def there(connection: Connection) -> Iterator[There]:
    folder = run(connection, "mktemp -d").stdout.decode().strip()
    yield There(connection, folder)
    run(connection, f"rm -rf {folder}")


@pytest.fixture
def connection(server: Server) -> Iterator[Connection]:
    with server.connection() as line:
        yield line
