from decimal import Decimal

import pytest

from spot_connect.core.errors import UsageError
from spot_connect.core.requests import USER_DATA_LIMIT, LaunchRequest


def test_a_reconnect_sets_nothing_that_only_a_launch_can_set():
    assert LaunchRequest("vm1", region="us-east-1", username="me").launch_only == ()


def test_what_only_a_launch_can_set_is_told_by_name():
    request = LaunchRequest("vm1", monitoring=True, price=Decimal(1), instance_profile="role1")
    assert request.launch_only == ("price", "instance profile", "monitoring")


def test_user_data_is_counted_in_bytes():
    LaunchRequest("vm1", user_data="x" * USER_DATA_LIMIT)
    with pytest.raises(UsageError, match="16384 bytes"):
        LaunchRequest("vm1", user_data="ü" * (USER_DATA_LIMIT // 2 + 1))
