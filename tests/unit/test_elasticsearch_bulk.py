"""The bulk request's body, and the account of its answer."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.errors import RetryableError
from shipper.model import Document, Origin, Record
from shipper.sinks.elasticsearch_bulk import Verdict, bulk_body, classify, read_answer, strict_index
from shipper.sinks.elasticsearch_connection import Answer


def documents(count: int, index: str = "logs-aws.cloudtrail-default") -> list[Document]:
    return [Document(f"id{n}", index, n, b'{"n":%d}' % n, Record(b"{}", n), Origin("s3://b/k")) for n in range(count)]


def answer(*items: dict[str, Any], status: int = 200, **more: object) -> Answer:
    body = {"errors": any("error" in i for i in items), "items": [{"create": i} for i in items], **more}
    return Answer(status, None, orjson.dumps(body))


def failure(status: int, kind: str, reason: str = "because", **more: object) -> dict[str, Any]:
    return {"status": status, "error": {"type": kind, "reason": reason, **more}}


STORED = {"status": 201}
REFUSED = {"error": {"type": "x", "reason": "because"}}


@pytest.mark.parametrize(
    ("status", "kind", "verdict"),
    [
        (200, "", Verdict.STORED),
        (201, "", Verdict.STORED),
        (409, "version_conflict_engine_exception", Verdict.PRESENT),
        (429, "es_rejected_execution_exception", Verdict.RETRY),
        (429, "circuit_breaking_exception", Verdict.RETRY),
        (500, "illegal_state_exception", Verdict.RETRY),
        (503, "unavailable_shards_exception", Verdict.RETRY),
        (504, "", Verdict.RETRY),
        (408, "", Verdict.RETRY),
        (401, "security_exception", Verdict.PAUSE),
        (403, "security_exception", Verdict.PAUSE),
        (403, "cluster_block_exception", Verdict.PAUSE),
        (429, "cluster_block_exception", Verdict.PAUSE),
        (400, "index_closed_exception", Verdict.PAUSE),
        (404, "index_not_found_exception", Verdict.PAUSE),
        (413, "", Verdict.TOO_LARGE),
        (400, "document_parsing_exception", Verdict.REJECT),
        (400, "mapper_parsing_exception", Verdict.REJECT),
        (400, "illegal_argument_exception", Verdict.REJECT),
        (404, "resource_not_found_exception", Verdict.REJECT),
    ],
)
def test_each_status_has_one_verdict(status, kind, verdict):
    """The table of facts.md §3, item by item."""
    assert classify(status, kind) is verdict


def test_the_body_creates_and_never_overwrites():
    """Each document is an action line with its data stream and id, and its own bytes."""
    lines = bulk_body(documents(2)).split(b"\n")
    assert lines == [
        b'{"create":{"_index":"logs-aws.cloudtrail-default","_id":"id0"}}',
        b'{"n":0}',
        b'{"create":{"_index":"logs-aws.cloudtrail-default","_id":"id1"}}',
        b'{"n":1}',
        b"",
    ]


def test_the_body_says_when_it_was_sent():
    """For rules that look back by that time; the documents themselves stay as they were."""
    lines = bulk_body(documents(2), sent=1_768_471_200.5).split(b"\n")
    assert [orjson.loads(line) for line in lines[1:-1:2]] == [
        {"event.ingested": "2026-01-15T10:00:00.500Z", "n": number} for number in range(2)
    ]
    assert [document.body for document in documents(2)] == [b'{"n":0}', b'{"n":1}']


def test_the_body_keeps_each_documents_own_data_stream():
    """A batch may go to several data streams."""
    mixed = documents(1, "logs-a-x") + documents(1, "logs-b-x")
    actions = [orjson.loads(line) for line in bulk_body(mixed).split(b"\n")[:-1:2]]
    assert [a["create"]["_index"] for a in actions] == ["logs-a-x", "logs-b-x"]


IDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(['","', '"', "\\", "a,b", ""])


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(("sent", "begin"), [(None, b"{"), (0.5, b'{"event.ingested":"1970-01-01T00:00:00.500Z",')])
@given(parts=st.lists(st.tuples(IDS, st.sampled_from(["logs-a-x", "logs-b-x"]), st.integers(-(10**9), 10**15))))
def test_the_body_is_what_its_documents_are_one_by_one(strict, sent, begin, parts):
    """Whatever their ids, data streams and times."""
    some = [
        Document(name, index, time_ms, b'{"n":%d}' % n, Record(b"{}", n), Origin("s3://b/k"))
        for n, (name, index, time_ms) in enumerate(parts)
    ]
    indices = [strict_index(each.index, each.time_ms) if strict else each.index for each in some]
    one_by_one = b"".join(
        b'{"create":{"_index":%b,"_id":%b}}\n%b%b\n'
        % (orjson.dumps(index), orjson.dumps(each.id), begin, each.body[1:])
        for index, each in zip(indices, some, strict=True)
    )
    assert bulk_body(some, strict=strict, sent=sent) == one_by_one


@pytest.mark.parametrize("count", [1, 2, 500])
def test_an_answer_without_errors_counts_every_document(count):
    """The usual answer needs no parsing, and still is counted."""
    said = answer(*[STORED] * count)
    assert read_answer(said, documents(count), 0).result.delivered == count


def test_an_answer_that_says_more_than_usual_is_read_all_the_same():
    """Other fields, such as `took` and `_id`, change nothing."""
    said = answer({"_id": "id0", "status": 201}, {"status": 200}, took=3)
    assert read_answer(said, documents(2), 0).result.delivered == 2


def test_each_document_has_exactly_one_end():
    """Every position is in one part of the result, in order, with the server's words."""
    said = answer(
        STORED,
        failure(409, "version_conflict_engine_exception"),
        failure(400, "document_parsing_exception", caused_by={"type": "illegal_argument_exception", "reason": "not 1"}),
        failure(429, "es_rejected_execution_exception"),
        STORED,
        failure(503, "unavailable_shards_exception"),
    )
    result = read_answer(said, documents(6), 0).result
    assert (result.delivered, result.present, result.retry) == (2, 1, (3, 5))
    assert [(r.position, r.reason) for r in result.rejected] == [(2, "document_parsing_exception")]
    assert "not 1" in result.rejected[0].answer
    assert not result.paused
    assert "es_rejected_execution_exception: because" in result.retry_reason


