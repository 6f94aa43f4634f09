"""Rubbish of every kind through every log type, for every kind of sink: never a crash, never silence."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import tracemalloc
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shipper.build import LOG_TYPES
from shipper.delivery import Patience
from shipper.errors import BadInputError
from shipper.metrics import Metrics
from shipper.model import Origin, Payload, ReadLimits, Receipt, S3Split
from shipper.ports import Lookups, Schema, Stop
from shipper.shipping import Lane, Route, Shipper
from tests.fakes.pipeline import LinesReader, MemoryDeadLetters, MemorySink, lines_split

LIMITS = ReadLimits(object_bytes=8 << 20, record_bytes=1 << 18)
TRAIL = {"eventVersion": "1.11", "eventTime": "2026-01-02T03:04:05Z", "eventID": "e", "eventName": "Name"}
FUZZ = int(os.environ.get("SHIPPER_FUZZ", "150"))  # examples; more by hand
GOOD: dict[str, bytes] = {
    "cloudtrail": orjson.dumps(TRAIL),
    "vpcflow": b"2 123456789012 eni-1 192.0.2.1 192.0.2.2 22 40000 6 1 40 1700000000 1700000060 ACCEPT OK",
    "elb": b'2018-12-13T15:16:57.132252Z lb 192.0.2.1:4444 10.0.0.1:80 0.1 0.2 0.3 200 200 0 178 "GET http://x/ HTTP/1"'
    b' "curl/8" - -',
    "s3access": b"0123456789abcdef shop [14/Dec/2024:21:10:32 +0000] 192.0.2.1 - ZY4RGM949BS74R1J REST.GET.OBJECT key"
    b' "GET /key HTTP/1.1" 200 - 300 300 9 8 "-" "curl/8" - host= SigV4 TLS_AES_128_GCM_SHA256 AuthHeader'
    b" shop.s3.us-east-1.amazonaws.com TLSv1.3 - -",
    "waf": b'{"timestamp":1709108635066,"webaclId":"w","terminatingRuleId":"r","action":"ALLOW","httpRequest":{}}',
    "route53_resolver": b'{"query_timestamp":"2026-01-02T03:04:05Z","query_name":"example.com.","query_type":"A"}',
    "route53_public": b"1.0 2026-01-02T03:04:05Z Z0123456789 example.com A NOERROR UDP FRA6 192.0.2.1 -",
}
NESTED = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
WRONG_KINDS: list[object] = [
    1,
    -1.5,
    True,
    None,
    "",
    "text",
    [],
    [1, [2]],
    {},
    {"a": {"b": [None]}},
    2**70,
    "\0",
    "\ud800",
]
LINES: dict[str, bytes] = {
    "invalid UTF-8": b'{"eventTime":"2026-01-02T03:04:05Z","eventID":"\xff\xfe"}',
    "invalid UTF-8 deep inside": b'{"eventTime":"2026-01-02T03:04:05Z","requestParameters":{"\x80n":1e400}}',
    "NUL": b'{"eventTime":"2026-01-02T03:04:05Z","eventID":"\\u0000\x00"}',
    "lone surrogate": rb'{"eventTime":"2026-01-02T03:04:05Z","eventID":"\ud800","eventName":"\udfff"}',
    "NaN": b'{"eventTime":"2026-01-02T03:04:05Z","requestParameters":{"n":NaN,"i":-Infinity}}',
    "huge exponent": b'{"eventTime":"2026-01-02T03:04:05Z","requestParameters":{"n":1e400}}',
    "2 to the 70": b'{"eventTime":"2026-01-02T03:04:05Z","requestParameters":{"n":1180591620717411303424}}',
    "5,000 digits": b'{"eventTime":"2026-01-02T03:04:05Z","requestParameters":{"n":' + b"9" * 5_000 + b"}}",
    "deep": b'{"eventTime":"2026-01-02T03:04:05Z","requestParameters":' + NESTED[:200_000] + b"}",
    "deep array": b"[" * 100_000,
    "no time": b'{"eventID":"x"}',
    "odd time": b'{"eventTime":"9999-99-99T99:99:99Z","eventID":"x"}',
    "time far away": b'{"eventTime":"9999-12-31T23:59:59Z","eventID":"x"}',
    "time long ago": b'{"eventTime":"0001-01-01T00:00:00Z","eventID":"x"}',
    "cut off": b'{"eventTime":"2026-01-02T03:04:05Z","eventID":"x',
    "numbers in a flow log": b"2 1 eni a b 99999999999999999999 -1 999 1e9 NaN -5 18446744073709551616 ACCEPT OK",
    "flow log of the far future": b"2 1 eni 192.0.2.1 192.0.2.2 1 1 6 1 1 99999999999999 99999999999999 ACCEPT OK",
    "flow log fields of other bytes": b"2 \xff \x00 \x1b[31m ::g 1 1 6 1 1 1700000000 1700000060 \xf0\x9f OK",
    "binary": bytes(range(1, 10)) + bytes(range(11, 256)),
    "long": b"x" * (LIMITS.record_bytes + 1),
    "Parquet's mark": b"PAR1" + bytes(60) + b"PAR1",
    "many fields": json.dumps(TRAIL | {"requestParameters": {f"k{n}": n for n in range(9_000)}}).encode(),
    "long names": json.dumps(TRAIL | {"requestParameters": {"k" * 70_000: "v" * 70_000}}).encode(),
    **{
        f"{name} is {str(value)[:12]!r}": json.dumps(TRAIL | {name: value}).encode()
        for name in ("eventTime", "eventID", "userIdentity", "sourceIPAddress", "userAgent", "resources", "eventName")
        for value in WRONG_KINDS
    },
}


def schemas(name: str) -> dict[str, Schema]:
    """The log type's schemas, without lookups."""
    chosen = LOG_TYPES[name]
    return {"ecs": chosen.ecs("test", Lookups()), "splunk": chosen.splunk("aws", "host", Lookups())}


