"""What each part of a configuration does at AWS, as permissions: the tables that `shipper iam-policy` prints from.

A new source or enrichment that calls AWS gets its line in `SOURCES` or `ENRICHMENTS`; tests hold both complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from shipper.access_points import partition_of, policy_names
from shipper.build.cloudwatch import usual_region
from shipper.build.sources import listed_places
from shipper.config import Aws, CloudWatchLogsSource, S3NotificationsSource, S3Source, Settings

OWN = "own"
"""Stands for the credentials that the daemon runs with."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Something that one identity has to be allowed.

    Attributes:
        who: `OWN`, `profile:NAME`, or a role's ARN (with `*` for its account where it is one of many).
        sid: what it is for, as a statement's Sid.
        conditions: (operator, key, values).
    """

    who: str
    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Whose credentials a part uses, and where.

    Attributes:
        account: the account id, `*` where the configuration does not say it.
    """

    who: str
    partition: str
    account: str
    region: str | None


def place(aws: Aws) -> Place:
    """Where an `aws` section leads; contacts nothing."""
    region = aws.region or usual_region(aws.profile)
    if aws.role_arn:
        _, partition, _, _, account, _ = aws.role_arn.split(":", 5)
        return Place(aws.role_arn, partition, account, region)
    return Place(base(aws), partition_of(region), "*", region)


def base(aws: Aws) -> str:
    """Whose credentials are there before any role is assumed."""
    return f"profile:{aws.profile}" if aws.profile else OWN


def grants(settings: Settings) -> Iterator[Grant]:
    """Yield all that a configuration's daemon has to be allowed."""
    for name, source in settings.sources.items():
        yield from _role(settings.aws_of(name))
        yield from SOURCES[source.type](settings, name)
    for key, needs in ENRICHMENTS.items():
        if needs is not None and getattr(settings.enrich, key) is not None:
            yield from _role(settings.aws)
            yield from needs(settings)


def sending(settings: Settings, name: str, queue_url: str) -> Iterator[Grant]:
    """What `shipper backfill --source NAME --to-queue URL` needs beyond the daemon's own permissions."""
    at = place(settings.aws_of(name))
    yield Grant(at.who, "PutOnQueue", ("sqs:SendMessage",), (_queue_arn(queue_url, at),))


def decrypting(keys: tuple[str, ...], granted: list[Grant]) -> Iterator[Grant]:
    """What KMS keys need, by all who read from or write to services that may use them.

    Args:
        keys: ARNs.
        granted: everything else that is granted.
    """
    for who in dict.fromkeys(grant.who for grant in granted):
        actions = {action for grant in granted if grant.who == who for action in grant.actions}
        services = sorted({action.partition(":")[0] for action in actions if action in _ENCRYPTED})
        for key in keys:
            if services:
                via = tuple(f"{service}.{key.split(':')[3]}.amazonaws.com" for service in services)
                more = ("kms:GenerateDataKey",) if "sqs:SendMessage" in actions else ()
                condition = (("StringLike", "kms:ViaService", via),)
                yield Grant(who, "UseKeys", ("kms:Decrypt", *more), (key,), condition)


# Services decrypt with the caller's permission:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
_ENCRYPTED = {"s3:GetObject", "sqs:ReceiveMessage", "sqs:SendMessage", "logs:FilterLogEvents"}


def _role(aws: Aws) -> Iterator[Grant]:
    if aws.role_arn:
        yield Grant(base(aws), "AssumeRoles", ("sts:AssumeRole",), (aws.role_arn,))


def _listed(settings: Settings, name: str) -> Iterator[Grant]:
    source = settings.sources[name]
    if isinstance(source, S3Source | S3NotificationsSource):
        at = place(settings.aws_of(name))
        for bucket, prefix in dict.fromkeys((each.bucket, each.prefix) for each, *_ in listed_places(source)):
            yield from _bucket(at, bucket, prefix)


