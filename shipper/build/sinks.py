"""Sinks, and which of them take the same documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from shipper.build.archive_names import archive_marks
from shipper.build.event_types import PLAIN, GroupTypes
from shipper.build.log_types import LOG_TYPES, SUBSCRIPTION, eks_together
from shipper.build.on_demand import OnDemand
from shipper.config import (
    AnySink,
    AnySource,
    ArchiveSink,
    CloudWatchLogsSource,
    ElasticsearchSink,
    Settings,
    SplunkHecSink,
)
from shipper.filters import Filtered, read_filter
from shipper.flow_layouts import layout_from_count
from shipper.metrics import Metrics
from shipper.model import Record
from shipper.ports import Lookups, Schema, Sink, Stop
from shipper.schemas.by_event import ByEvent, Note
from shipper.schemas.splunk.sourcetype import WithSourcetype
from shipper.shipping import Lane

if TYPE_CHECKING:
    from shipper.sinks.splunk_hec_connection import HecServers
    from shipper.sinks.splunk_search import SplunkRecount


class _EcsDocuments(NamedTuple):
    namespace: str
    audit_apart: bool = True


class _Envelopes(NamedTuple):
    host: str
    main_index: str
    indexes: tuple[tuple[str, str], ...]
    sourcetypes: tuple[tuple[str, str], ...]


_Documents = _EcsDocuments | _Envelopes


def sinks(
    settings: Settings, metrics: Metrics, stop: Stop | None = None, *, marks: Mapping[str, str] | None = None
) -> dict[str, Sink]:
    """The sinks by name, in the file's order.

    Args:
        stop: ends what they wait for.
        marks: of archives' files, where the settings are only a part of the configuration.
    """
    stop = stop or Stop()
    marks = archive_marks(settings) if marks is None else marks
    return {name: _sink(name, chosen, metrics, stop, marks) for name, chosen in settings.sinks.items()}


def _sink(name: str, chosen: AnySink, metrics: Metrics, stop: Stop, marks: Mapping[str, str]) -> Sink:
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
            proxy=chosen.proxy,
            proxy_auth=chosen.proxy_auth,
            namespace=chosen.data_stream_namespace,
            strict=chosen.mode == "strict",
            audit_apart=audit_apart(chosen),
            repair=chosen.repair,
            request_timeout_seconds=chosen.request_timeout_seconds,
            batch_bytes=chosen.batch_bytes,
            batch_documents=chosen.batch_documents,
            metrics=metrics,
        )
    if isinstance(chosen, SplunkHecSink):
        return _splunk(name, chosen, metrics, stop)
    from shipper.sinks.archive import ArchiveSink as Archive

    return Archive(name, chosen.path, marks=marks)


def _splunk(name: str, chosen: SplunkHecSink, metrics: Metrics, stop: Stop) -> Sink:
    from shipper.sinks.splunk_hec import SplunkHecSink as SplunkHec
    from shipper.sinks.splunk_hec_acks import AckPolicy

    servers = splunk_servers(chosen, chosen.urls, chosen.token_secret)
    ack = AckPolicy(chosen.ack_timeout_seconds, chosen.ack_poll_seconds, chosen.ack_pending_requests)
    return SplunkHec(
        name,
        servers,
        endpoint=chosen.endpoint,
        ack=ack if chosen.ack else None,
        batch_bytes=chosen.batch_bytes,
        batch_documents=chosen.batch_documents,
        metrics=metrics,
        stop=stop,
    )


def splunk_servers(chosen: SplunkHecSink, urls: Sequence[str], token: str) -> HecServers:
    """How collectors, or a search head, are reached."""
    from shipper.sinks.splunk_hec_connection import HecServers

    return HecServers(
        urls,
        token,
        ca_certs=_text(chosen.ca_certs),
        client_cert=_text(chosen.client_cert),
        client_key=_text(chosen.client_key),
        verify_certs=chosen.verify_certs,
        request_timeout_seconds=chosen.request_timeout_seconds,
        proxy=chosen.proxy,
        proxy_auth=chosen.proxy_auth,
    )


def splunk_recount(name: str, chosen: SplunkHecSink) -> SplunkRecount | None:
    """What asks Splunk which events it holds; None without `search_url`."""
    if chosen.search_url is None:
        return None
    from shipper.sinks.splunk_search import SplunkRecount

    servers = splunk_servers(chosen, [chosen.search_url], chosen.search_secret)
    indexes = [chosen.index, *chosen.indexes.values()]
    return SplunkRecount(name, servers, indexes, by_id=chosen.endpoint == "event")


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def lanes(
    settings: Settings, source: str, all_sinks: Mapping[str, Sink], lookups: Lookups, note: Note | None = None
) -> tuple[Lane, ...]:
    """Group a source's sinks by the documents they take, so that each record is encoded once for each group.

    Args:
        note: is told, once, of each event that looks like a log type that nothing vouches for.
    """
    groups: dict[tuple[_Documents, str | None], list[Sink]] = {}
    for name in settings.sinks_of(source):
        sink = settings.sinks[name]
        groups.setdefault((_documents_of(sink), sink.filter), []).append(all_sinks[name])
    chosen = settings.sources[source]
    return tuple(
        Lane(
            filtered(
                _vouched(_schemas(documents, lookups), documents, chosen, None if number else note),
                chosen.filter,
                of_sink,
            ),
            tuple(members),
        )
        for number, ((documents, of_sink), members) in enumerate(groups.items())
    )


def _vouched(
    schemas: Mapping[str, Schema], documents: _Documents, source: AnySource, note: Note | None
) -> Mapping[str, Schema]:
    """The schemas with types for events as far as the source's settings vouch for them."""
    types = GroupTypes(source.log_group_types)
    in_plain = types.of_line
    if isinstance(source, CloudWatchLogsSource) and source.logs == "auto":
        in_plain = types.in_plain_group

    def enveloped() -> Schema:
        schema = schemas[SUBSCRIPTION]
        return schema.by(types.of_record, note) if isinstance(schema, ByEvent) else schema

    def plain() -> Schema:
        from shipper.schemas.trust_tags import mark_unvouched_ecs, mark_unvouched_envelope

        mark = mark_unvouched_ecs if isinstance(documents, _EcsDocuments) else mark_unvouched_envelope
        return ByEvent({PLAIN: schemas[PLAIN]}, in_plain, mark, note)

    return OnDemand(
        {**{name: partial(schemas.__getitem__, name) for name in schemas}, SUBSCRIPTION: enveloped, PLAIN: plain}
    )


