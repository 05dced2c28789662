"""Copies between a bucket and an instance's directory, done by the instance itself."""

from __future__ import annotations

from spot_connect.aws import buckets
from spot_connect.core.errors import AwsObjectMissing, ScriptFailed
from spot_connect.core.packages import aws_cli
from spot_connect.core.reporting import Reporter
from spot_connect.core.s3_transfers import S3Transfer, in_background, sync_script
from spot_connect.launching.realm import Realm
from spot_connect.ssh.command import run_commands
from spot_connect.ssh.connection import Connection

_SCRIPT = "~/.spot-connect/s3_transfer.sh"


def check(realm: Realm, transfer: S3Transfer, region: str) -> None:
    """Return if the bucket is there and, as a source, holds something under the prefix.

    Raises:
        AwsObjectMissing: the bucket or the prefix does not exist.
    """
    cloud = realm.cloud(region)
    buckets.must_exist(cloud, transfer.bucket)
    if transfer.from_bucket and next(buckets.keys(cloud, transfer.bucket, transfer.prefix), None) is None:
        raise AwsObjectMissing(
            f"cannot copy {transfer.source}", "nothing in the bucket begins with that", "See `aws s3 ls`."
        )


def start(connection: Connection, transfer: S3Transfer, log: str, reporter: Reporter) -> None:
    """Start the copy in the background of the instance, which ends itself when it is done.

    The AWS CLI, which does the work, is installed first where the image lacks it.

    Raises:
        ScriptFailed: it could not be started, or there is no AWS CLI to be had; the instance still runs.
    """
    with reporter.step("looking for the AWS CLI on the instance"):
        there = run_commands(connection, f"{aws_cli()}spot_aws_cli")
    if there.exit_status:
        words = there.stderr.decode("utf-8", "replace").strip()
        raise ScriptFailed(
            f"the transfer did not start: {connection} has no AWS CLI, and it could not be installed",
            *(there.exit_status, words, f"{words.splitlines()[-1] if words else ''} Use an image that has it (-ami)."),
        )
    finished = run_commands(connection, in_background(sync_script(transfer, log), _SCRIPT))
    if finished.exit_status:
        words = finished.stderr.decode("utf-8", "replace")
        raise ScriptFailed("the transfer did not start", finished.exit_status, words, words)
