"""Which bucket a CloudTrail record of S3 is about.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/cloudtrail-logging-understanding-s3-entries.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from shipper.model import Resource

S3 = "s3.amazonaws.com"

_MOST_KEPT = 8_192
_BUCKET = "AWS::S3::Bucket"
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class _Named(msgspec.Struct, gc=False):
    arn: str | None = msgspec.field(default=None, name="ARN")
    type: str | None = None
    account: str | None = msgspec.field(default=None, name="accountId")


class _Request(msgspec.Struct, gc=False):
    bucket: str | None = msgspec.field(default=None, name="bucketName")


class _Record(msgspec.Struct, gc=False):
    source: str | None = msgspec.field(default=None, name="eventSource")
    region: str | None = msgspec.field(default=None, name="awsRegion")
    error: str | None = msgspec.field(default=None, name="errorCode")
    account: str | None = msgspec.field(default=None, name="recipientAccountId")
    request: _Request | None = msgspec.field(default=None, name="requestParameters")
    resources: list[_Named] | None = None


_decode = msgspec.json.Decoder(_Record).decode


def bucket_of(raw: bytes) -> Resource | None:
    """The bucket, None where the record is about none, or of another form."""
    try:
        return usual_bucket_of(raw)
    except (msgspec.MsgspecError, RecursionError):
        return None


def usual_bucket_of(raw: bytes) -> Resource | None:
    """The bucket, None where the record is about none.

    Raises:
        MsgspecError, RecursionError: the record has another form than AWS gives it.
    """
    record = _decode(raw)
    if record.source != S3:
        return None
    named = ((each.type, each.arn, each.account) for each in record.resources or ())
    asked = record.request.bucket if record.request is not None and not record.error else None
    return bucket(named, asked, record.account, record.region)


def bucket(
    named: Iterable[tuple[str | None, str | None, str | None]], asked: Any, account: str | None, region: str | None
) -> Resource | None:
    """The bucket of a record's parts.

    Args:
        named: type, ARN and owner of the record's resources: CloudTrail says the owner of buckets that exist.
        asked: the bucket that a call asked for; None where that failed: names that callers make up are not looked up.
        account: in whose trail the record is, for buckets whose owner is not said.
    """
    for kind, arn, owner in named:
        if kind == _BUCKET and arn and owner:
            return _resource(arn.rpartition(":")[2], owner, region)
    return _resource(asked, account, region) if isinstance(asked, str) and account else None


class TagParts:
    """What was written of a resource and its tags, until its tags are others. Safe to use from many threads."""

    def __init__(self) -> None:
        self._kept: dict[Resource, tuple[Mapping[str, str], bytes]] = {}

    def find(self, resource: Resource, tags: Mapping[str, str], write: Callable[[], bytes]) -> bytes:
        """What `write` makes of them, made now where the tags are not the very object of the last time."""
        kept = self._kept.get(resource)
        if kept is not None and kept[0] is tags:
            return kept[1]
        written = write()
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[resource] = tags, written
        return written


@lru_cache(_MOST_KEPT)
def _resource(name: str, account: str, region: str | None) -> Resource | None:
    if not region or not _NAME.fullmatch(name):
        return None
    return Resource("bucket", account, region, name)


def named_resources(resources: Iterable[Mapping[str, str]]) -> Iterable[tuple[str | None, str | None, str | None]]:
    """Type, ARN and owner of resources as ECS documents have them."""
    return ((each.get("type"), each.get("arn"), each.get("account_id")) for each in resources)
