"""Machines of a real local cloud, as the tests of launching have them."""

from __future__ import annotations

import pytest

from spot_connect.launching import connecting, ending
from tests.boundary.launching.conftest import cloud_home, heard, keys, realm, request_for, wire

__all__ = ["cloud_home", "heard", "keys", "reached", "realm", "request_for", "wire"]


@pytest.fixture
def reached(realm, request_for, keys, heard):
    """A machine that was launched and is terminated afterwards."""
    one = connecting.reach(realm, request_for(), keys, heard)
    yield one
    one.connection.close()
    ending.terminate(realm, [one.instance])
