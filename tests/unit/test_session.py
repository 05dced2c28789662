"""What is wrong with the user's own AWS configuration is told as such."""

from __future__ import annotations

import pytest

from spot_connect.aws.session import Cloud
from spot_connect.core.errors import NoCredentials


def test_a_profile_of_aws_that_does_not_exist_is_no_bug_of_ours(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(NoCredentials, match=r"read your AWS configuration: .*nobody"):
        Cloud("us-east-1").configured_region()