def filtered(schemas: Mapping[str, Schema], *rules: str | None) -> Mapping[str, Schema]:
    """The schemas for the records that all rules keep.

    Raises:
        ConfigError: a rule cannot be read.
    """
    for keeps in (read_filter(text).on_records() for text in rules if text is not None):
        schemas = OnDemand({name: partial(_kept_of, schemas, name, keeps) for name in schemas})
    return schemas


def _kept_of(schemas: Mapping[str, Schema], name: str, keeps: Callable[[Record], bool]) -> Schema:
    return _kept(name, schemas[name], keeps)


def _kept(name: str, schema: Schema, keeps: Callable[[Record], bool]) -> Schema:
    if isinstance(schema, ByEvent):
        return schema.each(lambda of, inner: _kept(of, inner, keeps))
    return Filtered(schema, _with_layout(keeps) if LOG_TYPES[name].laid_out else keeps)


def _with_layout(keeps: Callable[[Record], bool]) -> Callable[[Record], bool]:
    """The rule for lines that may have come without their layout: it is told by the number of fields."""

    def keeps_line(record: Record) -> bool:
        if record.layout is None:
            record = Record(record.raw, record.position, layout_from_count(record.raw.count(b" ") + 1), record.event)
        return keeps(record)

    return keeps_line


def _documents_of(chosen: AnySink) -> _Documents:
    if isinstance(chosen, SplunkHecSink):
        return _envelopes_of(chosen)
    if isinstance(chosen, ArchiveSink):
        return _EcsDocuments("default")
    return _EcsDocuments(chosen.data_stream_namespace, audit_apart(chosen))


def audit_apart(chosen: ElasticsearchSink) -> bool:
    """Whether Kubernetes audit events go to the data stream of Elastic's kubernetes integration."""
    return chosen.eks_audit_dataset == "kubernetes.audit_logs"


def ecs_schemas(chosen: ElasticsearchSink | None, lookups: Lookups) -> Mapping[str, Schema]:
    """ECS documents by log type, as a sink's settings want them; None for the defaults."""
    return _schemas(_EcsDocuments("default") if chosen is None else _documents_of(chosen), lookups)


def _envelopes_of(chosen: SplunkHecSink) -> _Envelopes:
    routes = (tuple(sorted(chosen.indexes.items())), tuple(sorted(chosen.sourcetypes.items())))
    return _Envelopes(chosen.host or "", chosen.index, *routes)


def envelope_schemas(chosen: SplunkHecSink | None, lookups: Lookups) -> Mapping[str, Schema]:
    """HEC envelopes by log type, as a sink's settings want them; None for the defaults."""
    return _schemas(_Envelopes("", "", (), ()) if chosen is None else _envelopes_of(chosen), lookups)


def _schemas(documents: _Documents, lookups: Lookups) -> Mapping[str, Schema]:
    if isinstance(documents, _EcsDocuments):
        return _ecs_schemas(documents, lookups)
    indexes, sourcetypes = dict(documents.indexes), dict(documents.sourcetypes)

    def envelopes(name: str) -> Schema:
        schema = LOG_TYPES[name].splunk(indexes.get(name, documents.main_index), documents.host, lookups)
        if name in sourcetypes:
            schema = WithSourcetype(schema, sourcetypes[name])
        return schema.each(lambda of, _: schemas[of]) if isinstance(schema, ByEvent) else schema

    schemas: Mapping[str, Schema] = OnDemand({name: partial(envelopes, name) for name in LOG_TYPES})
    return schemas


def _ecs_schemas(documents: _EcsDocuments, lookups: Lookups) -> Mapping[str, Schema]:
    made = {name: partial(log_type.ecs, documents.namespace, lookups) for name, log_type in LOG_TYPES.items()}
    if documents.audit_apart:
        return OnDemand(made)

    def together() -> Schema:
        schema = LOG_TYPES[SUBSCRIPTION].ecs(documents.namespace, lookups)
        eks = eks_together(documents.namespace, lookups)
        return schema.each(lambda of, inner: eks if of == "eks" else inner) if isinstance(schema, ByEvent) else schema

    return OnDemand({**made, "eks": partial(eks_together, documents.namespace, lookups), SUBSCRIPTION: together})
