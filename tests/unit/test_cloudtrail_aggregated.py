"""CloudTrail's aggregated events: when they were, whose they are, and what they count."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shipper.build.event_types import likely_type_of_event
from shipper.errors import BadInputError
from shipper.formats.cloudtrail import CloudTrailFormat
from shipper.model import Document, Origin, Payload, ReadLimits, Record, document_id
from shipper.schemas.ecs.cloudtrail import CloudTrailEcs
from shipper.schemas.splunk.cloudtrail import CloudTrailSplunk

NAME = "111122223333_CloudTrail-Aggregated_us-west-2_20251117T1930Z_AbCdEfGhIjKlMnOp.json.gz"
ORIGIN = Origin(f"s3://trail/{NAME}", "trail", NAME)
START_MS = 1_763_407_200_000  # 2025-11-17T19:20:00Z
EVENT: dict[str, Any] = {
    "eventVersion": "1.0",
    "accountId": "111122223333",
    "eventId": "62759c1a-6248-48e1-a6b3-000000000001",
    "eventCategory": "Aggregated",
    "eventType": "AwsAggregatedEvent",
    "awsRegion": "us-west-2",
    "eventSource": "s3.amazonaws.com",
    "timeWindow": {"windowStart": "2025-11-17T19:20:00Z", "windowEnd": "2025-11-17T19:25:00Z", "windowSize": "PT5M"},
    "summary": {
        "primaryDimension": {
            "dimension": "userIdentity",
            "statistics": [{"name": "arn:aws:iam::111122223333:user/eve", "value": 1000}],
            "aggregationType": "Count",
        },
        "details": [
            {
                "dimension": "resourceARN",
                "statistics": [{"name": "arn:aws:s3:::bucket-1", "value": 800}, {"name": "OTHERS", "value": 200}],
                "aggregationType": "Count",
            },
            {
                "dimension": "sourceIpAddress",
                "statistics": [{"name": "203.0.113.7", "value": 999}, {"name": "AWS Internal", "value": 1}],
                "aggregationType": "Count",
            },
        ],
    },
}


def made(event: dict[str, Any], schema: Any) -> Document:
    """Read an object with one event, and encode it."""
    payload = Payload(ORIGIN, iter([json.dumps({"Records": [event]}).encode()]))
    (record,) = CloudTrailFormat(ReadLimits()).records(payload)
    assert isinstance(record, Record)
    document = schema.encoder(ORIGIN)(record)
    assert isinstance(document, Document)
    return document


def ecs(event: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(made(event, CloudTrailEcs("default", None)).body)
    return body


def test_the_window_is_the_time():
    """The beginning, which belongs to the window, is @timestamp; the end and the duration stand beside it."""
    document = ecs(EVENT)
    assert document["@timestamp"] == "2025-11-17T19:20:00.000Z"
    event = document["event"]
    assert (event["start"], event["end"]) == ("2025-11-17T19:20:00.000Z", "2025-11-17T19:25:00.000Z")
    assert event["duration"] == 300 * 10**9


def test_ids_and_account_are_taken_from_their_own_names():
    document = ecs(EVENT)
    assert document["event"]["id"] == EVENT["eventId"]
    assert document["cloud"]["account"] == {"id": "111122223333"}
    assert (document["cloud"]["region"], document["cloud"]["service"]) == ("us-west-2", {"name": "s3"})
    trail = document["aws"]["cloudtrail"]
    assert trail["recipient_account_id"] == "111122223333"
    assert (trail["event_category"], trail["event_type"]) == ("Aggregated", "AwsAggregatedEvent")


def test_the_summary_is_searchable_and_makes_no_fields():
    """It is text, and one flattened field; what it names is related. It is neither a success nor a failure."""
    document = ecs(EVENT)
    trail = document["aws"]["cloudtrail"]
    assert trail["flattened"] == {"summary": EVENT["summary"]}
    assert "{name=arn:aws:s3:::bucket-1, value=800}" in trail["summary"]
    assert document["related"] == {
        "ip": ["203.0.113.7"],
        "entity": ["arn:aws:iam::111122223333:user/eve", "arn:aws:s3:::bucket-1"],
    }
    assert document["event"]["outcome"] == "unknown"


@pytest.mark.parametrize(
    "schema", [CloudTrailEcs("default", None), CloudTrailSplunk("", "", None)], ids=["ecs", "splunk"]
)
def test_documents_are_told_apart_by_their_event_id(schema):
    """The same event has one id wherever it stands, in either sink; another eventId has another."""
    document, other = made(EVENT, schema), made(EVENT | {"eventId": "other"}, schema)
    assert document.id == document_id(START_MS, "111122223333", EVENT["eventId"])
    assert (document.time_ms, other.id) == (START_MS, document_id(START_MS, "111122223333", "other"))


def test_splunk_gets_the_event_at_its_time():
    envelope = json.loads(made(EVENT, CloudTrailSplunk("", "", None)).body)
    assert (envelope["time"], envelope["event"]) == (START_MS / 1000, EVENT)


@pytest.mark.parametrize(
    "schema", [CloudTrailEcs("default", None), CloudTrailSplunk("", "", None)], ids=["ecs", "splunk"]
)
@pytest.mark.parametrize(
    ("window", "time_ms"),
    [
        ({"windowEnd": "2025-11-17T19:25:00Z"}, START_MS + 300_000),
        ({"windowStart": "2025-11-17T19:20:00.000Z", "windowEnd": 7}, START_MS),
        ({}, START_MS + 600_000),  # the time in the object's name
        ([], START_MS + 600_000),
        (None, START_MS + 600_000),
    ],
)
def test_odd_windows_give_the_best_time_there_is(schema, window, time_ms):
    assert made(EVENT | {"timeWindow": window}, schema).time_ms == time_ms


@pytest.mark.parametrize(
    "schema", [CloudTrailEcs("default", None), CloudTrailSplunk("", "", None)], ids=["ecs", "splunk"]
)
def test_a_window_that_is_no_time_is_refused(schema):
    with pytest.raises(BadInputError, match="timeWindow"):
        made(EVENT | {"timeWindow": {"windowStart": "yesterday"}}, schema)


@pytest.mark.parametrize(
    "summary",
    [None, "text", [], {}, {"primaryDimension": 1, "details": {"statistics": [1, {"name": 5}]}}, {"n": 10**30}],
)
def test_odd_summaries_are_shipped(summary):
    document = ecs(EVENT | {"summary": summary, "accountId": 111122223333})
    assert document["event"]["id"] == EVENT["eventId"]
    assert document["cloud"]["account"] == {"id": "111122223333"}


def test_usual_records_are_not_taken_for_aggregated_ones():
    """A record with an eventTime keeps its own id, account and outcome."""
    document = ecs(EVENT | {"eventTime": "2026-01-01T00:00:00Z", "eventID": "own", "recipientAccountId": "1"})
    assert (document["@timestamp"], document["event"]["id"]) == ("2026-01-01T00:00:00.000Z", "own")
    assert document["event"]["outcome"] == "success"


def test_bare_events_and_arrays_are_read():
    """As the console and the CLI give them, and one a line."""
    for data in (json.dumps([EVENT, EVENT]), json.dumps(EVENT) + "\n" + json.dumps(EVENT) + "\n"):
        records = list(CloudTrailFormat(ReadLimits()).records(Payload(ORIGIN, iter([data.encode()]))))
        assert [json.loads(record.raw) for record in records] == [EVENT, EVENT]


def test_they_are_recognised_in_log_groups():
    assert likely_type_of_event(json.dumps(EVENT).encode()) == "cloudtrail"
