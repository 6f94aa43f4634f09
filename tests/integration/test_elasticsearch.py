"""The Elasticsearch sink against Elastic's own servers of both release lines."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec
import pytest

from shipper.delivery import Outlet, Patience
from shipper.errors import RetryableError
from shipper.metrics import Metrics
from shipper.model import Document, SendResult
from shipper.ports import Stop
from shipper.sinks.elasticsearch import ElasticsearchSink
from shipper.sinks.elasticsearch_templates import VERSION
from tests.contract.sinks import split
from tests.contract.sinks.elasticsearch import document
from tests.fakes.pipeline import MemoryDeadLetters
from tests.parts.elasticsearch import PASSWORD, READER, USER, ElasticsearchServer, elasticsearch

INGESTED = {"field": "event.ingested", "format": "strict_date_time"}


@dataclass
class Stream:
    """A data stream of its own on a shared server, and a sink for it."""

    server: ElasticsearchServer
    sink: ElasticsearchSink
    namespace: str

    @property
    def name(self) -> str:
        return f"logs-aws.cloudtrail-{self.namespace}"

    def document(self, number: int, **more: object) -> Document:
        return document(number, self.namespace, **more)

    def send(self, documents: list[Document]) -> SendResult:
        return self.sink.open(split()).send(documents)

    def set(self, **settings: object) -> None:
        answer = self.server.request("PUT", f"{self.name}/_settings", {"index": settings})
        assert answer.status == 200, answer


@pytest.fixture
def stream(elasticsearch_server: ElasticsearchServer) -> Iterator[Stream]:
    """A prepared sink and an empty data stream, on each release line."""
    with opened(elasticsearch_server) as made:
        yield made


@contextlib.contextmanager
def opened(server: ElasticsearchServer, **options: object) -> Iterator[Stream]:
    namespace = uuid.uuid4().hex[:8]
    chosen = {"compression": 1, **options}  # a host on this machine gets plain text unless asked
    sink = ElasticsearchSink("siem", [server.url], namespace=namespace, **chosen)  # type: ignore[arg-type] # options of tests
    sink.prepare()
    try:
        yield Stream(server, sink, namespace)
    finally:
        sink.close()


def test_the_first_document_makes_a_data_stream_with_our_mappings(stream):
    """Bulk create makes the data stream, by our template, with the types that SIEM content needs."""
    result = stream.send([stream.document(1, source={"ip": "203.0.113.7", "geo": {"location": {"lat": 1, "lon": 2}}})])
    assert result.delivered == 1
    found = stream.server.request("GET", f"_resolve/index/{stream.name}").body["data_streams"]
    assert [s["name"] for s in found] == [stream.name]
    fields = stream.server.request("GET", f"{stream.name}/_field_caps?fields=*").body["fields"]
    kinds = {
        "@timestamp": "date",
        "source.ip": "ip",
        "source.geo.location": "geo_point",
        "aws.cloudtrail.flattened.request_parameters": "flattened",
        "aws.cloudtrail.request_parameters.text": "text",
        "event.action": "keyword",
    }
    assert {name: next(iter(fields[name])) for name in kinds} == kinds
    settings = stream.server.request("GET", f"{stream.name}/_settings").body
    assert next(iter(settings.values()))["settings"]["index"]["codec"] == "best_compression"


def test_templates_are_installed_once_and_check_is_content(stream):
    """A second run has nothing to do, and `check` nothing to say."""
    assert stream.sink.install_templates() == []
    assert list(stream.sink.problems()) == []


def test_missing_templates_are_told_and_installed_again(stream):
    """`check` names what is missing; setting up says what it did, and what this server lacks."""
    assert stream.server.request("DELETE", "_index_template/logs-aws.vpcflow").status == 200
    problems = list(stream.sink.problems())
    assert [p.what for p in problems] == ["templates missing: logs-aws.vpcflow"]
    assert "setup elasticsearch" in problems[0].hint
    assert stream.sink.install_templates() == [f"index template logs-aws.vpcflow installed, version {VERSION}"]


def test_the_same_document_again_is_present(stream):
    """The id decides: nothing is stored twice and nothing is overwritten."""
    documents = [stream.document(n) for n in range(3)]
    stream.send(documents)
    result = stream.send([*documents, stream.document(3)])
    assert (result.delivered, result.present) == (1, 3)
    assert len(stream.server.documents(stream.name)) == 4


def test_a_mapping_conflict_is_rejected_by_position(stream):
    """The server's own words say why; the neighbours are stored."""
    result = stream.send([stream.document(0), stream.document(1, source="text"), stream.document(2)])
    assert result.delivered == 2
    assert [(r.position, r.reason) for r in result.rejected] == [(1, "document_parsing_exception")]
    assert "source" in result.rejected[0].answer


