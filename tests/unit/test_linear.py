"""Twice the input is at most two and a half times the work, of each format, schema and filter."""

from __future__ import annotations

import contextlib
import gzip
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import pytest

from shipper.build import LOG_TYPES
from shipper.errors import BadInputError
from shipper.filters import read_filter
from shipper.flow_layouts import layout_from_count
from shipper.formats.stored_bytes import STEP_BYTES, decompressed
from shipper.model import LogEvent, LogStream, Origin, Payload, ReadLimits, Record
from shipper.ports import Lookups
from shipper.refusals import in_words, without_values
from shipper.sinks.elasticsearch_conflicts import conflict, without_conflict

ORIGIN = Origin("s3://b/x_20260102T0304Z_a.gz", "b", "x_20260102T0304Z_a.gz", "1", "us-east-1")
HEAD = '{"eventTime":"2026-01-02T03:04:05Z","eventVersion":"1.11","eventID":"e","eventName":"PutItem",'
LAYOUTS = {"vpcflow": layout_from_count(14)}
GROUPS = {"rds": "/aws/rds/instance/a/error", "eks": "/aws/eks/a/cluster", "waf": "aws-waf-logs-a"}
BEFORE = {
    "elb": "https 2026-01-02T03:04:05.000000Z a 1.2.3.4:1 1.2.3.4:2 0.0 0.0 0.0 200 200 1 1 ",
    "s3access": "79a59df900b949e5 b [06/Feb/2019:00:00:38 +0000] 1.2.3.4 ",
    "rds": "2026-01-02 03:04:05 UTC:1.2.3.4(1):u@d:[1]:LOG:  AUDIT: ",
    "eks": 'time="2026-01-02T03:04:05Z" ',
    "containers": "2026-01-02T03:04:05.0Z stdout F ",
    "apigateway": "1.2.3.4 - - [02/Jan/2026:03:04:05 +0000] ",
    "cloudwatch": "REPORT RequestId: 00000000-0000-0000-0000-000000000000\tDuration: ",
    "vpcflow": "2 1 eni-1 1.2.3.4 1.2.3.5 1 1 6 1 1 1700000000 1700000060 ACCEPT OK ",
}
PIECES = (
    *(" ", '"', '" ', "\\", '\\"', "[", "{", "[{", '{"a":', "a.", "a=", 'a="', 'a="\\"', ",", ":", "\t", "%41", "/"),
    *("\x1b[31m", "- ", "@", "1", "1 ", "'", "',", "Mozilla/5.0 (", "http://a/?a=b&", ".s3-aa-a", "\\u0061", "QUJD"),
)
MEMBERS: dict[str, Callable[[int], str]] = {
    "keys": lambda size: '"requestParameters":{' + ",".join(f'"k{n:06d}":1' for n in range(size // 12)) + "}}",
    "small": lambda size: '"requestParameters":{"a":[' + ",".join(["1"] * (size // 2)) + "]}}",
    "nested": lambda size: '"requestParameters":' + '{"a":' * (size // 6) + "1" + "}" * (size // 6) + "}",
    "long key": lambda size: '"requestParameters":{"' + "k" * size + '":1}}',
    "numbers": lambda size: '"requestParameters":{"n":[' + ",".join(["9" * 400] * (size // 400)) + "]}}",
    "resources": lambda size: '"resources":[' + ",".join(['{"ARN":"arn:aws:s3:::b"}'] * (size // 24)) + "]}",
    "agent": lambda size: '"userAgent":"' + "Mozilla/5.0 (" * (size // 13) + '"}',
    "address": lambda size: '"sourceIPAddress":"' + "1:" * (size // 2) + '"}',
    "role": lambda size: '"userIdentity":{"arn":"' + "arn:aws:sts::1:assumed-role/" * (size // 28) + '"}}',
}


def steps_of(work: Callable[[], Any]) -> int:
    """Count the lines of ours that some work executes."""
    steps = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal steps
        if "/shipper/" not in frame.f_code.co_filename:
            return None
        steps += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with contextlib.suppress(BadInputError):
            work()
    finally:
        sys.settrace(before)
    return steps


def texts(name: str, size: int) -> dict[str, str]:
    """Hostile texts of a size: bare, and behind what makes a line of the type."""
    found = {f"{make}": HEAD + MEMBERS[make](size) for make in MEMBERS}
    for piece in PIECES:
        text = (piece * (size // len(piece) + 1))[:size]
        found[piece] = text
        found[f"behind: {piece}"] = BEFORE.get(name, "") + text
        found[f"within: {piece}"] = (
            HEAD + '"requestParameters":{"a":"' + text.replace("\\", "").replace('"', "") + '"}}'
        )
    return found


@pytest.mark.parametrize("name", LOG_TYPES)
def test_formats_and_schemas_are_linear(name: str) -> None:
    """Each log type, for each kind of sink, with texts of every kind in a record."""
    chosen = LOG_TYPES[name]
    schemas = [chosen.ecs("test", Lookups()), chosen.splunk("aws", "host", Lookups())]
    event = LogEvent("1" * 56, 1_767_323_045_000, LogStream("1" * 12, "us-east-1", GROUPS.get(name, "/app"), "s"))

    def work(text: str) -> list[int]:
        raw = text.encode()
        records = [Record(raw, 1, LAYOUTS.get(name), event), Record(raw, 1, LAYOUTS.get(name))]

        def read() -> None:
            for _ in chosen.format(ReadLimits()).records(Payload(ORIGIN, iter([raw]), len(raw))):
                pass

        def encode(schema: Any) -> None:
            for record in records:
                with contextlib.suppress(BadInputError):
                    schema.encoder(ORIGIN)(record)

        return [steps_of(read), *(steps_of(partial(encode, schema)) for schema in schemas)]

    # Large records of CloudTrail go another way than usual ones: both texts are as large as that.
    size = 30_000 if name in ("cloudtrail", "subscription") else 5_000
    short, long = texts(name, size), texts(name, 2 * size)
    slow = {
        kind: (before, after)
        for kind in short
        for before, after in zip(work(short[kind]), work(long[kind]), strict=True)
        if after > 2.5 * before + 200
    }
    assert slow == {}


@pytest.mark.parametrize("depth", [100, 254, 300, 500, 1000, 1020])
@pytest.mark.parametrize("name", LOG_TYPES)
def test_nesting_of_any_depth_ends_in_a_document_or_a_dead_letter(name: str, depth: int) -> None:
    """What is read, but deeper than what is written, ended the daemon: one line of an application did."""
    chosen = LOG_TYPES[name]
    event = LogEvent("1" * 56, 1_767_323_045_000, LogStream("1" * 12, "us-east-1", GROUPS.get(name, "/app"), "s"))
    for opening, closing in (('{"a":', "}"), ("[", "]")):
        raw = (HEAD + '"requestParameters":' + opening * depth + "1" + closing * depth + "}").encode()
        for schema in (chosen.ecs("test", Lookups()), chosen.splunk("aws", "host", Lookups())):
            for record in (Record(raw, 1, LAYOUTS.get(name), event), Record(raw, 1, LAYOUTS.get(name))):
                with contextlib.suppress(BadInputError):
                    document = schema.encoder(ORIGIN)(record)
                    assert document is None or document.body


@pytest.mark.parametrize("text", ['a contains "x"', 'a.b.c == "1"', 'a in cidr("10.0.0.0/8")'])
@pytest.mark.parametrize("make", MEMBERS)
def test_filters_are_linear(text: str, make: str) -> None:
    """A path through lists looks at each item once."""
    keeps = read_filter(text).on_records()
    short, long = (
        steps_of(partial(keeps, Record((HEAD + MEMBERS[make](number)).encode(), 1))) for number in (2000, 4000)
    )
    assert long < 2.5 * short + 200


def test_an_object_of_tiny_gzip_members_is_linear() -> None:
    """Each may hold one byte: what is handed on is never so small, and what follows is not copied for each."""
    one = gzip.compress(b"x", mtime=0)
    pieces = list(decompressed(Payload(ORIGIN, iter([one * 40_000])), ReadLimits()))
    assert sum(map(len, pieces)) == 40_000
    assert min(map(len, pieces[:-1])) >= STEP_BYTES


def test_refusals_are_read_in_bounded_work() -> None:
    """A server quotes what a record holds."""
    assert in_words("a", "a: " * 100_000 + "b") == "a: b"
    assert without_values("['x'] " * 2000, b"x", b"x").count("[…]") >= 1900
    assert conflict("failed to parse field [" * 20_000) is None
    found = conflict("failed to parse field [a.b] of type [long]. Preview of field's value: '{x")
    assert found is not None
    assert found.sent == "object"
    for size in (2000, 4000):
        body = b'{"a":[' + b",".join([b'{"b":1}'] * size) + b"]}"
        assert without_conflict(body, found) is not None
