"""Sources, and the readers that open their splits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from shipper.build.cloudwatch import cloudwatch_calls, log_groups, window_reader
from shipper.build.log_types import LOG_TYPES
from shipper.config import CloudWatchLogsSource, S3NotificationsSource, S3Source, Settings
from shipper.metrics import Metrics
from shipper.model import ReadLimits, S3Object
from shipper.ports import CheckpointStore, Clock, DeadLetters, Reader, Source, Stop

if TYPE_CHECKING:
    from shipper.aws import AwsSessions
    from shipper.sources.cloudwatch_calls import Calls
    from shipper.sources.s3_notifications import S3NotificationsSource as Notifications
    from shipper.sources.s3_strays import Coverage


def aws_sessions(settings: Settings) -> dict[str, AwsSessions]:
    """How each source reaches AWS, by source name."""
    from shipper.aws import AwsSessions, AwsSettings

    return {
        name: AwsSessions(AwsSettings(**settings.aws_of(name).model_dump()), threads=settings.workers.threads)
        for name in settings.sources
    }


def sources(
    settings: Settings,
    checkpoints: CheckpointStore,
    metrics: Metrics,
    letters: DeadLetters,
    *,
    sessions: Mapping[str, AwsSessions] | None = None,
    calls: Mapping[str, Calls] | None = None,
    stop: Stop | None = None,
) -> list[Source]:
    """The sources, over one checkpoint store.

    Args:
        sessions: how each source reaches AWS, where its reader is to share it.
        calls: how sources of CloudWatch Logs call AWS, where their readers are to share it.
        stop: what looks hear that may take long.
    """
    sessions = aws_sessions(settings) if sessions is None else sessions
    if calls is None:
        calls = cloudwatch_calls(settings, sessions, metrics, Stop())
    made: list[Source] = []
    for name, source in settings.sources.items():
        parts = _Parts(checkpoints, sessions[name], metrics, letters, stop or Stop())
        if isinstance(source, CloudWatchLogsSource):
            aws = settings.aws_of(name)
            made.append(
                log_groups(
                    name,
                    source,
                    aws=aws,
                    calls=calls[name],
                    store=checkpoints,
                    metrics=metrics,
                    session=sessions[name],
                )
            )
            continue
        if not isinstance(source, S3NotificationsSource):
            place = ListedPlace(source)
            made.append(_listing(name, place, parts, coverage(settings, name, place)))
            continue
        notified = _notifications(name, source, parts)
        made.append(notified)
        made += [
            _listing(under, place, parts, coverage(settings, name, place), of_another=notified.has)
            for under, place in zip(_nets(name, source), listed_places(source), strict=False)
        ]
    return made


def names(settings: Settings) -> dict[str, str]:
    """Each running source's name, and the configuration's source that it belongs to."""
    found: dict[str, str] = {}
    for name, source in settings.sources.items():
        found[name] = name
        if isinstance(source, S3NotificationsSource):
            found.update(dict.fromkeys(_nets(name, source), name))
    return found


def fallbacks(settings: Settings) -> dict[str, str]:
    """Return the log type of objects outside AWS's folders, for each queue that has one."""
    queues = {name: each for name, each in settings.sources.items() if isinstance(each, S3NotificationsSource)}
    types = {name: each.logs_fallback if each.logs == "auto" else each.logs for name, each in queues.items()}
    return {name: logs for name, logs in types.items() if logs is not None}


def _nets(name: str, source: S3NotificationsSource) -> list[str]:
    """Names of the listings under a queue; no source of the configuration can have a dot in its name."""
    count = len(list(listed_places(source))) if source.verify_listing else 0
    return [f"{name}.listing{number or ''}" for number in range(count)]


@dataclass(frozen=True, slots=True)
class _Parts:
    """What every source is built of."""

    checkpoints: CheckpointStore
    aws: AwsSessions
    metrics: Metrics
    letters: DeadLetters
    stop: Stop


class ListedPlace(NamedTuple):
    """One bucket, prefix and log type that a source lists.

    Attributes:
        source: a source of its own.
        layouts_only: only AWS's own folders are meant.
        outside_only: only what is outside of them is meant.
        first: it is the first of its bucket and prefix, which reports what none of them takes.
    """

    source: S3Source
    layouts_only: bool = False
    outside_only: bool = False
    first: bool = True