@pytest.mark.parametrize("major", ["elasticsearch9", "elasticsearch8", "opensearch"])
def test_repair_stores_a_document_that_conflicts_with_the_mapping(major, request):
    """Each server's own words name the field; the document is stored without it, and what was refused can be found."""
    with opened(request.getfixturevalue(major), repair=True) as stream:
        stream.send([stream.document(0, odd="text")])
        text, thing = stream.document(1, source="text"), stream.document(2, odd={"a": "b"})
        result = stream.send([text, stream.document(3), thing])
        # OpenSearch takes an object for a keyword, which is kept, but not indexed.
        repaired = 1 if major == "opensearch" else 2
        assert (result.delivered, result.repaired, result.rejected) == (3 - repaired, repaired, ()), result
        stored = stream.server.documents(stream.name)
        assert len(stored) == 4
        assert (stored[text.id]["unmapped"], stored[text.id]["tags"]) == ({"source": "text"}, ["mapping_conflict"])
        if major == "opensearch":
            assert stored[thing.id]["odd"] == {"a": "b"}
            return
        assert stored[thing.id]["unmapped"] == {"odd": {"a": "b"}}
        query = {"query": {"term": {"unmapped.odd.a": "b"}}}
        found = stream.server.request("POST", f"{stream.name}/_search", query).body["hits"]["hits"]
        assert [hit["_id"] for hit in found] == [thing.id]


@pytest.mark.parametrize("major", ["elasticsearch9", "elasticsearch8", "opensearch"])
def test_strict_indices_hold_each_event_once_whatever_comes_between(major, request):
    """By day, with our mappings; sent again, a document is present, though other days' indices came in between."""
    with opened(request.getfixturevalue(major), strict=True) as stream:
        old = msgspec.structs.replace(stream.document(1), time_ms=1_767_000_000_000)
        documents = [stream.document(0), old]
        assert stream.send(documents).delivered == 2
        assert stream.send([stream.document(5), *documents]).present == 2
        names = f"shipper-aws.cloudtrail-{stream.namespace}-*"
        assert len(stream.server.documents(names)) == 3
        found = stream.server.request("GET", f"{names}/_field_caps?fields=event.action,source.ip").body
        assert sorted(found["indices"]) == [names[:-1] + day for day in ("2025.12.29", "2026.01.01")]
        assert [next(iter(found["fields"][name])) for name in ("event.action", "source.ip")] == ["keyword", "ip"]
        assert stream.sink.install_templates() == []
        assert list(stream.sink.problems()) == []


@pytest.mark.parametrize("major", ["elasticsearch9", "elasticsearch8", "opensearch"])
def test_rules_can_look_back_by_the_time_of_sending(major, request):
    """`event.ingested` is a date beside the event's own fields; what is sent again keeps that of the first time."""
    now = 1_768_471_200.5
    with opened(request.getfixturevalue(major), clock=lambda: now) as stream:
        stream.send([stream.document(0, event={"action": "first"})])
        now = 1_768_471_900.0
        assert stream.send([stream.document(0, event={"action": "first"})]).present == 1
        stream.server.request("POST", f"{stream.name}/_refresh")
        wanted = [
            {"range": {"event.ingested": {"lte": "2026-01-15T10:00:00.500Z"}}},
            {"term": {"event.action": "first"}},
        ]
        query = {"query": {"bool": {"filter": wanted}}, "docvalue_fields": [INGESTED]}
        hits = stream.server.request("POST", f"{stream.name}/_search", query).body["hits"]["hits"]
        assert [hit["fields"]["event.ingested"] for hit in hits] == [["2026-01-15T10:00:00.500Z"]]


def test_a_document_without_a_time_is_rejected(stream):
    """A data stream needs @timestamp; the others of the batch are stored."""
    bad = stream.document(1)
    bad = Document(bad.id, bad.index, bad.time_ms, b'{"n":1}', bad.record, bad.origin)
    result = stream.send([stream.document(0), bad])
    assert result.delivered == 1
    assert [r.position for r in result.rejected] == [1]


def test_malformed_values_do_not_cost_the_document(stream):
    """An address that is none, or a number that is none, is kept in the source and left out of the index."""
    result = stream.send([stream.document(1, source={"ip": "not an address", "port": "many"})])
    assert result.delivered == 1
    source = next(iter(stream.server.documents(stream.name).values()))["source"]
    assert source == {"ip": "not an address", "port": "many"}