def ship(name: str, content: bytes) -> tuple[Receipt, list[bytes], MemoryDeadLetters]:
    """Ship one object into a sink of each kind; the receipt, the documents and what was refused."""
    sinks = {kind: MemorySink(kind) for kind in ("ecs", "splunk")}
    letters = MemoryDeadLetters()
    lanes = tuple(Lane({name: schema}, (sinks[kind],)) for kind, schema in schemas(name).items())
    shipper = Shipper(
        formats={name: LOG_TYPES[name].format(LIMITS)},
        routes={"source": Route(LinesReader({"key": content}), lanes)},
        dead_letters=letters,
        metrics=Metrics(),
        stop=Stop(),
        patience=Patience(0),
    )
    split = S3Split("split", "source", "scope", name, lines_split("key").objects)
    receipt = shipper.ship(split)
    return receipt, [body for sink in sinks.values() for body in sink.stored.values()], letters


def check(receipt: Receipt, bodies: list[bytes], letters: MemoryDeadLetters) -> None:
    """Every record has an end, every document is one line of JSON that any server reads, every refusal has a reason."""
    assert receipt.unaccounted == 0
    assert sum(tally.dead_lettered for tally in receipt.sinks.values()) >= len(letters.letters)
    for body in bodies:
        assert b"\n" not in body
        json.loads(body, parse_int=str, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    for letter in letters.letters:
        assert letter.reason
        assert letter.answer
        assert len(letter.payload) <= LIMITS.record_bytes


@pytest.mark.parametrize("kind", LINES)
@pytest.mark.parametrize("name", LOG_TYPES)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_bad_line_has_an_end_and_harms_no_neighbour(name, kind, packed):
    """A bad record between two good ones becomes a document or a dead letter; the good ones are delivered."""
    good = GOOD.get(name, b"a plain line")
    content = good + b"\n" + LINES[kind] + b"\n" + good
    receipt, bodies, letters = ship(name, gzip.compress(content) if packed else content)
    check(receipt, bodies, letters)
    assert receipt.read >= 1
    if kind not in {"cut off", "deep array"}:  # what comes behind an open bracket may belong to it
        alone = ship(name, good)[0].sinks["ecs"].delivered
        assert alone == 1
        assert receipt.sinks["ecs"].delivered + receipt.sinks["ecs"].present >= 2


@pytest.mark.parametrize("name", LOG_TYPES)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 100,
        gzip.compress(b""),
        gzip.compress(b"text")[:-4],
        gzip.compress(b"text") + b"garbage",
        b"\x1f\x8b",
        b"\x1f\x8b\x08\x00rubbish",
        gzip.compress(bytes(64 << 20)),
        gzip.compress(b"[" * (9 << 20)),
        gzip.compress(b'{"Records":[' + b'{"eventID":1},' * 60_000),
        b"PAR1" + b"\xff" * 40 + b"PAR1",
        b"\xef\xbb\xbf",
        "text".encode("utf-16"),
        b"PK\x03\x04zip",
        b"<?xml version='1.0'?><Error><Code>SlowDown</Code></Error>",
        b"\n" * 300_000,
        b"\r\n\r\n",
    ],
    ids=[
        "empty",
        "zeros",
        "empty gzip",
        "truncated gzip",
        "garbage behind gzip",
        "gzip's mark",
        "gzip's head",
        "bomb of zeros",
        "bomb of brackets",
        "cut off between records",
        "Parquet's marks",
        "byte order mark",
        "UTF-16",
        "zip",
        "an error page",
        "empty lines",
        "empty CRLF lines",
    ],
)
def test_a_bad_object_has_an_end(name, content):
    """An object that is not what it should be: refused with a reason, or empty; never an exception."""
    check(*ship(name, content))


