from __future__ import annotations

from collections.abc import Iterator

import pytest

from spot_connect.ssh.connection import Connection
from tests.boundary.ssh.servers import Server, asyncssh_server, openssh

SERVERS = {"openssh": openssh, "asyncssh": asyncssh_server}


@pytest.fixture(scope="session", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture
def connection(server: Server) -> Iterator[Connection]:
    with server.connection() as line:
        yield line