def listed_places(chosen: S3Source | S3NotificationsSource) -> Iterator[ListedPlace]:
    """Yield a source's buckets and prefixes as sources of their own."""
    if isinstance(chosen, S3Source):
        yield ListedPlace(chosen)
        return
    from shipper.sources.s3_allowed import places
    from shipper.sources.s3_keys import services_of

    shared = {key: getattr(chosen, key) for key in S3Source.model_fields.keys() & type(chosen).model_fields.keys()}

    def at(bucket: str, prefix: str, logs: str) -> S3Source:
        return S3Source.model_validate({**shared, "type": "s3", "bucket": bucket, "prefix": prefix, "logs": logs})

    auto = chosen.logs == "auto"
    all_types = [name for name in LOG_TYPES if services_of(name)] if auto else [chosen.logs]
    for bucket, prefix in places(chosen.buckets):
        for number, logs in enumerate(all_types):
            yield ListedPlace(at(bucket, prefix, logs), layouts_only=auto, first=not number)
    # Last, so that the names of the others stay what they are without the key.
    for bucket, prefix in places(chosen.buckets) if chosen.logs_fallback else ():
        yield ListedPlace(at(bucket, prefix, chosen.logs_fallback or ""), outside_only=True, first=False)


def coverage(settings: Settings, name: str, place: ListedPlace) -> Coverage:
    """Return what a source takes as a whole, to judge what one of its listings leaves aside.

    Args:
        name: the source's, in the configuration.
    """
    from shipper.sources.s3_allowed import places
    from shipper.sources.s3_keys import SERVICES, services_of
    from shipper.sources.s3_strays import Coverage

    chosen = settings.sources[name]
    queue = chosen if isinstance(chosen, S3NotificationsSource) else None
    auto = queue is not None and queue.logs == "auto"
    others: list[str] = []
    for other, source in settings.sources.items():
        if other == name or not isinstance(source, S3Source | S3NotificationsSource):
            continue
        its = [(source.bucket, source.prefix)] if isinstance(source, S3Source) else places(source.buckets)
        own = place.source
        others += [at for bucket, at in its if bucket == own.bucket and at != own.prefix and at.startswith(own.prefix)]
    return Coverage(
        SERVICES if auto else services_of(place.source.logs),
        outside=queue is not None and (not auto or queue.logs_fallback is not None),
        others=tuple(others),
        silent=not place.first,
    )


def _listing(
    name: str,
    place: ListedPlace,
    parts: _Parts,
    judged: Coverage,
    of_another: Callable[[S3Object], bool] | None = None,
) -> Source:
    from shipper.sources.s3_listing import S3ListingSource

    client = parts.aws.client("s3")
    source = place.source
    return S3ListingSource(
        name=name,
        bucket=source.bucket,
        prefix=source.prefix,
        logs=source.logs,
        start=source.start_seconds,
        layouts_only=place.layouts_only,
        outside_only=place.outside_only,
        coverage=judged,
        of_another=of_another,
        store=parts.checkpoints,
        client=client,
        metrics=parts.metrics,
        dead_letters=parts.letters,
        interval_seconds=source.interval_seconds,
        expected_bucket_owner=source.expected_bucket_owner,
        clock=_aws_time(client),
    )


def _notifications(name: str, source: S3NotificationsSource, parts: _Parts) -> Notifications:
    from shipper.sources.s3_allowed import Allowed, places
    from shipper.sources.s3_notifications import S3NotificationsSource as Notifications
    from shipper.sources.sqs_queue import SqsQueue, endpoint_of

    region, endpoint = endpoint_of(source.queue_url)
    queue = parts.aws.client("sqs", region, endpoint)
    return Notifications(
        name,
        queue=SqsQueue(queue, source.queue_url),
        allowed=Allowed(
            places(source.buckets),
            None if source.logs == "auto" else source.logs,
            frozenset(LOG_TYPES),
            source.logs_fallback,
        ),
        store=parts.checkpoints,
        client=parts.aws.client("s3"),
        metrics=parts.metrics,
        dead_letters=parts.letters,
        stop=parts.stop,
        missing_seconds=source.missing_seconds,
        expected_bucket_owner=source.expected_bucket_owner,
        clock=_aws_time(queue),
    )


def _aws_time(client: Any) -> Clock:
    from shipper.sources.aws_clock import AwsClock

    clock = AwsClock()
    clock.watch(client)
    return clock.now


def readers(
    settings: Settings,
    sessions: Mapping[str, AwsSessions],
    calls: Mapping[str, Calls],
    metrics: Metrics,
    limits: ReadLimits,
) -> dict[str, Reader]:
    """What opens each source's splits, by source name.

    Args:
        sessions, calls: as for `sources`.
    """
    made = {
        name: window_reader(source, calls[name], metrics, limits)
        if isinstance(source, CloudWatchLogsSource)
        else _s3_reader(sessions[name], source.expected_bucket_owner, source.logs_region or "")
        for name, source in settings.sources.items()
    }
    return {name: made[owner] for name, owner in names(settings).items()}


def _s3_reader(aws: AwsSessions, expected_bucket_owner: str | None, logs_region: str) -> Reader:
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
    return S3Reader(client, expected_bucket_owner=expected_bucket_owner, small=small, logs_region=logs_region)
