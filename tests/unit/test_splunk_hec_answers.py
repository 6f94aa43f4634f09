"""What each HEC code and status means, one by one."""

from __future__ import annotations

import json

import pytest

from shipper.sinks.splunk_hec_answers import HINTS, Meaning, acknowledged, understand

CODES = {
    0: (200, Meaning.TAKEN),
    1: (403, Meaning.REFUSED),
    2: (401, Meaning.REFUSED),
    3: (401, Meaning.REFUSED),
    4: (403, Meaning.REFUSED),
    5: (400, Meaning.EVENT),
    6: (400, Meaning.EVENT),
    7: (400, Meaning.REFUSED),
    8: (500, Meaning.UNKNOWN),
    9: (503, Meaning.BUSY),
    10: (400, Meaning.REFUSED),
    11: (400, Meaning.REFUSED),
    12: (400, Meaning.EVENT),
    13: (400, Meaning.EVENT),
    14: (400, Meaning.REFUSED),
    15: (400, Meaning.EVENT),
    16: (400, Meaning.REFUSED),
    17: (200, Meaning.UNKNOWN),
    18: (503, Meaning.BUSY),
    19: (503, Meaning.BUSY),
    20: (503, Meaning.BUSY),
    21: (400, Meaning.REFUSED),
    22: (400, Meaning.REFUSED),
    23: (503, Meaning.BUSY),
    24: (200, Meaning.TAKEN),
    25: (200, Meaning.TAKEN),
    26: (429, Meaning.BUSY),
    27: (429, Meaning.BUSY),
    28: (400, Meaning.REFUSED),
}


@pytest.mark.parametrize("code", CODES)
def test_each_code_has_its_meaning(code):
    """Success, patience, a person's work, one bad event, or not known."""
    status, meaning = CODES[code]
    answer = understand(status, json.dumps({"text": "words", "code": code}).encode())
    assert answer.meaning is meaning
    assert "words" in answer.words
    if meaning is Meaning.REFUSED:
        assert code in HINTS
        assert answer.hint


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (200, b"<html>it works</html>", Meaning.UNKNOWN),
        (200, b"", Meaning.UNKNOWN),
        (200, b"[0]", Meaning.UNKNOWN),
        (200, b'{"code":"0"}', Meaning.UNKNOWN),
        (200, b'{"code":true}', Meaning.UNKNOWN),
        (500, b'{"code":0}', Meaning.UNKNOWN),
        (502, b"bad gateway", Meaning.UNKNOWN),
        (503, b"", Meaning.BUSY),
        (429, b"slow down", Meaning.BUSY),
        (408, b"", Meaning.UNKNOWN),
        (413, b"too large", Meaning.TOO_LARGE),
        (301, b"", Meaning.REFUSED),
        (404, b"", Meaning.REFUSED),
        (401, b"Unauthorized", Meaning.REFUSED),
    ],
)
def test_answers_without_a_code_are_never_success(status, body, meaning):
    """Only Splunk's own word counts; a proxy's page does not."""
    assert understand(status, body).meaning is meaning


def test_the_number_of_the_bad_event_is_told():
    """Code 7 names the event after the one it means."""
    assert understand(400, b'{"code":6,"invalid-event-number":3}').bad_event == 3
    assert understand(400, b'{"code":7,"invalid-event-number":3}').bad_event == 2
    assert understand(400, b'{"code":6}').bad_event is None
    assert understand(400, b'{"code":6,"invalid-event-number":-1}').bad_event is None


def test_a_wait_that_the_server_asks_for_is_kept():
    """Seconds; a date or rubbish is no number."""
    assert understand(503, b"", "7").retry_after == 7
    assert understand(503, b"", "Tue, 03 Mar 2026 10:00:00 GMT").retry_after is None
    assert understand(503, b"", "\u00b2").retry_after is None


@pytest.mark.parametrize("body", [b"", b"[]", b'{"acks":[1]}', b'{"text":"ACK is disabled","code":14}', b"<html>"])
def test_what_is_no_answer_of_the_ack_endpoint(body):
    """It confirms nothing, and is told from one that confirms nothing yet."""
    assert acknowledged(200, body) is None
    assert acknowledged(503, b'{"acks":{"1":true}}') is None
    assert acknowledged(200, b'{"acks":{"1":true,"2":false,"x":true,"3":"true"}}') == frozenset({1})
