"""Sinks, and which of them take the same documents."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from shipper.build.log_types import LOG_TYPES
from shipper.config import AnySink, ArchiveSink, ElasticsearchSink, Settings, SplunkHecSink
from shipper.metrics import Metrics
from shipper.ports import Lookups, Schema, Sink
from shipper.shipping import Lane


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


def lanes(settings: Settings, source: str, all_sinks: Mapping[str, Sink], lookups: Lookups) -> tuple[Lane, ...]:
    """Group a source's sinks by the documents they take, so that each record is encoded once for each group."""
    groups: dict[tuple[str, ...], list[Sink]] = {}
    for name in settings.sinks_of(source):
        groups.setdefault(_documents_of(settings.sinks[name]), []).append(all_sinks[name])
    return tuple(Lane(_schemas(key, lookups), tuple(members)) for key, members in groups.items())


def _documents_of(chosen: AnySink) -> tuple[str, ...]:
    if isinstance(chosen, SplunkHecSink):
        return ("splunk", chosen.index, chosen.host or "")
    return ("ecs", "default" if isinstance(chosen, ArchiveSink) else chosen.data_stream_namespace)


def _schemas(key: tuple[str, ...], lookups: Lookups) -> dict[str, Schema]:
    if key[0] == "splunk":
        return {name: log_type.splunk(key[1], key[2], lookups) for name, log_type in LOG_TYPES.items()}
    return {name: log_type.ecs(key[1], lookups) for name, log_type in LOG_TYPES.items()}
