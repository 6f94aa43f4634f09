"""The Elasticsearch sink against a server that misbehaves, over HTTP: nothing lost, nothing stored twice."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator

import msgspec
import orjson
import pytest
from prometheus_client import generate_latest

from shipper.errors import ConfigError, RetryableError
from shipper.metrics import Metrics
from shipper.model import Document
from shipper.sinks.elasticsearch import ElasticsearchSink
from shipper.sinks.elasticsearch_delivery import ElasticsearchDelivery
from shipper.sinks.elasticsearch_templates import VERSION
from tests.contract.sinks import split
from tests.contract.sinks.elasticsearch import document
from tests.fakes.elasticsearch import (
    Bulk,
    FakeElasticsearch,
    Reply,
    Step,
    answering,
    bulk_reply,
    failure,
    items_changed,
    refusing,
)

DOCUMENTS = [document(n) for n in range(6)]


@pytest.fixture
def server() -> Iterator[FakeElasticsearch]:
    """A fake of its own for each test."""
    with FakeElasticsearch() as fake:
        yield fake


@contextlib.contextmanager
def delivering(server: FakeElasticsearch, **options: object) -> Iterator[ElasticsearchDelivery]:
    sink = ElasticsearchSink("siem", [server.url], **{"request_timeout_seconds": 0.5, **options})  # type: ignore[arg-type] # options of tests
    try:
        yield sink.open(split())
    finally:
        sink.close()


def assert_stored_once(server: FakeElasticsearch, documents: list[Document]) -> None:
    assert server.writes == {d.id: 1 for d in documents}
    assert {id_: _as_made(body) for (_, id_), body in server.stored.items()} == {d.id: d.body for d in documents}


def _as_made(body: bytes) -> bytes:
    """A stored document without the moment at which it was sent, which stands before all else."""
    sent, rest = body[: len(SENT)], body[len(SENT) :]
    assert sent.startswith(b'{"event.ingested":"20'), body
    return b"{" + rest


SENT = b'{"event.ingested":"2026-11-25T05:07:22.790Z",'
HALF = b'{"errors":false,"items":[{"create":{"status":201}},'
AMBIGUOUS: dict[str, Step] = {
    "reset before storing": answering(Reply(reset=True)),
    "reset after storing": answering(Reply(reset=True), store=True),
    "no answer in time": answering(Reply(stall_seconds=5), store=True),
    "half of the answer": answering(Reply(body=HALF), store=True),
    "connection closed in mid-answer": answering(Reply(body=HALF, headers={"content-length": "1000"}), store=True),
    "empty answer": answering(Reply(body=b""), store=True),
    "a page with status 200": answering(Reply(body=b"<html>sign in</html>", content_type="text/html")),
    "one item missing": items_changed(lambda items: items[:-1]),
    "all items missing": items_changed(lambda items: []),
    "one item too many": items_changed(lambda items: [*items, items[-1]]),
    "bad gateway": answering(Reply(502, b"<html>", "text/html"), store=True),
    "service unavailable": answering(Reply(503, b"")),
    "gateway timeout": answering(Reply(504, b"gateway timeout", "text/plain"), store=True),
}


@pytest.mark.parametrize("fault", AMBIGUOUS)
def test_an_ambiguous_answer_is_an_error_and_sending_again_makes_it_whole(server, fault):
    """Whether the server stored the batch or not, afterwards each document is stored exactly once."""
    server.script = [AMBIGUOUS[fault]]
    with delivering(server) as delivery:
        with pytest.raises(RetryableError) as caught:
            delivery.send(DOCUMENTS)
        assert not caught.value.paused
        result = delivery.send(DOCUMENTS)
    assert result.delivered + result.present == len(DOCUMENTS)
    assert_stored_once(server, DOCUMENTS)


def test_answers_are_told_by_position_even_where_ids_contradict(server):
    """An answer's order is the request's order; ids in it are not believed."""
    server.script = [refusing(4, 400, "document_parsing_exception")]
    with delivering(server) as delivery:
        result = delivery.send(DOCUMENTS)
    assert [r.position for r in result.rejected] == [4]
    assert_stored_once(server, DOCUMENTS[:4] + DOCUMENTS[5:])


@pytest.mark.parametrize(("status", "kind"), [(429, "es_rejected_execution_exception"), (503, "unavailable_shards")])
def test_single_documents_are_sent_again_and_their_neighbours_are_not(server, status, kind):
    """Item-level refusals name the positions that are left."""
    server.script = [refusing(2, status, kind)]
    with delivering(server) as delivery:
        first = delivery.send(DOCUMENTS)
        second = delivery.send([DOCUMENTS[i] for i in first.retry])
    assert (first.delivered, first.retry, second.delivered) == (5, (2,), 1)
    assert_stored_once(server, DOCUMENTS)


def test_a_request_with_too_many_bytes_says_so(server):
    """413, as a proxy with its own page sends it, is for delivery to halve."""
    server.script = [answering(Reply(413, b"<html>Request Entity Too Large</html>", "text/html"))]
    with delivering(server) as delivery:
        result = delivery.send(DOCUMENTS)
    assert result.too_large
    assert result.retry == tuple(range(6))


def test_the_wait_that_the_server_asks_for_is_passed_on(server):
    """Retry-After reaches the retry loop."""
    server.script = [answering(Reply(429, b"{}", headers={"retry-after": "7"}))]
    with delivering(server) as delivery, pytest.raises(RetryableError) as caught:
        delivery.send(DOCUMENTS)
    assert caught.value.retry_after == 7


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_wait_for_a_person_and_give_no_document_up(server, status):
    """They are an alarm, and the documents stay to be sent."""
    server.script = [answering(Reply(status, b'{"error":{"type":"security_exception","reason":"no"}}'))]
    with delivering(server) as delivery, pytest.raises(RetryableError) as caught:
        delivery.send(DOCUMENTS)
    assert caught.value.paused


def test_servers_that_do_not_know_how_to_require_a_data_stream_are_served(server):
    """Elasticsearch before 8.13 and OpenSearch refuse the parameter; it is left out from then on."""
    reason = "request [/_bulk] contains unrecognized parameter: [require_data_stream]"
    refusal = Reply(400, b'{"error":{"type":"illegal_argument_exception","reason":"%s"}}' % reason.encode())
    server.script = [answering(refusal)]
    with delivering(server) as delivery:
        assert delivery.send(DOCUMENTS[:3]).delivered == 3
        assert delivery.send(DOCUMENTS[3:]).delivered == 3
    asked = ["require_data_stream" in request.path for request in server.requests]
    assert asked == [True, False, False]


@pytest.mark.parametrize("compression", [None, 0, 1, 3])
def test_bodies_arrive_whole_however_they_are_compressed(server, compression):
    """Plain (on this machine, or where asked for) or gzip: the server sees the same bytes."""
    with delivering(server, compression=compression) as delivery:
        delivery.send(DOCUMENTS)
    assert_stored_once(server, DOCUMENTS)
    assert ("content-encoding" in server.requests[0].headers) is bool(compression)


def test_credentials_travel_in_the_header(server):
    """An API key, a token, or a user with a password."""
    for options in ({"api_key": "a2V5"}, {"bearer_auth": "tok"}, {"basic_auth": ("u", "p")}):
        with delivering(server, **options) as delivery:
            delivery.send(DOCUMENTS[:1])
    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["ApiKey a2V5", "Bearer tok", "Basic dTpw"]


def test_what_went_into_a_failure_store_is_counted(server):
    """The documents are no success: the metric tells how many there were, and each is refused with that reason."""

    def step(fake: FakeElasticsearch, request: Bulk) -> Reply:
        return bulk_reply([item | {"failure_store": "used"} for item in fake.create(request)])

    server.script = [step]
    metrics = Metrics()
    with delivering(server, metrics=metrics) as delivery:
        result = delivery.send(DOCUMENTS)
    assert (result.delivered, {r.reason for r in result.rejected}) == (0, {"failure_store"})
    assert b'shipper_failure_store_documents_total{sink="siem"} 6.0' in generate_latest(metrics.registry)


def test_another_node_is_asked_when_one_is_down(server):
    """Of two hosts one is gone: at most one attempt fails, then all go to the other."""
    with socket.socket() as gone:
        gone.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        sink = ElasticsearchSink("siem", [f"http://127.0.0.1:{gone.getsockname()[1]}", server.url])
        failures = 0
        for wanted in DOCUMENTS:
            try:
                sink.open(split()).send([wanted])
            except RetryableError:
                failures += 1
                sink.open(split()).send([wanted])
        sink.close()
    assert failures <= 1
    assert_stored_once(server, DOCUMENTS)


def test_requests_are_spread_over_the_hosts_and_one_that_comes_back_is_used_again():
    """Each host has its own breaker: one that answers 503 rests, the others go on, and later it takes its share."""
    with FakeElasticsearch() as one, FakeElasticsearch() as other:
        sink = ElasticsearchSink("siem", [one.url, other.url])
        documents = [document(n) for n in range(12)]
        for wanted in documents[:4]:
            sink.open(split()).send([wanted])
        assert (len(one.requests), len(other.requests)) == (2, 2)
        one.script = [answering(Reply(503, b""))]
        failures = 0
        for wanted in documents[4:8]:
            try:
                sink.open(split()).send([wanted])
            except RetryableError:
                failures += 1
                sink.open(split()).send([wanted])
        assert failures == 1
        assert len(one.requests) == 3, "it rests"
        other.down = True
        for wanted in documents[8:]:
            while True:  # with both at rest, the one whose rest ends first is asked again
                with contextlib.suppress(RetryableError):
                    sink.open(split()).send([wanted])
                    break
        sink.close()
        assert one.writes + other.writes == {d.id: 1 for d in documents}
        assert len(one.requests) >= 7, "it took its share again"


def test_repair_moves_a_refused_field_aside_and_counts_it_apart(server):
    """Refused for a type, the document is stored under the same id without the field, tagged; others stay refused."""
    words = "[1:9] object mapping for [source] tried to parse field [source] as object, but found a concrete value"

    def refuse(fake: FakeElasticsearch, request: Bulk) -> Reply:
        bad = {1: failure(400, "document_parsing_exception", words), 2: failure(400, "illegal_argument_exception", "x")}
        good = [line for position, line in enumerate(request.lines) if position not in bad]
        items = iter(fake.create(Bulk(request.path, request.headers, good)))
        return bulk_reply([bad.get(position) or next(items) for position in range(len(request.lines))])

    documents = [document(n, source="text") for n in range(4)]
    server.script = [refuse]
    with delivering(server, repair=True) as delivery:
        result = delivery.send(documents)
    assert (result.delivered, result.repaired, result.retry) == (2, 1, ())
    assert [r.position for r in result.rejected] == [2]
    stored = {id_: orjson.loads(body) for (_, id_), body in server.stored.items()}
    assert stored[documents[1].id]["unmapped"] == {"source": "text"}
    assert stored[documents[1].id]["tags"] == ["mapping_conflict"]
    assert server.writes == {documents[n].id: 1 for n in (0, 1, 3)}


def test_a_repair_without_an_answer_is_made_again(server):
    """The documents are to be sent as they were; repaired again they are found present."""
    words = "object mapping for [source] tried to parse field [source] as object, but found a concrete value"

    def refuse(fake: FakeElasticsearch, request: Bulk) -> Reply:
        return bulk_reply([failure(400, "document_parsing_exception", words)] * len(request.lines))

    documents = [document(n, source="text") for n in range(2)]
    server.script = [refuse, answering(Reply(reset=True), store=True), refuse]
    with delivering(server, repair=True) as delivery:
        first = delivery.send(documents)
        assert (first.retry, first.rejected, first.repaired) == ((0, 1), (), 0)
        second = delivery.send(documents)
    assert (second.present, second.repaired) == (2, 0)
    assert server.writes == {d.id: 1 for d in documents}


def test_strict_indices_are_named_by_the_events_own_day(server):
    """Whenever an event is sent, it goes to one index, and no data stream is required."""
    late = msgspec.structs.replace(document(7), time_ms=1_767_225_599_999)
    with delivering(server, strict=True) as delivery:
        assert delivery.send([document(1), late]).delivered == 2
        assert delivery.send([late, document(1)]).present == 2
    assert {index for index, _ in server.stored} == {
        "shipper-aws.cloudtrail-default-2026.01.01",
        "shipper-aws.cloudtrail-default-2025.12.31",
    }
    assert "require_data_stream" not in server.requests[0].path


def test_a_busy_answer_asks_for_less(server):
    """A request refused with 429 is what shrinks batches; a reset is not."""
    server.script = [answering(Reply(429, b"{}")), answering(Reply(reset=True))]
    with delivering(server) as delivery:
        for busy in (True, False):
            with pytest.raises(RetryableError) as caught:
                delivery.send(DOCUMENTS)
            assert caught.value.busy is busy


def test_slow_answers_of_one_thread_do_not_hold_up_another(server):
    """Deliveries have connections of their own."""
    server.script = [answering(Reply(stall_seconds=5))]
    with delivering(server, request_timeout_seconds=10) as delivery:
        sender = threading.Thread(target=_send_quietly, args=(delivery, DOCUMENTS[:1]))
        sender.start()
        assert server.arrived.wait(5)
        assert delivery.send(DOCUMENTS[1:]).delivered == 5
        server.stopping.set()
        sender.join()


def _send_quietly(delivery: ElasticsearchDelivery, documents: list[Document]) -> None:
    with contextlib.suppress(RetryableError):
        delivery.send(documents)


@pytest.mark.parametrize("hosts", [[], ["nonsense"], ["ftp://x"]])
def test_hosts_that_cannot_be_used_are_a_mistake_of_the_configuration(hosts):
    """Said by prepare and by check, with a hint."""
    sink = ElasticsearchSink("siem", hosts)
    with pytest.raises(ConfigError):
        sink.prepare()
    assert [p.where for p in sink.problems()] == ["sinks.siem"]


def test_certificates_that_cannot_be_read_are_a_mistake_of_the_configuration(tmp_path):
    """A missing CA file is told at start, not at the first batch."""
    sink = ElasticsearchSink("siem", ["https://127.0.0.1:1"], ca_certs=str(tmp_path / "none.pem"))
    with pytest.raises(ConfigError):
        sink.prepare()


def test_templates_of_an_integration_are_left_alone(server):
    """Where a template of our name is someone else's, ours is put under another name, with its higher priority."""
    server.templates["/_index_template/logs-aws.cloudtrail"] = {"_meta": {"managed_by": "fleet"}, "priority": 200}
    sink = ElasticsearchSink("siem", [server.url])
    sink.install_templates()
    assert server.templates["/_index_template/logs-aws.cloudtrail"]["priority"] == 200
    assert server.templates["/_index_template/shipper-logs-aws.cloudtrail"]["priority"] == 250
    assert sink.install_templates() == []
    assert list(sink.problems()) == []
    sink.close()