def _bucket(at: Place, bucket: str, prefix: str) -> Iterator[Grant]:
    """Listing and reading what begins with a prefix.

    Listing is needed by notifications too: without it S3 answers 403 for an object that is gone, instead of 404.
    """
    named = policy_names(bucket, partition=at.partition, region=at.region)
    begins = f"{_literal(prefix)}*"
    within = (("StringLike", "s3:prefix", (begins,)),) if prefix else ()
    yield Grant(at.who, "ListBuckets", (f"{named.service}:ListBucket",), (named.bucket,), within)
    yield Grant(at.who, "ReadObjects", (f"{named.service}:GetObject",), (named.objects + begins,))


def _notified(settings: Settings, name: str) -> Iterator[Grant]:
    source = settings.sources[name]
    if isinstance(source, S3NotificationsSource):
        at = place(settings.aws_of(name))
        actions = ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes")
        queue = (_queue_arn(source.queue_url, at),)
        yield Grant(at.who, "ReadQueues", tuple(f"sqs:{action}" for action in actions), queue)
        for grant in _listed(settings, name):
            yield grant
            if grant.sid == "ReadObjects":  # messages of buckets with versioning name the version
                yield Grant(at.who, "ReadVersions", ("s3:GetObjectVersion",), grant.resources)


def _log_groups(settings: Settings, name: str) -> Iterator[Grant]:
    """Log groups; an ARN in a policy ends in `:*`, but for tags.

    https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_LogGroup.html
    """
    source = settings.sources[name]
    if not isinstance(source, CloudWatchLogsSource):
        return
    at = place(settings.aws_of(name))
    regions = tuple(source.all_regions(at.region)) or ("*",)
    groups = tuple(_group_arns(source, at, regions))
    anywhere = tuple(f"arn:{at.partition}:logs:{region}:{at.account}:log-group:*" for region in regions)
    yield Grant(at.who, "FindLogGroups", ("logs:DescribeLogGroups",), anywhere)
    yield Grant(at.who, "ReadLogGroups", ("logs:FilterLogEvents",), tuple(f"{arn}:*" for arn in groups))
    if source.tags or source.logs == "auto":
        yield Grant(at.who, "ReadLogGroupTags", ("logs:ListTagsForResource",), groups)
    if source.logs == "auto" and not source.accounts:
        subscribed = tuple(f"{arn}:*" for arn in groups)
        yield Grant(at.who, "ReadSubscriptions", ("logs:DescribeSubscriptionFilters",), subscribed)
    if source.logs == "auto":
        within = (("StringEquals", "aws:RequestedRegion", regions),) if "*" not in regions else ()
        yield Grant(at.who, "FindLogWriters", _LOG_WRITERS, ("*",), within)


# None of them takes a resource: https://docs.aws.amazon.com/service-authorization/latest/reference/
_LOG_WRITERS = ("ec2:DescribeFlowLogs", "cloudtrail:DescribeTrails", "route53resolver:ListResolverQueryLogConfigs")


def _group_arns(source: CloudWatchLogsSource, at: Place, regions: tuple[str, ...]) -> Iterator[str]:
    from shipper.sources.cloudwatch_groups import pattern_of

    accounts = ("*",) if "linked" in source.accounts else tuple(source.accounts) or (at.account,)
    for pattern in map(pattern_of, source.log_groups or ["*"]):
        for region in regions if pattern.region is None else (pattern.region,):
            for account in accounts if pattern.account is None else (pattern.account,):
                yield f"arn:{at.partition}:logs:{region}:{account}:log-group:{pattern.glob.removesuffix(':*')}"


def _iam(settings: Settings) -> Iterator[Grant]:
    """Roles and users of the own account, and of others through the role that is named."""
    chosen, at = settings.enrich.iam, place(settings.aws)
    yield from _principals(at.who, at)
    if chosen is not None and chosen.role_name:
        role = f"arn:{at.partition}:iam::*:role/{chosen.role_name}"
        yield Grant(base(settings.aws), "AssumeRoles", ("sts:AssumeRole",), (role,))
        yield from _principals(role, Place(role, at.partition, "*", at.region))


