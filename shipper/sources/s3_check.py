"""Tries a bucket with harmless calls and says what is wrong and what to do, for `shipper check`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from botocore.exceptions import ClientError

from shipper.access_points import access_point_of, is_arn, policy_names
from shipper.aws import AWS_ERRORS, classify
from shipper.aws_remedies import remedy_of
from shipper.errors import RetryableError, ShipperError, UnreadableError
from shipper.model import Problem
from shipper.sources.s3_bucket import S3Bucket, is_marker
from shipper.sources.s3_keys import (
    SERVICES,
    Scope,
    Service,
    example_key,
    folder_of,
    follows_layout,
    is_shipped,
    scope_of,
)
from shipper.sources.s3_strays import Coverage, Reason, is_test_file
from shipper.sources.s3_walk import Walk

_SAMPLE = 200
_MOST_FOLDERS = 100
_MOST_SCOPES = 20
NAMES_SHOWN = 5
"""So many folders or objects that are left aside are named."""


def check_bucket(
    client: Any,
    bucket: str,
    prefix: str,
    *,
    services: tuple[Service, ...],
    where: str,
    expected_owner: str | None = None,
    coverage: Coverage | None = None,
    layouts_only: bool = False,
) -> Iterator[Problem]:
    """Yield what keeps the bucket's objects from being listed and read; raises nothing.

    Args:
        services: whose folders are looked for.
        where: the place in the configuration that the problems are reported for.
        coverage: what the source takes as a whole; the services alone by default.
        layouts_only: what is outside AWS's folders is not listed.
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
    keys = [item["Key"] for item in answer.get("Contents", ()) if not is_marker(item["Key"], item["Size"])]
    readable = [item["Key"] for item in answer.get("Contents", ()) if item["Size"]]
    if not keys:
        yield Problem(
            where, emptiness(bucket, prefix, services), "look at the prefix, if logs should be there", serious=False
        )
        return
    lister = S3Bucket(client, bucket, expected_owner)
    coverage = coverage or Coverage(services)
    yield from _check_folders(lister, prefix, keys, services, where, coverage, layouts_only=layouts_only)
    if readable:
        ours = next((key for key in readable if scope_of(key, services)), readable[0])
        yield from _check_object(client, bucket, ours, where, extra)


def emptiness(bucket: str, prefix: str, services: tuple[Service, ...]) -> str:
    """Return what to say of a place in which nothing to ship is."""
    expected = example_key(prefix, services) or f"{prefix}…"
    return f"there is nothing to ship in s3://{bucket}/{prefix}: no object such as {expected}"


def left_aside(names: Sequence[str], more: int = 0) -> str:
    """Return the first of some names, and how many more there are."""
    shown = ", ".join(names[:NAMES_SHOWN])
    rest = len(names) - len(names[:NAMES_SHOWN]) + more
    return f"{shown} and {rest:,} more" if rest else shown


def _check_folders(  # noqa: PLR0917 - all of it is one place
    lister: S3Bucket,
    prefix: str,
    keys: list[str],
    services: tuple[Service, ...],
    where: str,
    coverage: Coverage,
    *,
    layouts_only: bool,
) -> Iterator[Problem]:
    """Yield whether there are folders of the source's logs, and what else is there."""
    # Where the log type has no folders of its own, those of the others are still not what is shipped.
    walk = Walk(lister, prefix, services or SERVICES, coverage)
    scopes = {scope: None for key in keys if (scope := scope_of(key, services)) is not None}
    undated: list[str] = []
    try:
        for _ in itertools.takewhile(lambda _: not walk.done, range(_MOST_FOLDERS)):
            scopes |= dict.fromkeys(walk.step())
        undated = list(_undated(lister, prefix, scopes, coverage)) if services else []
    except RetryableError as error:
        yield Problem(where, f"not all folders could be listed: {error}", "see what the policy allows", serious=False)
    whole = not (services and scopes) and not layouts_only
    outside = walk.strays.any_outside or not all(map(follows_layout, keys))
    place = f"s3://{lister.name}/{prefix}"
    if not any(is_shipped(scope) for scope in scopes if services) and not (whole and outside):
        what = emptiness(lister.name, prefix, services)
        yield Problem(where, what, "look at the prefix, and at logs: what is there is something else", serious=False)
    elif services and whole:
        yield Problem(
            where,
            f"the first keys of {place} are not in AWS's folders for these logs, such as {keys[0]!r}",
            "without such folders all of the prefix is listed each time; give the prefix that ends before AWSLogs/",
            serious=False,
        )
    found = walk.strays.named(whole=whole) | dict.fromkeys(undated, "unrecognised")
    others = [] if services else [scope.prefix for scope in scopes]
    for name in [*others, *filter(follows_layout, keys)]:
        known = scope_of(name, services) or coverage.is_anothers(name)
        if not known and (reason := coverage.reason_of(name)) != "taken":
            found.setdefault(folder_of(name), reason)
    yield from _told(found, walk.strays.more if not whole else 0, place, where, layouts_only=layouts_only)


