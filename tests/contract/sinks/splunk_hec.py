"""Splunk's HTTP Event Collector for the sinks' contract: a strict fake over HTTP."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from shipper.model import Document, Origin, Record, document_id
from shipper.sinks.splunk_hec import SplunkHecSink
from shipper.sinks.splunk_hec_acks import AckPolicy
from shipper.sinks.splunk_hec_connection import HecServers
from tests.contract.sinks import SinkCase
from tests.fakes.splunk_hec import TOKEN, FakeSplunk


def document(number: int, fields: object = None, **envelope: object) -> Document:
    """A small HEC envelope; its id depends on its number alone."""
    time_ms = 1_767_225_600_000 + number
    key = document_id(time_ms, str(number))
    raw = b'{"eventID":"%d"}' % number
    body = {
        "time": time_ms / 1000,
        "source": "s3://b/k",
        "sourcetype": "aws:cloudtrail",
        "event": {"eventID": str(number)},
        "fields": {"event_uid": key} if fields is None else fields,
    }
    return Document(key, "", time_ms, orjson.dumps(body | envelope), Record(raw, number), Origin("s3://b/k"))


def poison(number: int) -> Document:
    """An envelope that Splunk refuses: its indexed fields are nested."""
    return document(number, {"nested": {"a": 1}})


def received(request: pytest.FixtureRequest, folder: Path) -> Iterator[SinkCase]:
    """Without acknowledgement."""
    yield from _collector(None)


def acknowledged(request: pytest.FixtureRequest, folder: Path) -> Iterator[SinkCase]:
    """With indexer acknowledgement."""
    yield from _collector(AckPolicy(timeout_seconds=5, poll_seconds=0.05))


def whole_batches(request: pytest.FixtureRequest, folder: Path) -> Iterator[SinkCase]:
    """The dialect that refuses a batch whole: one attempt cannot name its bad event, delivery's halves find it."""
    yield from _collector(AckPolicy(timeout_seconds=5, poll_seconds=0.05), whole_batches=True)


def _collector(ack: AckPolicy | None, *, whole_batches: bool = False) -> Iterator[SinkCase]:
    with FakeSplunk() as server:
        server.whole_batches = whole_batches
        server.max_content_length = 20 << 20 if whole_batches else server.max_content_length
        server.tokens[TOKEN].ack = ack is not None
        sink = SplunkHecSink("splunk", HecServers([server.url], TOKEN, request_timeout_seconds=5), ack=ack)

        @contextlib.contextmanager
        def outage() -> Iterator[None]:
            server.down = True
            yield
            server.down = False

        bad = None if whole_batches else poison
        yield SinkCase(sink, document, lambda: dict(server.stored), bad, outage, deduplicates=False)
        sink.close()