def test_long_and_deep_parameters_are_stored(stream):
    """Values over Lucene's term limit, deep nesting and thousands of names neither fail nor explode the mapping."""
    deep: object = "leaf"
    for level in range(40):
        deep = {f"k{level}": deep}
    flattened = {"long": "é" * 40_000, "deep": deep, "wide": {f"name{n}": n for n in range(5000)}}
    aws = {"cloudtrail": {"request_parameters": "ü" * 60_000, "flattened": {"request_parameters": flattened}}}
    result = stream.send([stream.document(1, aws=aws, message="w" * 100_000, event={"original": "o" * 200_000})])
    assert (result.delivered, result.rejected) == (1, ())
    fields = stream.server.request("GET", f"{stream.name}/_field_caps?fields=*").body["fields"]
    assert len(fields) < 1000


def test_thousands_of_unknown_fields_cannot_explode_the_mapping(stream):
    """Beyond the limit they are kept in the source, and the document is delivered."""
    result = stream.send([stream.document(1, surprise={f"field{n}": "x" for n in range(3000)})])
    assert result.delivered == 1
    fields = stream.server.request("GET", f"{stream.name}/_field_caps?fields=*").body["fields"]
    assert len(fields) < 2500


@pytest.mark.parametrize("block", ["write", "read_only_allow_delete"])
def test_a_blocked_index_waits_for_a_person_and_goes_on_afterwards(stream, block):
    """A read-only or full index rejects nothing: the documents are left to be sent again."""
    stream.send([stream.document(0)])
    stream.set(blocks={block: True})
    result = stream.send([stream.document(1), stream.document(2)])
    assert (result.retry, result.paused, result.rejected) == ((0, 1), True, ())
    assert "blocked" in result.retry_reason
    stream.set(blocks={block: None})
    assert stream.send([stream.document(1), stream.document(2)]).delivered == 2


def test_a_stream_without_template_never_becomes_a_plain_index(stream):
    """Where no template matches, an index would lose mappings and lifecycle unnoticed: it is an alarm instead."""
    other = stream.document(1)
    other = Document(other.id, "other-stream", other.time_ms, other.body, other.record, other.origin)
    result = stream.send([other])
    assert (result.retry, result.paused) == ((0,), True)
    assert stream.server.request("GET", "_resolve/index/other-stream*").body["indices"] == []


@pytest.fixture(scope="module")
def small_server() -> Iterator[ElasticsearchServer]:
    """Elasticsearch 9 with little room: 1 MB a request, 600 kB of indexing memory."""
    settings = {"http.max_content_length": "1mb", "indexing_pressure.memory.limit": "600kb"}
    with elasticsearch("9", settings) as server:
        yield server


def test_a_request_over_the_servers_limit_is_too_large(small_server):
    """413: all positions are named, to be sent in halves."""
    with opened(small_server) as stream:
        result = stream.send([stream.document(n, message="x" * 400_000) for n in range(4)])
        assert (result.too_large, result.retry) == (True, (0, 1, 2, 3))
        assert stream.send([stream.document(0, message="x" * 100_000)]).delivered == 1


def test_a_single_document_over_the_servers_limit_is_rejected(small_server):
    """It could never be delivered."""
    with opened(small_server) as stream:
        result = stream.send([stream.document(0, message="x" * 1_500_000)])
        assert [r.position for r in result.rejected] == [0]