def test_a_block_set_by_a_person_pauses():
    """A read-only index is an alarm, and no document is given up for it."""
    said = answer(STORED, failure(403, "cluster_block_exception"))
    result = read_answer(said, documents(2), 0).result
    assert (result.retry, result.paused, result.rejected) == ((1,), True, ())


def test_documents_in_a_failure_store_are_not_called_delivered():
    """They are kept, but failed: each is a dead letter, and sending it again would keep it there twice."""
    said = answer({"status": 201, "failure_store": "used"}, STORED)
    outcome = read_answer(said, documents(2), 0)
    assert (outcome.result.delivered, outcome.failure_store) == (1, 1)
    assert [(r.position, r.reason, r.stored) for r in outcome.result.rejected] == [(0, "failure_store", True)]


def test_the_servers_words_are_cut_to_a_bound():
    """A server that quotes the document does not fill the dead letters."""
    said = answer(failure(400, "document_parsing_exception", "x" * 100_000))
    assert len(read_answer(said, documents(1), 0).result.rejected[0].answer) == 1000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>please log in</html>",
        b'{"errors":false,"items":[{"create":{"status":201}}',
        b'{"errors":false,"items":[{"create":{"status":201}}]}',
        b'{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}},{"create":{"status":201}}]}',
        b'{"errors":false}',
        b'{"errors":false,"items":[]}',
        b'{"errors":false,"items":null}',
        b'{"errors":false,"items":[{},{}]}',
        b'{"errors":false,"items":[{"create":{}},{"create":{}}]}',
        b'{"errors":false,"items":[{"create":{"status":"201"}},{"create":{"status":201}}]}',
        b'{"errors":false,"items":["a","b"]}',
        b'{"errors":false,"items":[{"create":null},{"create":null}]}',
        b'{"errors":true,"items":[{"create":{"status":400,"error":"no"}},{"create":{"status":201}}]}',
        b"[]",
        b"null",
    ],
)
def test_an_answer_that_does_not_account_for_every_document_is_no_answer(body):
    """HTTP 200 alone proves nothing: all is sent again under the same ids."""
    with pytest.raises(RetryableError) as caught:
        read_answer(Answer(200, None, body), documents(2), 0)
    assert not caught.value.paused