def _mutated(draw: st.DrawFn, content: bytes) -> bytes:
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        length = draw(st.integers(0, 12))
        content = content[:at] + draw(st.binary(max_size=8)) + content[at + length :]
    return content


@st.composite
def mutants(draw: st.DrawFn) -> tuple[str, bytes]:
    """A log type, and an object of it with some bytes replaced."""
    name = draw(st.sampled_from(sorted(LOG_TYPES)))
    lines = draw(st.lists(st.sampled_from([GOOD.get(name, b"a plain line"), *LINES.values()]), min_size=1, max_size=3))
    lines = [line[:4_000] for line in lines]
    whole = draw(st.sampled_from([b"\n".join(lines), b'{"Records":[' + b",".join(lines) + b"]}"]))
    mutant = _mutated(draw, whole)
    return name, gzip.compress(mutant) if draw(st.booleans()) else mutant


@pytest.mark.parametrize("name", sorted(LOG_TYPES))
@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_a_line_between_envelopes_has_an_end(name, line):
    """What begins as a subscription filter's envelope and goes on as something else: fuzzing made flow logs crash."""
    check(*ship(name, b'{"owner"' + GOOD.get(name, b"text") + b"\n" + line[:4_000] + b"\n" + GOOD.get(name, b"text")))


@settings(max_examples=FUZZ, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(mutants())
def test_mutants_have_an_end(mutant):
    """Whatever a few wrong bytes make of an object."""
    check(*ship(*mutant))


def _endless(piece: bytes, size: int) -> Iterator[bytes]:
    for _ in range(size // len(piece)):
        yield piece


@pytest.mark.parametrize("name", LOG_TYPES)
@pytest.mark.parametrize("piece", [b"x" * 65_536, b'{"a":' * 13_000, b"[" * 65_536, b'"\\' * 32_768, b" \n" * 32_768])
def test_a_line_without_an_end_is_held_in_little_memory(name, piece):
    """100 MB in one piece of JSON or one line: memory stays bounded by the limits, not by the object."""
    limits = ReadLimits(object_bytes=200 << 20, record_bytes=1 << 18)
    tracemalloc.start()
    with contextlib.suppress(BadInputError):
        for _ in LOG_TYPES[name].format(limits).records(Payload(Origin("x"), _endless(piece, 100 << 20))):
            pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20