def test_a_batch_over_a_nodes_indexing_memory_is_delivered_in_parts(small_server):
    """A node that can never take the batch as a whole is given halves until it does; each is stored once."""
    with opened(small_server) as stream:
        documents = [stream.document(n, message="x" * 2500) for n in range(300)]
        pending, halved = [documents], 0
        while pending:
            batch = pending.pop()
            result = stream.send(batch)
            halved += result.too_large
            if result.too_large:
                pending += [batch[: len(batch) // 2], batch[len(batch) // 2 :]]
        assert halved
        assert set(small_server.documents(stream.name)) == {d.id for d in documents}


def test_kill_9_in_mid_bulk_loses_and_doubles_nothing(small_server):
    """Acknowledged documents survive a crash; with delivery's retries, all arrive once, whatever was on its way."""
    server = small_server
    with opened(server, request_timeout_seconds=5) as stream:
        documents = [stream.document(n) for n in range(6_000)]
        outlets = [outlet(stream) for _ in range(4)]
        halfway = threading.Barrier(len(outlets) + 1)

        def deliver(thread: int) -> None:
            mine = documents[thread :: len(outlets)]
            for number, start in enumerate(range(0, len(mine), 300)):
                if number == 2:
                    halfway.wait(60)
                outlets[thread].send(mine[start : start + 300])

        with ThreadPoolExecutor(len(outlets)) as pool:
            running = [pool.submit(deliver, thread) for thread in range(len(outlets))]
            halfway.wait(60)
            server.kill()
            before = sum(o.tally.delivered for o in outlets)
            server.start()
            for one in running:
                one.result(120)
        assert before >= 4 * 2 * 300
        assert sum(o.tally.accounted for o in outlets) == len(documents)
        assert sum(o.tally.dead_lettered for o in outlets) == 0
        server.request("POST", f"{stream.name}/_refresh")
        assert server.request("GET", f"{stream.name}/_count").body["count"] == len(documents)
        again = stream.send(documents[:300])
        assert (again.delivered, again.present) == (0, 300)


class ImpatientStop(Stop):
    """Waits a fifth of a second at most, so that the test does not outlast the restart by much."""

    def wait(self, seconds: float) -> None:
        super().wait(min(seconds, 0.2))


def outlet(stream: Stream) -> Outlet:
    delivery = stream.sink.open(split())
    parts = {"dead_letters": MemoryDeadLetters(), "metrics": Metrics(), "stop": ImpatientStop(), "patience": Patience()}
    return Outlet("siem", delivery, split(), **parts)  # type: ignore[arg-type] # named above


@pytest.fixture(scope="module")
def secure_server() -> Iterator[ElasticsearchServer]:
    """Elasticsearch 9 with TLS and users."""
    with elasticsearch("9", secure=True) as server:
        yield server


def test_tls_and_basic_auth_deliver(secure_server):
    """With the cluster's certificate and a user who may."""
    options = {"ca_certs": str(secure_server.ca_certs), "basic_auth": (USER, PASSWORD)}
    with opened(secure_server, **options) as stream:
        assert stream.send([stream.document(1)]).delivered == 1
        assert list(stream.sink.problems()) == []


def test_a_fingerprint_is_enough_to_trust_a_server(secure_server):
    """As Elasticsearch prints it at its first start."""
    options = {"ssl_assert_fingerprint": secure_server.fingerprint, "basic_auth": (USER, PASSWORD)}
    with opened(secure_server, **options) as stream:
        assert stream.send([stream.document(1)]).delivered == 1


def test_an_unknown_certificate_is_told_and_never_trusted(secure_server):
    """An alarm, with the way out; nothing is sent."""
    sink = ElasticsearchSink("siem", [secure_server.url], basic_auth=(USER, PASSWORD))
    with pytest.raises(RetryableError) as caught:
        sink.prepare()
    assert caught.value.paused
    problems = list(sink.problems())
    assert len(problems) == 1
    assert "ca_certs" in problems[0].hint
    sink.close()


def test_bad_credentials_are_told(secure_server):
    """401: an alarm for the daemon, a problem with a hint for check; the password is not in the message."""
    wrong = (USER, "wrong-password")
    sink = ElasticsearchSink("siem", [secure_server.url], ca_certs=str(secure_server.ca_certs), basic_auth=wrong)
    with pytest.raises(RetryableError) as caught:
        sink.open(split()).send([document(1)])
    assert caught.value.paused
    problems = list(sink.problems())
    assert ["401" in p.what for p in problems] == [True]
    assert "wrong-password" not in str(problems) + str(caught.value)
    sink.close()


def test_lacking_privileges_are_told_and_no_document_is_given_up(secure_server):
    """A user who may not write: check says what is lacking, the daemon warns and waits."""
    options = {"ca_certs": str(secure_server.ca_certs), "basic_auth": (READER, PASSWORD)}
    with opened(secure_server, **options) as stream:
        with pytest.raises(RetryableError) as caught:
            stream.send([stream.document(1)])
        assert caught.value.paused
        whats = " ".join(p.what for p in stream.sink.problems())
        assert "create_doc" in whats


def test_an_unreachable_server_is_a_problem_with_a_hint():
    """Check names the sink and what to look at."""
    sink = ElasticsearchSink("siem", ["http://127.0.0.1:1"])
    problems = list(sink.problems())
    assert [(p.where, p.serious) for p in problems] == [("sinks.siem", True)]
    assert "hosts" in problems[0].hint
