"""Tries a bucket with harmless calls and says what is wrong and what to do, for `shipper check`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from shipper.aws import AWS_ERRORS, classify
from shipper.aws_remedies import remedy_of
from shipper.errors import ShipperError, UnreadableError
from shipper.model import Problem
from shipper.sources.s3_keys import Service, scope_of

_SAMPLE = 200


def check_bucket(
    client: Any,
    bucket: str,
    prefix: str,
    *,
    services: tuple[Service, ...],
    where: str,
    expected_owner: str | None = None,
) -> Iterator[Problem]:
    """Yield what keeps the bucket's objects from being listed and read; raises nothing.

    Args:
        where: the place in the configuration that the problems are reported for.
    """
    extra = {"ExpectedBucketOwner": expected_owner} if expected_owner else {}
    try:
        answer = client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=_SAMPLE, **extra)
    except AWS_ERRORS as error:
        yield Problem(
            where, f"cannot list s3://{bucket}/{prefix}: {classify(error)}", _listing_hint(error, bucket, prefix)
        )
        return
    yield from _check_region(client, bucket, answer, where)
    items = [item for item in answer.get("Contents", ()) if item["Size"]]
    if not items:
        yield Problem(
            where,
            f"there is nothing in s3://{bucket}/{prefix} yet",
            "look at the prefix, if logs should be there already",
            serious=False,
        )
        return
    if services and not any(scope_of(item["Key"], services) for item in items):
        yield Problem(
            where,
            f"the first keys of s3://{bucket}/{prefix} are not in AWS's folders for these logs,"
            f" such as {items[0]['Key']!r}",
            "without such folders all of the prefix is listed each time; give the prefix that ends before AWSLogs/",
            serious=False,
        )
    yield from _check_object(client, bucket, items[0]["Key"], where, extra)


def _check_region(client: Any, bucket: str, answer: Any, where: str) -> Iterator[Problem]:
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = headers.get("x-amz-bucket-region")
    configured = client.meta.region_name
    if region and configured and configured not in (region, "aws-global"):
        yield Problem(
            where,
            f"s3://{bucket} is in {region}, and {configured} is configured",
            f"set aws.region: {region} for this source; as it is, each request may go the long way round",
            serious=False,
        )


def _check_object(client: Any, bucket: str, key: str, where: str, extra: dict[str, str]) -> Iterator[Problem]:
    """Read one byte: listing and reading are different permissions, and KMS has its own."""
    try:
        client.get_object(Bucket=bucket, Key=key, Range="bytes=0-0", **extra)["Body"].read()
    except AWS_ERRORS as error:
        meaning = classify(error)
        yield Problem(where, f"cannot read s3://{bucket}/{key}: {meaning}", _reading_hint(meaning, bucket))


def _listing_hint(error: Exception, bucket: str, prefix: str) -> str:
    if (found := remedy_of(error)) is not None:
        return found.remedy
    if not isinstance(error, ClientError):
        return "look at aws.region, aws.endpoint_url and the network"
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code == "NoSuchBucket":
        return "look at the bucket's name, and at the account and endpoint that are used"
    if code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"):
        return "set aws.region to the bucket's region"
    if "AccessDenied" in code or code == "403":
        return (
            f'allow {{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::{bucket}",'
            f' "Condition": {{"StringLike": {{"s3:prefix": "{prefix}*"}}}}}}'
        )
    return "look at the bucket's name, and at the account, region and endpoint that are used"


def _reading_hint(meaning: ShipperError, bucket: str) -> str:
    if not isinstance(meaning, UnreadableError):
        return meaning.hint or "look at aws.region, aws.endpoint_url and the network"
    if meaning.kind == "archived":
        return "restore the objects from the archive class, or set a later start"
    if meaning.kind == "missing":
        return "the object was deleted just now; try again"
    if "kms" in str(meaning).lower():
        return (
            'allow {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "<the key\'s ARN>"},'
            " here and in the key's own policy"
        )
    return f'allow {{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::{bucket}/*"}}'
