"""Sources, and the readers that open their splits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from shipper.build.log_types import LOG_TYPES
from shipper.config import S3NotificationsSource, S3Source, Settings
from shipper.metrics import Metrics
from shipper.ports import CheckpointStore, DeadLetters, Reader, Source

if TYPE_CHECKING:
    from shipper.aws import AwsSessions


def aws_sessions(settings: Settings) -> dict[str, AwsSessions]:
    """How each source reaches AWS, by source name."""
    from shipper.aws import AwsSessions, AwsSettings

    return {
        name: AwsSessions(AwsSettings(**settings.aws_of(name).model_dump()), threads=settings.workers.threads)
        for name in settings.sources
    }


def sources(settings: Settings, checkpoints: CheckpointStore, metrics: Metrics, letters: DeadLetters) -> list[Source]:
    """The sources, over one checkpoint store."""
    sessions = aws_sessions(settings)
    return [
        _notifications(name, source, checkpoints, sessions[name], metrics, letters)
        if isinstance(source, S3NotificationsSource)
        else _listing(name, source, checkpoints, sessions[name], metrics, letters)
        for name, source in settings.sources.items()
    ]


def _listing(  # noqa: PLR0917 - what every source is built of
    name: str, source: S3Source, checkpoints: CheckpointStore, aws: AwsSessions, metrics: Metrics, letters: DeadLetters
) -> Source:
    from shipper.sources.s3_listing import S3ListingSource

    return S3ListingSource(
        name=name,
        bucket=source.bucket,
        prefix=source.prefix,
        logs=source.logs,
        start=source.start_seconds(time.time()),
        store=checkpoints,
        client=aws.client("s3"),
        metrics=metrics,
        dead_letters=letters,
        interval_seconds=source.interval_seconds,
        expected_bucket_owner=source.expected_bucket_owner,
    )


def _notifications(  # noqa: PLR0917 - as above
    name: str,
    source: S3NotificationsSource,
    checkpoints: CheckpointStore,
    aws: AwsSessions,
    metrics: Metrics,
    letters: DeadLetters,
) -> Source:
    from shipper.sources.s3_allowed import Allowed, places
    from shipper.sources.s3_notifications import S3NotificationsSource as Notifications
    from shipper.sources.sqs_queue import SqsQueue, endpoint_of

    region, endpoint = endpoint_of(source.queue_url)
    return Notifications(
        name,
        queue=SqsQueue(aws.client("sqs", region, endpoint), source.queue_url),
        allowed=Allowed(places(source.buckets), None if source.logs == "auto" else source.logs, frozenset(LOG_TYPES)),
        store=checkpoints,
        client=aws.client("s3"),
        metrics=metrics,
        dead_letters=letters,
        missing_seconds=source.missing_seconds,
        expected_bucket_owner=source.expected_bucket_owner,
    )


def readers(settings: Settings) -> dict[str, Reader]:
    """What opens each source's splits, by source name."""
    sessions = aws_sessions(settings)
    return {name: _s3_reader(sessions[name], source.expected_bucket_owner) for name, source in settings.sources.items()}


def _s3_reader(aws: AwsSessions, expected_bucket_owner: str | None) -> Reader:
    from shipper.sources.s3_get import SmallGet
    from shipper.sources.s3_objects import S3Reader

    client = aws.client("s3")
    small = SmallGet(
        client.meta.endpoint_url,
        client.meta.region_name,
        by_path=(client.meta.config.s3 or {}).get("addressing_style") == "path",
        credentials=aws.credentials,
        certificates=aws.certificates,
        expected_owner=expected_bucket_owner,
    )
    return S3Reader(client, expected_bucket_owner=expected_bucket_owner, small=small)