def _interfaces(settings: Settings) -> Iterator[Grant]:
    """Listings of the own account's interfaces, and of other accounts' through the role that is named.

    They allow no resource: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
    """
    chosen, at = settings.enrich.interfaces, place(settings.aws)
    if chosen is None:
        return
    within = (("StringEquals", "aws:RequestedRegion", tuple(chosen.regions)),) if chosen.regions else ()
    calls = ("ec2:DescribeNetworkInterfaces", "ec2:DescribeInstances")
    yield Grant(at.who, "ListInterfaces", calls, ("*",), within)
    if chosen.role_name:
        accounts = chosen.accounts or ["*"]
        roles = tuple(f"arn:{at.partition}:iam::{account}:role/{chosen.role_name}" for account in accounts)
        yield Grant(base(settings.aws), "AssumeRoles", ("sts:AssumeRole",), roles)
        for role in roles:
            yield Grant(role, "ListInterfaces", calls, ("*",), within)


def _accounts(settings: Settings) -> Iterator[Grant]:
    """What Organizations says of accounts, by the role that is named; a file needs nothing.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsorganizations.html
    """
    chosen, at = settings.enrich.accounts, place(settings.aws)
    if chosen is None or chosen.file is not None:
        return
    who = at.who
    if chosen.role_arn:
        who = chosen.role_arn
        yield Grant(base(settings.aws), "AssumeRoles", ("sts:AssumeRole",), (who,))
    calls = ("ListAccounts", "ListParents", "DescribeOrganizationalUnit", "ListTagsForResource")
    yield Grant(who, "ReadAccounts", tuple(f"organizations:{call}" for call in calls), ("*",))


def _resources(settings: Settings) -> Iterator[Grant]:
    """Tags of the own account's buckets and log groups, and of others' through the role that is named."""
    chosen, at = settings.enrich.resources, place(settings.aws)
    if chosen is None:
        return
    identities = [(at.who, at.account)]
    if chosen.role_name:
        role = f"arn:{at.partition}:iam::*:role/{chosen.role_name}"
        identities.append((role, "*"))
        yield Grant(base(settings.aws), "AssumeRoles", ("sts:AssumeRole",), (role,))
    for who, account in identities:
        if chosen.buckets:
            yield Grant(who, "ReadTagsOfBuckets", ("s3:GetBucketTagging",), (f"arn:{at.partition}:s3:::*",))
        if chosen.log_groups:
            groups = f"arn:{at.partition}:logs:*:{account}:log-group:*"
            yield Grant(who, "ReadTagsOfLogGroups", ("logs:ListTagsForResource",), (groups,))


def _principals(who: str, at: Place) -> Iterator[Grant]:
    for kind in ("role", "user"):
        resource = f"arn:{at.partition}:iam::{at.account}:{kind}/*"
        yield Grant(who, f"Read{kind.title()}s", (f"iam:Get{kind.title()}",), (resource,))


def _queue_arn(url: str, at: Place) -> str:
    from shipper.sources.sqs_queue import endpoint_of, queue_name

    region, _ = endpoint_of(url)
    folder = urlsplit(url).path.strip("/").rpartition("/")[0].rpartition("/")[2]
    account = folder if folder.isdecimal() and len(folder) == 12 else at.account
    return f"arn:{at.partition}:sqs:{region or at.region or '*'}:{account}:{queue_name(url)}"


def _literal(text: str) -> str:
    """What stands for exactly this text in a policy.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
    """
    return "".join(f"${{{char}}}" if char in "*?$" else char for char in text)


SOURCES: Mapping[str, Callable[[Settings, str], Iterator[Grant]]] = {
    "s3": _listed,
    "s3_notifications": _notified,
    "cloudwatch_logs": _log_groups,
}
"""By a source's `type`."""

ENRICHMENTS: Mapping[str, Callable[[Settings], Iterator[Grant]] | None] = {
    "accounts": _accounts,
    "addresses": None,
    "geoip": None,
    "iam": _iam,
    "interfaces": _interfaces,
    "region_names": None,
    "resources": _resources,
    "sessions": None,
    "indicators": None,
}
"""By a key of `enrich`; None for what asks nothing of AWS."""