def test_a_request_that_is_too_large_is_to_be_halved():
    """413 for several documents names them all; nothing was stored."""
    result = read_answer(Answer(413, None, b"<html>too large</html>"), documents(3), 0).result
    assert (result.too_large, result.retry, result.delivered) == (True, (0, 1, 2), 0)


def test_a_single_document_that_is_too_large_is_rejected():
    """It cannot be halved."""
    result = read_answer(Answer(413, None, b""), documents(1), 0).result
    assert [r.position for r in result.rejected] == [0]
    assert not result.too_large


PRESSURE = (
    "rejected execution of coordinating operation [coordinating_and_primary_bytes=0, replica_bytes=0, all_bytes=0, "
    "coordinating_operation_bytes={}, max_coordinating_bytes=2000]"
)


@pytest.mark.parametrize(
    ("operation", "sent", "count", "too_large"),
    [(3000, 100, 2, True), (100, 3000, 2, True), (100, 1001, 2, True), (100, 900, 2, False), (100, 1900, 1, False)],
)
def test_a_batch_over_a_nodes_memory_limit_is_halved_and_a_busy_node_waited_for(operation, sent, count, too_large):
    """A limit that a batch can never pass would otherwise be tried for ever."""
    error = {"type": "es_rejected_execution_exception", "reason": PRESSURE.format(operation)}
    said = Answer(429, 3.0, orjson.dumps({"error": error, "status": 429}))
    if too_large:
        assert read_answer(said, documents(count), sent).result.too_large
        return
    with pytest.raises(RetryableError) as caught:
        read_answer(said, documents(count), sent)
    assert (caught.value.retry_after, caught.value.paused) == (3.0, False)


def test_documents_that_only_together_are_over_a_nodes_memory_limit_are_halved():
    """A shard's node refuses its items one by one, in the same words; alone, a document that never fits is rejected."""
    reason = "rejected execution of primary operation [primary_operation_bytes=1600276, max_primary_bytes=614400]"
    refused = failure(429, "es_rejected_execution_exception", reason)
    result = read_answer(answer(refused, refused), documents(2), 0).result
    assert (result.too_large, result.retry) == (True, (0, 1))
    mixed = read_answer(answer(STORED, refused), documents(2), 0).result
    assert (mixed.too_large, mixed.retry, mixed.delivered) == (False, (1,), 1)
    alone = read_answer(answer(refused), documents(1), 0).result
    assert [r.position for r in alone.rejected] == [0]
    assert (alone.retry, alone.too_large) == ((), False)


@pytest.mark.parametrize(
    ("status", "paused"),
    [
        *[(500, False), (502, False), (503, False), (429, False)],
        *[(401, True), (403, True), (302, True), (404, True), (400, True), (204, True), (405, True)],
    ],
)
def test_a_refusal_of_the_whole_request_is_never_a_dead_letter(status, paused):
    """A wrong path, a proxy or bad credentials are no fault of the documents."""
    with pytest.raises(RetryableError) as caught:
        read_answer(Answer(status, None, b'{"error":{"type":"x","reason":"because"}}'), documents(2), 0)
    assert caught.value.paused is paused
    assert f"HTTP {status}" in str(caught.value)
