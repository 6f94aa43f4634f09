"""What people read of dead letters: short lines, each word once, and the type that a document really has."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shipper.commands.letters import as_object, explained, full, line
from shipper.commands.trace import _origin
from shipper.model import Origin
from tests.unit.test_replay import letter

KEY = "AWSLogs/111122223333/elasticloadbalancing/eu-west-1/2026/01/15/" + "x" * 200 + ".log.gz"
PARSE = "failed to parse field [n.m] of type [long] in document with id 'a'"


def test_a_line_of_the_list_is_short_and_says_each_word_once():
    """The address keeps its beginning and its end, and the server's words theirs."""
    reason = "document_parsing_exception"
    long = replace(
        letter(7, answer=f"{reason}: {reason}: {PARSE}" + "; caused by" * 50),
        reason=reason,
        origin=Origin(f"s3://my-logs/{KEY}"),
    )
    shown = line(long)
    assert len(shown) < 320
    assert shown.count(reason) == 1
    assert "trail → memory: s3://my-logs/" in shown
    assert "x.log.gz record 7: document_parsing_exception: failed to parse field [n.m] of type [long]" in shown


def test_a_letter_without_a_position_is_of_its_whole_object():
    """No record is named then."""
    assert "s3://bucket/key: too_large: no" in line(letter(1, position=None, reason="too_large"))


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (b'{"n":{"m":"x"}}', "string"),
        (b'{"n.m":true}', "boolean"),
        (b'{"n":[{"m":1},{"m":2}]}', "array"),
        (b'{"n":{"m":{"k":1}}}', "object"),
        (b'{"n":{"m":[1]}}', "array"),
        (b'{"n":{"m":1.5}}', "number"),
        (b'{"n":{"m":null}}', "null"),
    ],
)
def test_what_the_server_does_not_say_of_the_type_the_document_does(document, kind):
    """`sent as ?` helps nobody."""
    of_server = letter(1, answer=PARSE, document=document)
    assert f"n.m is mapped as long, sent as {kind}" in full(of_server)
    assert f"maps n.m as long, and the document has {kind}" in explained(of_server)
    assert as_object(of_server)["conflict"]["sent"] == kind


@pytest.mark.parametrize("document", [b"", b"no JSON", b'{"other":1}'])
def test_a_type_that_nobody_knows_is_no_question_mark(document):
    """The letter may have no document, or one that a pipeline changed."""
    of_server = letter(1, answer=PARSE, document=document)
    assert "n.m is mapped as long; the document has another type" in full(of_server)
    assert "?" not in full(of_server) + explained(of_server)


@pytest.mark.parametrize(
    ("hit", "words"),
    [
        (
            {"log": {"file": {"path": "s3://b/k"}}, "aws": {"s3": {"bucket": {"name": "b"}, "object": {"key": "k"}}}},
            "s3://b/k",
        ),
        ({"aws": {"s3": {"bucket": {"name": "b"}, "object": {"key": "k"}}}}, "s3://b/k"),
        (
            {
                "log": {"file": {"path": "/g/s"}},
                "awscloudwatch": {"log_group": "/g", "log_stream": "s"},
                "cloud": {"account": {"id": "111122223333"}, "region": "eu-west-1"},
            },
            "log group /g, stream s, account 111122223333, region eu-west-1",
        ),
        ({"log": {"file": "odd"}, "aws": []}, "an origin that it does not name"),
    ],
)
def test_the_origin_of_a_document_is_told_in_words(hit, words):
    """Nobody reads JSON in a sentence."""
    assert _origin(hit) == words
