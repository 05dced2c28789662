"""Prices and profiles against a real local cloud, with trouble put into chosen AWS calls."""

from __future__ import annotations

import pytest

from spot_connect.launching.realm import Realm
from tests.boundary.launching.conftest import Heard, Wire
from tests.local_cloud import running_local_cloud


@pytest.fixture(scope="session")
def cloud_home(tmp_path_factory):
    home = tmp_path_factory.mktemp("cloud") / "home"
    with running_local_cloud(home):
        yield home


@pytest.fixture
def realm(cloud_home, monkeypatch):
    monkeypatch.setenv("SPOT_CONNECT_HOME", str(cloud_home))
    monkeypatch.setenv("SPOT_CONNECT_LOCAL", "1")
    for place in (cloud_home, cloud_home / "local" / "client"):
        for own in place.glob("profiles.txt*"):
            own.unlink()
    (cloud_home / "refreshed.json").unlink(missing_ok=True)
    return Realm(local=True)


@pytest.fixture
def heard():
    return Heard()


class MarketWire(Wire):
    """The wire, with the Price List tapped too."""

    def tap(self, region="us-east-1"):
        super().tap(region)
        client = self._realm.cloud("us-east-1").client("pricing")
        if id(client) not in self._tapped:
            self._tapped.add(id(client))
            client.meta.events.register("before-send", self._send)
        return self


@pytest.fixture
def wire(realm):
    return MarketWire(realm).tap()
