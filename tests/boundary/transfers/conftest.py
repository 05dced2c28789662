from __future__ import annotations

import pytest

from spot_connect.transfers import far
from tests.boundary.ssh.conftest import connection, proxy, server, there

__all__ = ["connection", "proxy", "server", "there", "way"]


@pytest.fixture(params=["helper", "sftp"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How files move: as fast as can be, or to an instance without Python or tar."""
    if request.param == "sftp":
        monkeypatch.setattr(far, "starting", lambda _: "echo no python3 >&2; exit 127")
    return str(request.param)