def test_old_templates_are_replaced_and_newer_ones_kept(server):
    """`check` tells of old ones; a newer program's templates are not undone."""
    sink = ElasticsearchSink("siem", [server.url])
    sink.install_templates()
    server.templates["/_index_template/logs-aws"]["_meta"]["version"] = 0
    server.templates["/_index_template/logs-aws.vpcflow"]["_meta"]["version"] = 999
    assert [p.what for p in sink.problems()] == ["templates older than this program: logs-aws"]
    assert sink.install_templates() == [
        f"index template logs-aws installed, version {VERSION}, in force from the next rollover on"
    ]
    assert server.templates["/_index_template/logs-aws.vpcflow"]["_meta"]["version"] == 999
    sink.close()


def test_a_server_with_ilm_gets_a_policy_that_is_never_overwritten(server):
    """The policy rolls over and deletes nothing; what an operator makes of it stays."""
    server.answers["/_ilm/status"] = Reply(body=b'{"operation_mode":"RUNNING"}')
    sink = ElasticsearchSink("siem", [server.url])
    assert sink.install_templates()[0] == "ILM policy shipper-logs installed"
    assert "delete" not in server.templates["/_ilm/policy/shipper-logs"]["policy"]["phases"]
    settings = server.templates["/_component_template/shipper-logs@settings"]["template"]["settings"]
    assert settings["index"]["lifecycle.name"] == "shipper-logs"
    server.templates["/_ilm/policy/shipper-logs"] = {"mine": True}
    assert sink.install_templates() == []
    assert server.templates["/_ilm/policy/shipper-logs"] == {"mine": True}
    sink.close()


