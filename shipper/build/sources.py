"""Sources, and the readers that open their splits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from shipper.config import Settings
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
    from shipper.sources.s3_listing import S3ListingSource

    sessions = aws_sessions(settings)
    return [
        S3ListingSource(
            name=name,
            bucket=source.bucket,
            prefix=source.prefix,
            logs=source.logs,
            start=source.start_seconds(time.time()),
            store=checkpoints,
            client=sessions[name].client("s3"),
            metrics=metrics,
            dead_letters=letters,
            interval_seconds=source.interval_seconds,
            expected_bucket_owner=source.expected_bucket_owner,
        )
        for name, source in settings.sources.items()
    ]


def readers(settings: Settings) -> dict[str, Reader]:
    """What opens each source's splits, by source name."""
    from shipper.sources.s3_objects import S3Reader

    sessions = aws_sessions(settings)
    return {
        name: S3Reader(sessions[name].client("s3"), expected_bucket_owner=source.expected_bucket_owner)
        for name, source in settings.sources.items()
    }
