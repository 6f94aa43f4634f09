"""Settings → objects: alone in knowing all adapters, and importing each only where it is needed (fast start-up)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shipper.config import Settings
from shipper.config_models import AnySink, ArchiveSink, ElasticsearchSink, SplunkHecSink
from shipper.delivery import Patience
from shipper.metrics import Metrics
from shipper.model import ReadLimits
from shipper.ports import DeadLetters, Format, GeoLookup, Schema, Sink, Source, Stop
from shipper.service import Pipeline
from shipper.shipping import Lane, Route, Shipper

if TYPE_CHECKING:
    from shipper.aws import AwsSessions
    from shipper.checkpoints.sqlite import SqliteCheckpoints
    from shipper.deadletters.sqlite import SqliteDeadLetters

DEAD_LETTERS_FILE = "dead_letters.sqlite"
# How long `--once` bears a failing sink before it gives up with exit code 1.
ONCE_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class LogType:
    """All that is known of one AWS log type; `LOG_TYPES` is the table of them.

    Attributes:
        dataset: the data stream's dataset, as Elastic's AWS integration names it.
        format: takes payloads apart within limits.
        ecs: documents for a data stream namespace, with or without geography.
        splunk: HEC envelopes for an index ("" for the token's own), a host ("" for none), with or without geography.
    """

    name: str
    dataset: str
    format: Callable[[ReadLimits], Format]
    ecs: Callable[[str, GeoLookup | None], Schema]
    splunk: Callable[[str, str, GeoLookup | None], Schema]


def _cloudtrail_format(limits: ReadLimits) -> Format:
    from shipper.formats.cloudtrail import CloudTrailFormat

    return CloudTrailFormat(limits)


def _cloudtrail_ecs(namespace: str, geo: GeoLookup | None) -> Schema:
    from shipper.schemas.ecs.cloudtrail import CloudTrailEcs

    return CloudTrailEcs(namespace, geo)


def _cloudtrail_splunk(index: str, host: str, geo: GeoLookup | None) -> Schema:
    from shipper.schemas.splunk.cloudtrail import CloudTrailSplunk

    return CloudTrailSplunk(index, host, geo)


LOG_TYPES: dict[str, LogType] = {
    "cloudtrail": LogType("cloudtrail", "aws.cloudtrail", _cloudtrail_format, _cloudtrail_ecs, _cloudtrail_splunk),
}


def pipeline(settings: Settings, *, once: bool = False, stop: Stop | None = None) -> Pipeline:
    """Put the whole daemon together; nothing is contacted yet but the state folder, which is locked.

    Args:
        once: bear a failing sink for `ONCE_PATIENCE_SECONDS` only.

    Raises:
        ConfigError: a database, certificate or the state cannot be used.
    """
    stop = stop or Stop()
    metrics = Metrics()
    patience = Patience(ONCE_PATIENCE_SECONDS if once else None)
    all_sinks = sinks(settings, metrics)
    place = geo(settings)
    checkpoints = store(settings)
    letters = dead_letters(settings)
    shipper = Shipper(
        formats={name: log_type.format(_limits(settings)) for name, log_type in LOG_TYPES.items()},
        routes=_routes(settings, all_sinks, place),
        dead_letters=letters,
        metrics=metrics,
        stop=stop,
        patience=patience,
    )
    return Pipeline(
        sources=sources(settings, checkpoints, metrics, letters),
        sinks=all_sinks,
        ship=shipper.ship,
        store=checkpoints,
        dead_letters=letters,
        metrics=metrics,
        stop=stop,
        patience=patience,
        threads=settings.workers.threads,
        in_flight_bytes=settings.limits.in_flight_bytes,
        grace_seconds=settings.grace_seconds,
        listen=settings.address,
    )


def _limits(settings: Settings) -> ReadLimits:
    return ReadLimits(object_bytes=settings.limits.object_bytes, record_bytes=settings.limits.record_bytes)


def geo(settings: Settings) -> GeoLookup | None:
    """The GeoIP databases, or None where none is configured.

    Raises:
        ConfigError: a database is missing or broken.
    """
    paths = settings.enrich.geoip
    if paths.city is None and paths.asn is None:
        return None
    from shipper.enrich.geo import Geo

    return Geo(paths.city, paths.asn)


def sinks(settings: Settings, metrics: Metrics) -> dict[str, Sink]:
    """The sinks by name, in the file's order."""
    return {name: _sink(name, chosen, metrics) for name, chosen in settings.sinks.items()}


def _sink(name: str, chosen: AnySink, metrics: Metrics) -> Sink:
    if isinstance(chosen, ElasticsearchSink):
        from shipper.sinks.elasticsearch import ElasticsearchSink as Elasticsearch

        return Elasticsearch(
            name,
            chosen.hosts,
            api_key=chosen.api_key_secret,
            basic_auth=chosen.basic_auth,
            bearer_auth=chosen.bearer_secret,
            cloud_id=chosen.cloud_id,
            ca_certs=_text(chosen.ca_certs),
            client_cert=_text(chosen.client_cert),
            client_key=_text(chosen.client_key),
            ssl_assert_fingerprint=chosen.ssl_assert_fingerprint,
            verify_certs=chosen.verify_certs,
            namespace=chosen.data_stream_namespace,
            request_timeout_seconds=chosen.request_timeout_seconds,
            batch_bytes=chosen.batch_bytes,
            batch_documents=chosen.batch_documents,
            metrics=metrics,
        )
    if isinstance(chosen, SplunkHecSink):
        from shipper.sinks.splunk_hec import SplunkHecSink as SplunkHec

        return SplunkHec(
            name,
            chosen.urls,
            chosen.token_secret,
            ca_certs=_text(chosen.ca_certs),
            client_cert=_text(chosen.client_cert),
            client_key=_text(chosen.client_key),
            verify_certs=chosen.verify_certs,
            request_timeout_seconds=chosen.request_timeout_seconds,
            batch_bytes=chosen.batch_bytes,
            batch_documents=chosen.batch_documents,
        )
    from shipper.sinks.archive import ArchiveSink as Archive

    return Archive(name, chosen.path)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _routes(settings: Settings, all_sinks: Mapping[str, Sink], place: GeoLookup | None) -> dict[str, Route]:
    from shipper.sources.s3_objects import S3Reader

    sessions = aws_sessions(settings)
    return {
        name: Route(
            S3Reader(sessions[name].client("s3"), expected_bucket_owner=source.expected_bucket_owner),
            _lanes(settings, name, all_sinks, place),
        )
        for name, source in settings.sources.items()
    }


def _lanes(settings: Settings, source: str, all_sinks: Mapping[str, Sink], place: GeoLookup | None) -> tuple[Lane, ...]:
    """Group a source's sinks by the documents they take, so that each record is encoded once for each group."""
    groups: dict[tuple[str, ...], list[Sink]] = {}
    for name in settings.sinks_of(source):
        groups.setdefault(_documents_of(settings.sinks[name]), []).append(all_sinks[name])
    return tuple(Lane(_schemas(key, place), tuple(members)) for key, members in groups.items())


def _documents_of(chosen: AnySink) -> tuple[str, ...]:
    if isinstance(chosen, SplunkHecSink):
        return ("splunk", chosen.index, chosen.host or "")
    return ("ecs", "default" if isinstance(chosen, ArchiveSink) else chosen.data_stream_namespace)


def _schemas(key: tuple[str, ...], place: GeoLookup | None) -> dict[str, Schema]:
    if key[0] == "splunk":
        return {name: log_type.splunk(key[1], key[2], place) for name, log_type in LOG_TYPES.items()}
    return {name: log_type.ecs(key[1], place) for name, log_type in LOG_TYPES.items()}


def aws_sessions(settings: Settings) -> dict[str, AwsSessions]:
    """How each source reaches AWS, by source name."""
    from shipper.aws import AwsSessions, AwsSettings

    return {
        name: AwsSessions(AwsSettings(**settings.aws_of(name).model_dump()), threads=settings.workers.threads)
        for name in settings.sources
    }


def sources(settings: Settings, checkpoints: SqliteCheckpoints, metrics: Metrics, letters: DeadLetters) -> list[Source]:
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


def store(settings: Settings, *, read_only: bool = False) -> SqliteCheckpoints:
    """Open the checkpoint store and take its lock.

    Args:
        read_only: only look, without the lock, while a daemon may be running.

    Raises:
        ConfigError: another daemon has it, or it is damaged.
    """
    from shipper.checkpoints.sqlite import SqliteCheckpoints

    return SqliteCheckpoints(settings.state.path / "checkpoints.sqlite", read_only=read_only)


def dead_letters(settings: Settings) -> SqliteDeadLetters:
    """Open the dead-letter store."""
    from shipper.deadletters.sqlite import SqliteDeadLetters

    return SqliteDeadLetters(settings.state.path / DEAD_LETTERS_FILE, settings.dead_letters.max_bytes)
