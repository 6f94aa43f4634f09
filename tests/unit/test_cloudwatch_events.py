"""Log events of every kind: the files they come in, their documents and envelopes, and one id however they come."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from shipper.build import LOG_TYPES
from shipper.flow_layouts import V2
from shipper.model import Document, LogEvent, LogStream, Origin, Payload, ReadLimits, Record, Rejected
from shipper.ports import Lookups

GROUP = "/aws/lambda/shop"
STREAM = LogStream("123456789012", "us-east-1", GROUP, "2026/01/02/[$LATEST]a")
TIME = 1_767_323_045_678
EVENT = LogEvent("3" * 56, TIME, STREAM, TIME + 900)
REQUEST = "8f507cfc-example-4697-b07a-ac58fc914c95".replace("example", "1234")
FLOW = b"2 123456789012 eni-1 203.0.113.7 10.0.0.5 51000 22 6 10 840 1767323000 1767323040 REJECT OK"


def envelope(*messages: str, kind: str = "DATA_MESSAGE") -> bytes:
    events = [{"id": str(n) * 56, "timestamp": TIME + n, "message": message} for n, message in enumerate(messages, 1)]
    return json.dumps(
        {
            "messageType": kind,
            "owner": STREAM.account,
            "logGroup": GROUP,
            "logStream": STREAM.name,
            "subscriptionFilters": ["all"],
            "logEvents": events,
        },
        separators=(",", ":"),
    ).encode()


def read(data: bytes, chunk: int = 1 << 16, limits: ReadLimits | None = None) -> list[Record | Rejected]:
    chunks = iter([data[i : i + chunk] for i in range(0, len(data), chunk)])
    return list(LOG_TYPES["cloudwatch"].format(limits or ReadLimits()).records(Payload(Origin("s3://b/k"), chunks)))


def encoded(record: Record, name: str = "cloudwatch", target: str = "ecs") -> Document:
    chosen = LOG_TYPES[name]
    schema = chosen.ecs("default", Lookups()) if target == "ecs" else chosen.splunk("", "", Lookups())
    encode = schema.encoder(Origin("arn:aws:logs:us-east-1:123456789012:log-group:x"))
    document = encode(record)
    assert document is not None
    return document


def body(message: str, name: str = "cloudwatch") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(encoded(Record(message.encode(), 1, None, EVENT), name).body)
    return found


@pytest.mark.parametrize("chunk", [1, 7, 1 << 16])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_firehoses_concatenated_envelopes_come_apart(chunk, pack):
    """Nothing stands between them; a control message is none of the events; quotes in a message harm nothing."""
    first, second = envelope("one", 'two }{"messageType"'), envelope("three")
    control = envelope("CWL CONTROL MESSAGE: Checking health", kind="CONTROL_MESSAGE")
    records = read(pack(control + first + second), chunk)
    assert [record.raw for record in records] == [b"one", b'two }{"messageType"', b"three"]
    assert [record.position for record in records] == [1, 2, 3]


def test_many_gzip_members_are_one_object():
    """Firehose may keep each record's own compression."""
    assert len(read(gzip.compress(envelope("one")) + gzip.compress(envelope("two")))) == 2


@pytest.mark.parametrize("indent", [None, 4])
def test_a_saved_page_of_filter_log_events_is_read(indent):
    """As the command line prints it, over one line or many."""
    event = {"logStreamName": "s", "timestamp": TIME, "message": "m", "ingestionTime": TIME, "eventId": "1" * 56}
    (record,) = read(json.dumps({"events": [event], "searchedLogStreams": []}, indent=indent).encode())
    assert isinstance(record, Record)
    assert record.event == LogEvent("1" * 56, TIME, LogStream("", "", "", "s"), TIME)


def test_plain_lines_are_events_of_their_own():
    """Blank lines are none; a JSON line that is no envelope is a message."""
    assert [record.raw for record in read(b'a\n\n{"level":"info"}\nb')] == [b"a", b'{"level":"info"}', b"b"]


def test_an_event_without_an_id_is_rejected_and_its_neighbours_go_on():
    """What cannot be told from its neighbours would be doubled by a second reading."""
    page = {"messageType": "DATA_MESSAGE", "logEvents": [{"message": "x", "timestamp": 1}, 7]}
    assert [type(record) for record in read(json.dumps(page, separators=(",", ":")).encode())] == [Rejected, Rejected]


@pytest.mark.parametrize("target", ["ecs", "splunk"])
@pytest.mark.parametrize("name", ["cloudwatch", "vpcflow"])
def test_an_event_has_one_id_however_it_comes(name, target):
    """Read directly with its region, or from an envelope without one: the same document."""
    (record,) = read(envelope(FLOW.decode()))
    assert isinstance(record, Record)
    assert record.event is not None
    direct = Record(FLOW, 99, V2, LogEvent(record.event.id, record.event.time_ms, STREAM, TIME))
    assert encoded(record, name, target).id == encoded(direct, name, target).id


