"""S3 buckets: whether one is there, what it holds, and taking things out of it.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spot_connect.aws.refusals import asking
from spot_connect.aws.session import Cloud
from spot_connect.core.errors import AwsError, AwsObjectMissing

_DELETED_AT_ONCE = 1000


def must_exist(cloud: Cloud, bucket: str) -> None:
    """Return if the bucket exists and may be used.

    Raises:
        AwsObjectMissing: there is no such bucket.
        AwsError: it belongs to somebody else, or may not be read.
    """
    try:
        with asking(f"look for the bucket {bucket}"):
            cloud.client("s3").head_bucket(Bucket=bucket)
    except AwsError as error:
        if error.code not in ("404", "NoSuchBucket"):
            raise
        raise AwsObjectMissing(f"cannot find the bucket {bucket}", advice="Check its name with `aws s3 ls`.") from error


def keys(cloud: Cloud, bucket: str, prefix: str = "") -> Iterator[str]:
    """The keys in the bucket that begin with ``prefix``, in alphabetical order, asked for page by page."""
    with asking(f"list the bucket {bucket}"):
        for page in cloud.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            yield from (entry["Key"] for entry in page.get("Contents", ()))


def delete(cloud: Cloud, bucket: str, doomed: Sequence[str]) -> None:
    """Take the keys out of the bucket, a thousand a call; one that is gone already is no error.

    Raises:
        AwsError: some could not be deleted; it names the first.
    """
    for start in range(0, len(doomed), _DELETED_AT_ONCE):
        batch = [{"Key": key} for key in doomed[start : start + _DELETED_AT_ONCE]]
        with asking(f"take keys out of the bucket {bucket}"):
            answer = cloud.client("s3").delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
        for failed in answer.get("Errors", ()):
            raise AwsError(
                f"cannot delete {failed['Key']} from {bucket}", failed.get("Message", ""), code=failed.get("Code", "")
            )
