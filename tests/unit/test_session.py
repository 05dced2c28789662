"""What is wrong with the user's own AWS configuration is told as such, and heeded again once it has been mended."""

from __future__ import annotations

import boto3
import pytest

from spot_connect.aws.session import Cloud, Endpoint
from spot_connect.aws.settings import configured_region
from spot_connect.core.errors import NoCredentials
from spot_connect.launching.realm import Realm

KEYS = "[default]\naws_access_key_id = {}\naws_secret_access_key = s\n"
LOCAL = Endpoint("http://127.0.0.1:9", "LOCALKEY", "s")


def test_a_profile_of_aws_that_does_not_exist_is_no_bug_of_ours(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(NoCredentials, match=r"read your AWS configuration: .*nobody"):
        configured_region()


@pytest.mark.parametrize("file", ["aws-config", "aws-credentials"])
@pytest.mark.parametrize(
    "environment",
    [{}, {"AWS_PROFILE": "other"}, {"AWS_DEFAULT_PROFILE": "other", "AWS_PROFILE": "default"}, {"AWS_CONFIG_FILE": ""}],
)
def test_the_region_is_the_one_that_boto3_would_take(monkeypatch, tmp_path, file, environment):
    other = "profile other" if file == "aws-config" else "other"
    tmp_path.joinpath("aws-config").write_text("[default]\nregion = us-west-1\n")
    tmp_path.joinpath(file).write_text(f"[default]\nregion = eu-west-1\n[{other}]\nregion = sa-east-1\n")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert configured_region() == (boto3.session.Session().region_name or "")


def key_of(cloud):
    return cloud.ec2._request_signer._credentials.get_frozen_credentials().access_key


def test_a_notebook_hears_of_keys_that_were_made_or_changed_meanwhile(tmp_path):
    with pytest.raises(NoCredentials):
        Realm(local=False).cloud("us-east-1")
    path = tmp_path / "aws-credentials"
    path.write_text(KEYS.format("FIRST"))
    assert key_of(Realm(local=False).cloud("us-east-1")) == "FIRST"
    path.write_text(KEYS.format("SECOND"))
    assert key_of(Realm(local=False).cloud("us-east-1")) == "SECOND"


def test_the_same_cloud_hears_of_keys_that_were_made_after_it_was_refused(tmp_path):
    cloud = Cloud("us-east-1")
    for _ in range(2):
        with pytest.raises(NoCredentials):
            cloud.log_in()
    tmp_path.joinpath("aws-credentials").write_text(KEYS.format("FIRST"))
    assert key_of(cloud) == "FIRST"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_PROFILE", "nobody"),
        ("AWS_CONFIG_FILE", "broken"),
        ("AWS_SHARED_CREDENTIALS_FILE", "broken"),
        ("AWS_ACCESS_KEY_ID", "REAL"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_ENDPOINT_URL_EC2", "http://127.0.0.1:1"),
        ("AWS_CA_BUNDLE", "/no/such/file"),
        ("AWS_USE_FIPS_ENDPOINT", "true"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "true"),
        ("AWS_RETRY_MODE", "nonsense"),
        ("AWS_MAX_ATTEMPTS", "many"),
        ("AWS_DEFAULTS_MODE", "nonsense"),
        ("AWS_DATA_PATH", "broken"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "nonsense"),
    ],
)
def test_no_setting_of_the_user_reaches_clients_of_the_local_cloud(monkeypatch, tmp_path, name, value):
    tmp_path.joinpath("broken").write_bytes(b"\xff[")
    monkeypatch.setenv(name, str(tmp_path / value) if value == "broken" else value)
    cloud = Cloud("us-east-1", LOCAL)
    assert key_of(cloud) == "LOCALKEY"
    assert cloud.ec2.meta.endpoint_url == LOCAL.url
    assert cloud.ca_bundle() == ""
    assert cloud.client("s3").meta.endpoint_url == LOCAL.url