def test_the_place_of_an_event_is_in_its_document():
    """Group, stream, account, region, time and CloudWatch's own id."""
    document = body("plain text")
    assert document["@timestamp"] == "2026-01-02T03:04:05.678Z"
    assert document["message"] == document["event"]["original"] == "plain text"
    assert document["cloud"] == {"provider": "aws", "account": {"id": "123456789012"}, "region": "us-east-1"}
    assert document["aws"]["cloudwatch"]["log_group"] == GROUP
    assert document["event"]["id"] == EVENT.id


def test_lambdas_report_has_numbers():
    """Duration, memory and cold start can be added up; other lines have nothing of it."""
    report = (
        f"REPORT RequestId: {REQUEST}\tDuration: 12.34 ms\tBilled Duration: 13 ms\tMemory Size: 128 MB"
        "\tMax Memory Used: 66 MB\tInit Duration: 235.1 ms\t\n"
    )
    found = body(report)
    assert found["aws"]["lambda"]["duration_ms"] == 12.34
    assert found["aws"]["lambda"]["max_memory_used_mb"] == 66
    assert found["faas"] == {"execution": REQUEST, "coldstart": True}
    assert body(f"START RequestId: {REQUEST} Version: $LATEST\n")["faas"]["version"] == "$LATEST"
    assert body(f"END RequestId: {REQUEST}\n")["aws"]["lambda"]["line"] == "END"
    assert "faas" not in body("REPORT of the day")


def test_lambdas_structured_report_has_the_same_numbers():
    """JSON log format writes platform.report."""
    metrics = {"durationMs": 5.5, "billedDurationMs": 6, "memorySizeMB": 128, "maxMemoryUsedMB": 40}
    report = {"type": "platform.report", "record": {"requestId": REQUEST, "metrics": metrics}}
    found = body(json.dumps(report))
    assert (found["aws"]["lambda"]["duration_ms"], found["faas"]["coldstart"]) == (5.5, False)


def test_a_json_message_is_one_bounded_field():
    """Depth ends in text, names that no index could hold are left out; the message itself is whole."""
    deep: Any = 1
    for _ in range(40):
        deep = {"a": deep}
    message = json.dumps({"level": "WARN", "deep": deep, "n" * 70_000: 1})
    found = body(message)
    fields = found["aws"]["cloudwatch"]["fields"]
    assert set(fields) == {"level", "deep"}
    depth = 0
    while isinstance(fields, dict):
        fields, depth = fields.get("deep") or fields.get("a"), depth + 1
    assert depth <= 21
    assert isinstance(fields, str)
    assert found["log"]["level"] == "warn"
    assert found["message"] == message


def test_a_flow_log_line_of_an_event_needs_no_layout_where_it_is_documented():
    """The default format is told by its number of fields; its place is in the document."""
    found = json.loads(encoded(Record(FLOW, 1, None, EVENT), "vpcflow").body)
    assert found["source"]["ip"] == "203.0.113.7"
    assert found["aws"]["cloudwatch"] == {"log_group": GROUP, "log_stream": STREAM.name}


def test_splunks_envelope_is_the_add_ons():
    """The message as it is, CloudWatch's place as the source, and an id for what comes twice."""
    found = json.loads(encoded(Record(b"text", 1, None, EVENT), target="splunk").body)
    assert found["sourcetype"] == "aws:cloudwatchlogs"
    assert found["source"] == f"us-east-1:{GROUP}:{STREAM.name}"
    assert found["event"] == "text"
    assert found["time"] == TIME / 1000
    assert len(found["fields"]["event_uid"]) == 24


@pytest.mark.parametrize(
    ("name", "group", "sourcetype"),
    [
        ("eks", "audit", "aws:cloudwatchlogs:eks"),
        ("cloudwatch", "/aws/eks/prod/cluster", "aws:cloudwatchlogs:eks"),
        ("route53_resolver", "dns", "aws:cloudwatchlogs"),
        ("rds", "/aws/rds/instance/a/error", "aws:cloudwatchlogs"),
    ],
)
def test_the_add_on_knows_control_planes_by_their_sourcetype(name, group, sourcetype):
    """By the log type, or by the group's name; other groups have the sourcetype of all."""
    event = LogEvent("3" * 56, TIME, LogStream("123456789012", "us-east-1", group, "s"), TIME)
    assert json.loads(encoded(Record(b"x", 1, None, event), name, "splunk").body)["sourcetype"] == sourcetype


def test_what_aws_failed_to_capture_is_known_in_envelopes_too():
    """A flow log's SKIPDATA is counted as a gap whichever way the line comes."""
    skipped = "2 123456789012 eni-1 - - - - - - - 1431280876 1431280934 - SKIPDATA"
    (record,) = (
        LOG_TYPES["subscription"].format(ReadLimits()).records(Payload(Origin("s3://b/k"), iter([envelope(skipped)])))
    )
    assert isinstance(record, Record)
    assert LOG_TYPES["subscription"].gap_mark in record.raw
    assert LOG_TYPES["subscription"].gap_mark not in FLOW


def test_an_object_with_many_names_is_bounded():
    """Those beyond the bound are in the original alone: a stream of new names cannot swell the index."""
    many = json.dumps({f"n{number}": {"x": number} for number in range(5000)})
    document = body(many)
    assert len(document["aws"]["cloudwatch"]["fields"]) == 1000
    assert document["event"]["original"] == many
