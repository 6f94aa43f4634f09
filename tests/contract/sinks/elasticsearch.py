"""Elasticsearch for the sinks' contract: a fake over HTTP, and Elastic's own servers."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from shipper.model import Document, Origin, Record, document_id
from shipper.sinks.elasticsearch import ElasticsearchSink
from tests.contract.sinks import SinkCase
from tests.fakes.elasticsearch import Bulk, FakeElasticsearch, Reply, bulk_reply, failure
from tests.parts.search_server import SearchServer


def document(number: int, namespace: str = "default", **more: object) -> Document:
    """A small CloudTrail-like ECS document; its id depends on its number alone."""
    body = {"@timestamp": "2026-01-01T00:00:00Z", "event": {"id": str(number)}, **more}
    time_ms = 1_767_225_600_000 + number
    record = Record(b'{"eventID":"%d"}' % number, number)
    index = f"logs-aws.cloudtrail-{namespace}"
    return Document(document_id(time_ms, str(number)), index, time_ms, orjson.dumps(body), record, Origin("s3://b/k"))


def fake(request: pytest.FixtureRequest, folder: Path) -> Iterator[SinkCase]:
    """The fake."""
    with FakeElasticsearch() as server:
        sink = ElasticsearchSink("siem", [server.url], request_timeout_seconds=5)

        @contextlib.contextmanager
        def outage() -> Iterator[None]:
            server.down = True
            yield
            server.down = False

        def poison(number: int) -> Document:
            def refuse(fake: FakeElasticsearch, bulk: Bulk) -> Reply:
                good = [line for line in bulk.lines if b'"poison"' not in line[2]]
                items = iter(fake.create(Bulk(bulk.path, bulk.headers, good)))
                bad = failure(400, "document_parsing_exception", "not an object")
                return bulk_reply([bad if b'"poison"' in line[2] else next(items) for line in bulk.lines])

            server.script = [refuse]
            return document(number, source="poison")

        yield SinkCase(sink, document, lambda: dict(server.writes), poison, outage)
        sink.close()


def real9(request: pytest.FixtureRequest, folder: Path) -> Iterator[SinkCase]:
    """Elasticsearch 9."""
    yield from _real(request.getfixturevalue("elasticsearch9"))


def real8(request: pytest.FixtureRequest, folder: Path) -> Iterator[SinkCase]:
    """Elasticsearch 8."""
    yield from _real(request.getfixturevalue("elasticsearch8"))


def opensearch(request: pytest.FixtureRequest, folder: Path) -> Iterator[SinkCase]:
    """OpenSearch 2."""
    yield from _real(request.getfixturevalue("opensearch"))


def _real(server: SearchServer) -> Iterator[SinkCase]:
    namespace = uuid.uuid4().hex[:8]
    sink = ElasticsearchSink("siem", [server.url], namespace=namespace)

    def stored() -> dict[str, int]:
        return dict.fromkeys(server.documents(f"logs-aws.cloudtrail-{namespace}"), 1)

    def good(number: int) -> Document:
        return document(number, namespace)

    def poison(number: int) -> Document:
        return document(number, namespace, source="an object is wanted here")

    yield SinkCase(sink, good, stored, poison)
    sink.close()
