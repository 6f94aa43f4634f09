"""What may stand in a bucket's place: access points by their ARNs or aliases, and what IAM policies call each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec

_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):(?P<service>s3|s3-object-lambda|s3-outposts):(?P<region>[a-z0-9-]*):"
    r"(?P<account>[0-9]{12}):(?:outpost[:/](?P<outpost>op-[a-z0-9]{1,60})[:/])?accesspoint[:/](?P<name>[A-Za-z0-9.-]+)"
)
# The longest beginning of `bucket/prefix` that is an ARN: the slashes within it belong to the bucket.
_ARN_AT_START = re.compile(
    r"arn:aws[a-z-]*:s3[a-z-]*:[a-z0-9-]*:[0-9]*:"
    r"(?:(?:outpost[:/][A-Za-z0-9-]+[:/])?accesspoint[:/][A-Za-z0-9._-]+|[A-Za-z0-9._-]+)"
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{1,48}[A-Za-z0-9]")
_MULTI_REGION_NAME = re.compile(r"[a-z0-9-]+\.mrap")
_REGIONS = (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"), ("us-isob-", "aws-iso-b"), ("us-iso-", "aws-iso"))
_METADATA_CHARACTERS = 34

ALIAS_ENDINGS = ("-s3alias", "--ol-s3", "--op-s3")
"""How aliases end: of access points, of those of S3 Object Lambda, and of those on Outposts."""

FORMS = "arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME"
"""The usual form, for messages."""


@dataclass(frozen=True, slots=True)
class AccessPoint:
    """An access point's ARN, taken apart.

    Attributes:
        service: "s3", "s3-object-lambda" or "s3-outposts".
        region: "" for a multi-region access point.
        outpost: id of the Outpost; "" elsewhere.
    """

    partition: str
    service: str
    region: str
    account: str
    name: str
    outpost: str = ""

    @property
    def multi_region(self) -> bool:
        """Whether it stands for buckets of several regions."""
        return not self.region


def is_arn(bucket: str) -> bool:
    """Return whether an ARN stands in the bucket's place."""
    return bucket.startswith("arn:")


def is_alias(bucket: str) -> bool:
    """Return whether an access point's alias stands in the bucket's place."""
    return bucket.endswith((*ALIAS_ENDINGS, ".mrap"))


def is_access_point(bucket: str) -> bool:
    """Return whether what stands in the bucket's place is no bucket: no notification ever names it."""
    return is_arn(bucket) or is_alias(bucket)


def split_place(place: str) -> tuple[str, str]:
    """Return the bucket and the prefix of `bucket/prefix`; the slashes of an ARN are the bucket's."""
    arn = _ARN_AT_START.match(place)
    if arn is None:
        bucket, _, prefix = place.partition("/")
        return bucket, prefix
    return arn[0], place[arn.end() :].removeprefix("/")


def partition_of(region: str | None) -> str:
    """Return the partition that a region belongs to; "aws" if there is no region."""
    found = (name for begin, name in _REGIONS if region and region.startswith(begin))
    return next(found, "aws")


def access_point_of(arn: str) -> AccessPoint:
    """Take an access point's ARN apart.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-access-points.html

    Raises:
        ValueError: it is none, or none that objects can be listed and read by; the text says what to write instead.
    """
    found = _ARN.fullmatch(arn)
    if found is None:
        raise ValueError(_why_not(arn))
    point = AccessPoint(**{key: value or "" for key, value in found.groupdict().items()})
    if (point.service == "s3-outposts") != bool(point.outpost):
        raise ValueError(
            "an access point on Outposts is arn:aws:s3-outposts:REGION:ACCOUNT:outpost/ID/accesspoint/NAME,"
            f" any other is {FORMS}"
        )
    if point.multi_region:
        _check_multi_region(point)
    elif partition_of(point.region) != point.partition and point.partition in ("aws", *dict(_REGIONS).values()):
        where = partition_of(point.region)
        raise ValueError(f"region {point.region} is in partition {where}, and the ARN says {point.partition}")
    elif not _NAME.fullmatch(point.name):
        raise ValueError("an access point's name has 3 to 50 letters, digits and '-'")
    return point


