"""Elasticsearch and Splunk get the same records: shipped, refused or left out alike, with the same tags and times."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shipper.build import LOG_TYPES
from shipper.errors import BadInputError
from shipper.filters import Filtered, read_filter
from shipper.model import LogEvent, LogStream, Origin, Payload, ReadLimits, Record, Rejected
from shipper.ports import Lookups
from tests.unit.test_bad_input import GOOD, LINES

CASES = Path("/work/shared/cases/formats")
MODIFIED_MS = 1_700_000_123_000
ORIGIN = Origin("s3://bucket/key", "bucket", "key", "111122223333", "eu-west-1", MODIFIED_MS)
GROUPS = ("/aws/eks/prod/cluster", "/aws/rds/instance/db/postgresql", "aws-waf-logs-shop", "an/application")
AUDITED = b"20260102 03:04:05,host,user,10.0.0.1,1,2,QUERY,db,'SELECT 1',0"
MESSAGES = [
    *GOOD.values(),
    *(line[:3000] for line in LINES.values()),
    b"2026-01-02T03:04:05Z ip-10-0-0-1 sshd[1]: text",
    b"Sep  7 15:04:42 ip-10-48-40-111 systemd[1]: text",
    b"2026-01-02T03:04:05.123Z Sep  7 15:04:42 ip-10-0-0-1 systemd[1]: text",
    b"2026-01-02 03:04:05 UTC:10.0.0.1(31531):user@db:[3632]:LOG:  statement: SELECT 1",
    AUDITED,
    b"I0102 03:04:05.123456       1 controller.go:1] text",
    b'time="2026-01-02T03:04:05Z" level=info msg=text',
    (
        b'{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","verb":"get",'
        b'"requestReceivedTimestamp":"2026-01-02T03:04:05.1Z"}'
    ),
    b'{"requestId":"a","ip":"192.0.2.1","requestTime":"02/Jan/2026:03:04:05 +0000","httpMethod":"GET","status":"200"}',
    b"203.0.113.9 10.0.0.5 54321 22 6 1 60 1767323045 1767323075 ACCEPT OK 2 111122223333 eni-0123456789abcdef0",
    b"2 111122223333 eni-0 - - - - - - - 1767323045 1767323075 - NODATA",
    b"2 111122223333 eni-0 - - - - - - - - - - SKIPDATA",
    b"",
    b"\xff\xfe\x00",
]
EXPORT = b"2026-07-29T10:00:00.123Z "
MESSAGES += [EXPORT + message for message in MESSAGES if message]  # as CloudWatch Logs exports them to S3
NAMES = sorted(name for name, of in LOG_TYPES.items() if of.dataset)


def outcome(name: str, kind: str, record: Record, rule: str = "") -> dict[str, Any] | str | None:
    """What one kind of sink makes of a record: its document, None where it is filtered, or the refusal."""
    chosen = LOG_TYPES[name]
    schema = chosen.ecs("t", Lookups()) if kind == "ecs" else chosen.splunk("", "", Lookups())
    if rule:
        schema = Filtered(schema, read_filter(rule).on_records())
    try:
        document = schema.encoder(ORIGIN)(record)
    except BadInputError as error:
        return str(error)
    if document is None:
        return None
    body = json.loads(document.body)
    tags = body.get("tags", []) if kind == "ecs" else body["fields"].get("shipper_tags", [])
    return {"id": document.id, "time_ms": document.time_ms, "tags": tags, "unparsed": document.unparsed}


def agree(name: str, record: Record, rule: str = "") -> None:
    """Compare what both kinds of sinks make of a record."""
    ecs, splunk = (outcome(name, kind, record, rule) for kind in ("ecs", "splunk"))
    assert type(ecs) is type(splunk), (ecs, splunk)
    if not isinstance(ecs, dict) or not isinstance(splunk, dict):
        return
    if name == "vpcflow":  # the add-on reads the window's start, the integration its end
        own = record.raw.split(b" ")
        assert ecs["time_ms"] == splunk["time_ms"] or str(splunk["time_ms"] // 1000).encode() in own
        ecs["time_ms"] = splunk["time_ms"] = 0
    assert ecs == splunk
    if record.event is None and "no_time" in ecs["tags"] and name != "vpcflow":
        assert ecs["time_ms"] == MODIFIED_MS


def with_event(raw: bytes, group: str, time_ms: int = 1_767_323_045_123) -> Record:
    stream = LogStream("111122223333", "eu-west-1", group, "kube-apiserver-audit-1")
    return Record(raw, 3, None, LogEvent("3" * 56, time_ms, stream))


def as_the_format_does(name: str, line: bytes) -> list[Record]:
    """A line's records as the log type's format makes them, also those of an object that would be refused."""
    try:
        found = LOG_TYPES[name].format(ReadLimits()).records(Payload(ORIGIN, iter([line + b"\n"])))
        return [record for record in found if not isinstance(record, Rejected)]
    except BadInputError:
        return []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("message", range(len(MESSAGES)))
def test_both_make_the_same_of_a_line_and_of_an_event(name, message):
    """Good lines, lines of other types, and rubbish; out of objects, envelopes and log groups."""
    raw = MESSAGES[message]
    for record in as_the_format_does(name, raw):
        agree(name, record)
    for group in GROUPS:
        agree(name, with_event(raw, group))
    if name not in {"vpcflow", "elb", "s3access"}:  # their formats tell the layout
        agree(name, Record(raw, 1))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("time_ms", [-1, 0, 253_402_300_799_999, 253_402_300_800_000, 2**62])
def test_both_take_the_same_times_of_events(name, time_ms):
    """What is no time of the calendar is refused by both."""
    for raw in (GOOD.get(name, b"a plain line"), b"a plain line"):
        agree(name, with_event(raw, "an/application", time_ms))


@pytest.mark.parametrize("name", sorted(LOG_TYPES))
@pytest.mark.parametrize("rule", ['drop action == "ALLOW" or eventName == "Name" or request_id == "ZY4RGM949BS74R1J"'])
def test_both_leave_out_the_same(name, rule):
    """Filters see the record, not the document."""
    for raw in MESSAGES:
        for record in as_the_format_does(name, raw):
            agree(name, record, rule)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(NAMES),
    st.sampled_from(MESSAGES),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 9), st.binary(max_size=6)), max_size=3),
    st.sampled_from(["", *GROUPS]),
)
def test_both_make_the_same_of_mutants(name, raw, changes, group):
    """Whatever a few wrong bytes make of a line."""
    for at, length, more in changes:
        raw = raw[:at] + more.replace(b"\n", b"") + raw[at + length :]
    if group:
        agree(name, with_event(raw, group))
    else:
        for record in as_the_format_does(name, raw):
            agree(name, record)


@pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not on this machine")
@pytest.mark.parametrize("name", sorted(LOG_TYPES))
def test_both_make_the_same_of_the_shared_cases(name):
    """Each file as each log type."""
    for path in sorted(path for path in CASES.rglob("*") if path.is_file()):
        try:
            for record in LOG_TYPES[name].format(ReadLimits()).records(Payload(ORIGIN, iter([path.read_bytes()]))):
                if not isinstance(record, Rejected):
                    agree(name, record)
        except BadInputError:
            continue


def test_an_unknown_order_of_flow_fields_is_refused_by_both():
    """Splunk took the second field's 2 for a time once."""
    line = b"203.0.113.9 10.0.0.5 54321 22 6 1 60 1767323045 1767323075 ACCEPT OK 2 111122223333 eni-0123456789abcdef0"
    for kind in ("ecs", "splunk"):
        assert outcome("vpcflow", kind, with_event(line, "flows")) == "start is no time"


@pytest.mark.parametrize(
    ("name", "raw", "time"),
    [
        ("rds", AUDITED, 1_767_323_045_000),
        ("waf", orjson.dumps({"timestamp": 1_709_108_635_066, "webaclId": "w"}), 1_709_108_635_066),
        ("route53_resolver", GOOD["route53_resolver"], 1_767_323_045_000),
        ("cloudwatch", b"2026-01-02T03:04:05Z text", 1_767_323_045_000),
    ],
)
def test_splunks_time_is_the_lines_own(name, raw, time):
    """Wherever the ECS document has it."""
    found = outcome(name, "splunk", Record(raw, 1))
    assert isinstance(found, dict)
    assert (found["time_ms"], found["tags"]) == (time, [])
