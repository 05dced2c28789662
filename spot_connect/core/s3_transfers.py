"""A copy between a bucket and a directory on an instance: what is meant, and the script that does it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from spot_connect.core.errors import UsageError
from spot_connect.core.packages import aws_cli
from spot_connect.core.scripts import remote_path

_SCHEME = "s3://"
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class S3Transfer:
    """From ``source`` to ``dest``; one of them is ``s3://bucket/prefix``, the other a directory on the instance."""

    source: str
    dest: str

    @property
    def from_bucket(self) -> bool:
        """Whether the bucket is where the files come from."""
        return self.source.startswith(_SCHEME)

    @property
    def bucket(self) -> str:
        """The name of the bucket."""
        return self._location.partition("/")[0]

    @property
    def prefix(self) -> str:
        """What the keys in the bucket begin with; empty for all of it."""
        return self._location.partition("/")[2]

    @property
    def directory(self) -> str:
        """The directory on the instance."""
        return self.dest if self.from_bucket else self.source

    @property
    def _location(self) -> str:
        return (self.source if self.from_bucket else self.dest).removeprefix(_SCHEME)


def s3_transfer(source: str, dest: str) -> S3Transfer:
    """The transfer from ``source`` to ``dest``, checked.

    Raises:
        UsageError: not exactly one of them is in a bucket, the bucket's name is none, or a directory is empty.

    Example:
        >>> s3_transfer("s3://my-data/2026/", "~/efs/data").bucket
        'my-data'
    """
    transfer = S3Transfer(source.strip(), dest.strip())
    if transfer.source.startswith(_SCHEME) == transfer.dest.startswith(_SCHEME):
        raise UsageError(
            f"cannot copy {source!r} to {dest!r}",
            "one side is to be in a bucket and the other a directory on the instance",
            "Write s3://bucket/prefix for the bucket's side, e.g. ~/efs/data for the other.",
        )
    bucket_name(transfer.bucket, "Write s3://bucket/prefix.")
    if not transfer.directory:
        raise UsageError("cannot copy: no directory on the instance is named", advice="For example ~/efs/data.")
    return transfer


def bucket_name(text: str, advice: str = "Give the name alone, without s3:// and without a prefix.") -> str:
    """``text`` as the name of a bucket.

    Raises:
        UsageError: it cannot be one.

    Example:
        >>> bucket_name("my-data")
        'my-data'
    """
    if not _BUCKET.fullmatch(text):
        raise UsageError(f"{text!r} is not a bucket's name", advice=advice)
    return text


def sync_script(transfer: S3Transfer, log: str) -> str:
    """A bash script that syncs, keeps its words and its status in ``log``, and ends the instance in any case.

    Example:
        >>> print(sync_script(s3_transfer("s3://b-1/x", "~/efs/x"), "~/efs/s3.log").splitlines()[-1])
        sudo shutdown -h now
    """
    here = remote_path(transfer.directory)
    there = shlex.quote(f"{_SCHEME}{transfer.bucket}/{transfer.prefix}")
    words = f"{there} {here}" if transfer.from_bucket else f"{here} {there}"
    prepare = f"mkdir -p {here}" if transfer.from_bucket else f"test -d {here} || echo no directory {here}"
    return f"""\
#!/bin/bash
exec >> {remote_path(log)} 2>&1
echo "started $(date -u +%FT%TZ)"
{aws_cli()}spot_aws_cli
{prepare}
aws s3 sync {words} --no-progress
status=$?
echo "finished $(date -u +%FT%TZ) with status $status"
sync
sudo shutdown -h now
"""


def in_background(script: str, path: str) -> str:
    """Bash commands that keep ``script`` at ``path`` and start it so that it outlives the connection."""
    place = remote_path(path)
    return (
        f"mkdir -p $(dirname {place}) && printf %s {shlex.quote(script)} > {place} && chmod 700 {place} && "
        f"nohup setsid bash {place} < /dev/null > /dev/null 2>&1 &\n"
    )