def test_templates_that_the_daemon_may_not_install_are_a_serious_problem(server):
    """With credentials that may install them, the first run will: then it is only a remark."""
    sink = ElasticsearchSink("siem", [server.url])
    assert [p.serious for p in sink.problems()] == [False]
    rights = (
        b'{"has_all_requested":false,"cluster":{"manage_index_templates":false},'
        b'"index":{"logs-aws.cloudtrail-default":{"create_doc":true,"auto_configure":false}}}'
    )
    server.answers["/_security/user/_has_privileges"] = Reply(body=rights)
    problems = list(sink.problems())
    assert [p.serious for p in problems] == [True, True]
    assert "auto_configure" in problems[0].what
    assert "manage_index_templates" in problems[1].hint
    sink.close()


def test_a_key_that_may_not_write_audit_events_of_eks_is_a_remark(server):
    """Not every configuration has any; and none where the key keeps them with the other logs of EKS."""
    may = {"create_doc": True, "auto_configure": True}
    names = {"logs-aws.cloudtrail-default": may, "logs-kubernetes.audit_logs-default": {**may, "create_doc": False}}
    rights = {"cluster": {"manage_index_templates": True}, "index": names}
    server.answers["/_security/user/_has_privileges"] = Reply(body=json.dumps(rights).encode())
    for audit_apart in (True, False):
        sink = ElasticsearchSink("siem", [server.url], audit_apart=audit_apart)
        sink.install_templates()
        found = [(p.what, p.serious) for p in sink.problems() if "lack" in p.what]
        what = "the credentials lack create_doc on logs-kubernetes.audit_logs-default, where audit events of EKS go"
        assert found == ([(what, False)] if audit_apart else [])
        sink.close()