def _undated(lister: S3Bucket, prefix: str, scopes: Iterable[Scope], coverage: Coverage) -> Iterator[str]:
    """Yield what lies beside the folders of days, in the first of the scopes.

    Raises:
        RetryableError: a listing failed.
    """
    for scope in itertools.islice(filter(is_shipped, scopes), _MOST_SCOPES):
        if len(prefix) > len(scope.prefix):
            continue
        level = lister.level(scope.prefix)
        for name in [*(each for each in level.folders if not scope.leads_to_days(each)), *level.keys]:
            if not is_test_file(name) and not coverage.is_anothers(name):
                yield name


def _told(found: dict[str, Reason], more: int, place: str, where: str, *, layouts_only: bool) -> Iterator[Problem]:
    strange = [name for name, reason in found.items() if reason == "unrecognised"]
    if strange or more:
        number = len(strange) + more
        yield Problem(
            where,
            f"{number:,} {'folder or object' if number == 1 else 'folders or objects'} in {place}"
            f" {'is' if number == 1 else 'are'} not shipped, because no log type takes"
            f" {'it' if number == 1 else 'them'}: {left_aside(strange, more)}",
            "counted in shipper_objects_filtered_total as unrecognised; a narrower prefix, or a source of their own"
            f" with their log type{', or logs_fallback,' if layouts_only else ''} ends this remark",
            serious=False,
        )
    others = [name for name, reason in found.items() if reason == "other_logs"]
    if others:
        yield Problem(
            where,
            f"other log types are in {place} too, which this source does not ship: {left_aside(others)}",
            "",
            serious=False,
            note=True,
        )


def _check_region(client: Any, bucket: str, answer: Any, where: str) -> Iterator[Problem]:
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = headers.get("x-amz-bucket-region")
    configured = client.meta.region_name
    if is_arn(bucket):
        return  # requests go to the ARN's own region
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
        region = access_point_of(bucket).region if is_arn(bucket) else ""
        first = f"set aws.region: {region}, as the access point's ARN has it; or " if region else ""
        return f"{first}look at aws.region, aws.endpoint_url and the network"
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code == "NoSuchBucket":
        return "look at the bucket's name, and at the account and endpoint that are used"
    if code == "NoSuchAccessPoint":
        return "look at the access point's name, region and account"
    if code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"):
        return "set aws.region to the bucket's region"
    if "AccessDenied" in code or code == "403":
        named = policy_names(bucket)
        return (
            f'allow {{"Effect": "Allow", "Action": "{named.service}:ListBucket", "Resource": "{named.bucket}",'
            f' "Condition": {{"StringLike": {{"s3:prefix": "{prefix}*"}}}}}}{_behind(bucket)}'
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
    named = policy_names(bucket)
    resource = f"{named.objects}*"
    return (
        f'allow {{"Effect": "Allow", "Action": "{named.service}:GetObject", "Resource": "{resource}"}}{_behind(bucket)}'
    )


def _behind(bucket: str) -> str:
    return ", in the access point's policy and for the bucket behind it, too" if is_arn(bucket) else ""