def _check_multi_region(point: AccessPoint) -> None:
    if point.service != "s3" or not _MULTI_REGION_NAME.fullmatch(point.name):
        raise ValueError(
            "the ARN names no region: only a multi-region access point has none, as"
            " arn:aws:s3::ACCOUNT:accesspoint/ALIAS.mrap"
        )
    if find_spec("awscrt") is None:
        raise ValueError(
            "a multi-region access point needs signatures (SigV4A) that this installation cannot make: install awscrt"
            " beside shipper (pip install awscrt), or name a bucket or the access point of one region"
        )


def _why_not(arn: str) -> str:
    if found := re.fullmatch(r"arn:aws[a-z-]*:s3:::([^/]+)(?:/.*)?", arn):
        return f"is a bucket's ARN: write the bucket's name alone, {found[1]}"
    if ":s3express:" in arn:
        return "is of a directory bucket, which cannot be listed in the order of its keys"
    if re.search(r"[:/]object[:/]", arn):
        return "names objects: end the ARN before /object/, and put what follows it into prefix"
    if re.search(r":outpost[:/][^:/]+[:/]bucket[:/]", arn):
        return "is of a bucket on Outposts, which only an access point gives objects of: write the access point's ARN"
    return f"is no access point's ARN: {FORMS} (or accesspoint:NAME)"


def check_bucket_name(bucket: str) -> None:
    """Refuse what can stand in no bucket's place.

    Raises:
        ValueError: it can not; the text says why, and what to write instead.
    """
    if is_arn(bucket):
        access_point_of(bucket)
    elif bucket.endswith(".mrap"):
        raise ValueError(
            "is the alias of a multi-region access point, which works as part of its ARN only:"
            f" arn:aws:s3::ACCOUNT:accesspoint/{bucket}"
        )
    elif bucket.endswith(("--x-s3", "--xa-s3")):
        raise ValueError("is a directory bucket, which cannot be listed in the order of its keys: use another bucket")


@dataclass(frozen=True, slots=True)
class PolicyNames:
    """What a policy calls a bucket, or what stands in its place.

    Attributes:
        service: the prefix of the actions, such as "s3" in "s3:GetObject".
        bucket: the resource of listings.
        objects: the beginning of the resources of objects.
    """

    service: str
    bucket: str
    objects: str


def policy_names(bucket: str, *, partition: str = "aws", region: str | None = None) -> PolicyNames:
    """Return what a policy calls a bucket, an access point's ARN in any spelling, or its alias.

    An alias does not say the access point's account, and only the beginning of its name: policies know no aliases, so
    that the resource ends in `*`.

    Args:
        partition, region: where no ARN says it.
    """
    if is_arn(bucket):
        point = access_point_of(bucket)
        outpost = f"outpost/{point.outpost}/" if point.outpost else ""
        arn = f"arn:{point.partition}:{point.service}:{point.region}:{point.account}:{outpost}accesspoint/{point.name}"
        return PolicyNames(point.service, arn, f"{arn}/object/")
    for ending, service in zip(ALIAS_ENDINGS, ("s3", "s3-object-lambda", "s3-outposts"), strict=True):
        if bucket.endswith(ending):
            name = bucket.removesuffix(ending)
            known = name[: -_METADATA_CHARACTERS - 1] if len(name) > _METADATA_CHARACTERS + 1 else ""
            outpost = "outpost/*/" if service == "s3-outposts" else ""
            arn = f"arn:{partition}:{service}:{region or '*'}:*:{outpost}accesspoint/{known}*"
            return PolicyNames(service, arn, f"{arn}/object/")
    arn = f"arn:{partition}:s3:::{bucket}"
    return PolicyNames("s3", arn, f"{arn}/")