@pytest.mark.parametrize(
    ("version", "supported"),
    [
        (b'{"number":"7.17.0"}', False),
        (b'{"number":"8.0.0"}', True),
        (b'{"number":"9.5.3"}', True),
        (b'{"number":"1.3.0","distribution":"opensearch"}', False),
        (b'{"number":"2.19.1","distribution":"opensearch"}', True),
    ],
)
def test_versions_that_are_too_old_are_told(server, version, supported):
    """`check` names the version and what would do."""
    server.answers["/"] = Reply(body=b'{"version":%s}' % version)
    sink = ElasticsearchSink("siem", [server.url])
    sink.install_templates()
    assert len(list(sink.problems())) == (0 if supported else 1)
    sink.close()


def test_a_busy_server_is_asked_again_for_its_templates(server):
    """Prepare raises what its caller waits for, not a mistake of the configuration."""
    server.answers["/_component_template/shipper-logs@settings"] = Reply(503, b"{}")
    sink = ElasticsearchSink("siem", [server.url])
    with pytest.raises(RetryableError):
        sink.prepare()
    sink.close()


def test_rejections_are_not_confused_with_retries(server):
    """A batch with every kind of end is accounted for in full."""

    def step(fake: FakeElasticsearch, request: Bulk) -> Reply:
        kept = Bulk(request.path, request.headers, request.lines[:2])
        rest = [failure(400, "mapper_parsing_exception", "no"), failure(429, "es_rejected_execution_exception")]
        return bulk_reply([*fake.create(kept), *rest, failure(409, "version_conflict_engine_exception"), rest[0]])

    server.script = [step]
    with delivering(server) as delivery:
        result = delivery.send(DOCUMENTS)
    assert (result.delivered, result.present, result.retry) == (2, 1, (3,))
    assert [r.position for r in result.rejected] == [2, 5]
