"""Which refusals of single documents show a fault of the server's set-up."""

from __future__ import annotations

import pytest

from shipper.model import Document, Origin, Record
from shipper.sinks.elasticsearch_bulk import read_answer
from shipper.sinks.elasticsearch_connection import Answer
from shipper.sinks.elasticsearch_refusals import setup_fault
from tests.fakes.elasticsearch import bulk_reply, failure

ALIAS = "The write index may be explicitly disabled using is_write_index=false or the alias points to multiple indices"
SHARDS = "shards, but this cluster currently has [1000]/[1000] maximum normal shards open;"


@pytest.mark.parametrize(
    ("status", "kind", "words", "about"),
    [
        (400, "validation_exception", f"Validation Failed: 1: this action would add [2] {SHARDS}", "shards"),
        (
            400,
            "illegal_argument_exception",
            f"Validation Failed: 1: this action would add [2] total {SHARDS}",
            "shards",
        ),
        (400, "validation_exception", "Validation Failed: 1: expected [index.x] to be private;", "template"),
        (400, "illegal_argument_exception", "pipeline with id [gone] does not exist", "pipeline"),
        (400, "illegal_argument_exception", "Pipeline processor configured for non-existent pipeline [x]", "pipeline"),
        (400, "illegal_argument_exception", f"no write index is defined for alias [logs-x]. {ALIAS}", "names"),
        (
            400,
            "illegal_argument_exception",
            "only write ops with an op_type of create are allowed in data streams",
            "names",
        ),
        (
            400,
            "illegal_argument_exception",
            "alias [a] has more than one index associated with it [b, c], can't execute a single index op",
            "names",
        ),
        (
            404,
            "resource_not_found_exception",
            "[require_data_stream] request flag is [true] and [x] is not a data stream",
            "names",
        ),
        (404, "a_new_exception", "not here", "indices"),
        (400, "invalid_alias_name_exception", "Invalid alias name [x]: an index exists with the same name", "names"),
        (
            400,
            "illegal_argument_exception",
            "cannot create index with name [x], because it matches with template [y] that creates data streams only",
            "template",
        ),
        (400, "illegal_argument_exception", "unknown index sort field:[nosuch]", "template"),
        (
            400,
            "illegal_argument_exception",
            "composable template [t] template after composition is invalid",
            "template",
        ),
        (400, "illegal_argument_exception", "no matching index template found for data stream [x]", "template"),
        (400, "routing_missing_exception", "routing is required for [x]/[y]", "routing"),
        (400, "illegal_argument_exception", "cannot execute [inline] scripts", "script"),
        (400, "illegal_argument_exception", "current license is non-compliant for [inference]", "licence"),
    ],
)
def test_a_fault_of_the_set_up_has_a_hint(status, kind, words, about):
    """Whatever the document: the hint says where to look."""
    assert about in setup_fault(status, {"type": kind, "reason": words})


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("document_parsing_exception", "[1:50] object mapping for [source] tried to parse field [source] as object"),
        ("mapper_parsing_exception", "failed to parse field [source.ip] of type [ip] in document with id 'x'"),
        ("illegal_argument_exception", "Limit of total fields [2000] has been exceeded"),
        ("illegal_argument_exception", "data stream timestamp field [@timestamp] is missing"),
        ("illegal_argument_exception", "mapper [a.b] cannot be changed from type [long] to [text]"),
        ("strict_dynamic_mapping_exception", "mapping set to strict, dynamic introduction of [zz] is not allowed"),
        ("illegal_argument_exception", "unable to parse date [tomorrow]"),
        ("script_exception", "runtime error"),
        ("", ""),
    ],
)
def test_a_documents_own_fault_has_none(kind, words):
    """It is a dead letter with the server's words."""
    assert setup_fault(400, {"type": kind, "reason": words}) == ""


@pytest.mark.parametrize(
    "error",
    [
        {
            "type": "illegal_argument_exception",
            "reason": "Provided Grok expressions do not match field value: [pipeline with id [x] does not exist]",
        },
        {
            "type": "document_parsing_exception",
            "reason": "failed to parse field [a]",
            "caused_by": {"type": "illegal_argument_exception", "reason": "unknown setting [x]"},
        },
        {"type": ["list"], "reason": {"no": "text"}, "caused_by": "text"},
    ],
)
def test_words_of_an_event_never_pause_the_sink(error):
    """A caller of the AWS API chooses some of the words that a refusal quotes."""
    assert setup_fault(400, error) == ""


def test_a_fault_beneath_another_is_seen():
    """The words that tell may be those of a cause."""
    cause = {"type": "invalid_alias_name_exception", "reason": "Invalid alias name [x]: an index exists"}
    assert "names" in setup_fault(400, {"type": "wrapper_exception", "reason": "failed", "caused_by": cause})


def test_only_what_the_set_up_refuses_waits():
    """Of one answer: the stored one, the bad one and the ones that wait each have their end."""
    missing = failure(400, "illegal_argument_exception", "pipeline with id [gone] does not exist")
    bad = failure(400, "mapper_parsing_exception", "failed to parse")
    reply = bulk_reply([missing, {"status": 201}, bad, missing])
    record, origin = Record(b"", 0), Origin("s3://b/k")
    documents = [Document(f"id{n}", "logs-x", 0, b"{}", record, origin) for n in range(4)]
    result = read_answer(Answer(200, None, reply.body), documents, 100).result
    assert (result.delivered, result.retry, result.paused) == (1, (0, 3), True)
    assert [each.position for each in result.rejected] == [2]
    assert [each.position for each in result.faults] == [0, 3]
    assert "pipeline with id [gone] does not exist" in result.retry_reason
    assert "put the missing pipeline" in result.retry_reason
