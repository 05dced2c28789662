"""What holds for every test: an empty home, no AWS configuration, and no way out of this computer."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket

import pytest
from hypothesis import HealthCheck, settings

from spot_connect.launching import realm
from spot_connect.local import service
from tests import local_cloud
from tests.recorded_calls import RecordedCalls

# A busy computer is no error.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# Started by nohup, or by a script in the background, all programs of the tests would be deaf to Ctrl-C and hanging up.
for _deaf in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(_deaf) is signal.SIG_IGN:
        signal.signal(_deaf, signal.default_int_handler if _deaf is signal.SIGINT else signal.SIG_DFL)

_RECORDED = RecordedCalls()
_REAL_CONNECT = socket.socket.connect


def _guarded_connect(self: socket.socket, address: object) -> None:
    if self.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
        host = str(address[0])
        is_near = host == "localhost" or ipaddress.ip_address(host.partition("%")[0]).is_loopback
        if not is_near:
            raise OSError(f"tests may not leave this computer: {address}")
    _REAL_CONNECT(self, address)


def pytest_addoption(parser):
    words = "local clouds are late: what was just made is unknown to other calls for up to so long"
    parser.addoption("--lag", type=float, default=0.0, metavar="SECONDS", help=words)
    group = parser.getgroup("live", "tests of a real AWS account, in tests/live")
    group.addoption("--live", action="store_true", help="run them, with the environment's credentials; it costs cents")
    group.addoption("--live-endpoint", default="", metavar="URL", help="what stands in for AWS, such as a local cloud")


def pytest_configure(config):
    local_cloud.lag_seconds = config.getoption("--lag")


def pytest_unconfigure():
    _RECORDED.close()


@pytest.fixture
def recorded_calls():
    """What local clouds were asked since this test began."""
    return _RECORDED


def pytest_collection_modifyitems(config, items):
    for item in items if local_cloud.lag_seconds else ():
        if item.get_closest_marker("punctual"):
            item.add_marker(pytest.mark.skip(reason="it holds only where every call knows at once what was made"))


@pytest.fixture(autouse=True)
def _only_what_aws_takes():
    yield
    wrong = _RECORDED.faults()
    if wrong:
        pytest.fail("AWS would refuse what was sent:\n" + "\n".join(wrong))


@pytest.fixture(autouse=True)
def _closed_world(_only_what_aws_takes, monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("REQUESTS_CA_BUNDLE", "SPOT_CONNECT_LOCAL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("SPOT_CONNECT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(socket.socket, "connect", _guarded_connect)
    # Some tests put trouble into the clients that they share with what they test.
    realm._shared.cache_clear()
    yield
    if (tmp_path / "home" / "local" / "daemon.json").exists() and service.down(tmp_path / "home"):
        pytest.fail("the test started a local cloud of its own and left it running")
