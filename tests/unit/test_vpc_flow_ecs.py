"""Flow log lines as ECS documents: golden documents, and the compiled encoder against the plain mapping."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.vpc_flow_mapping import lines
from shipper import native
from shipper.errors import BadInputError
from shipper.flow_layouts import TRANSIT_GATEWAY, V2, V5, V10, V11, layout_from_header
from shipper.model import AccountFacts, AddressFacts, Document, Origin, Record, document_id
from shipper.schemas.ecs.places import Places
from shipper.schemas.ecs.vpc_flow import VpcFlowEcs
from shipper.schemas.ecs.vpc_flow_compiler import compile_layout
from shipper.schemas.ecs.vpc_flow_layout import Caches
from shipper.schemas.ecs.vpc_flow_mapping import TRAFFIC, Context, LineMapping
from shipper.schemas.ecs.vpc_flow_native import native_lines
from shipper.schemas.ecs.vpc_flow_values import Endpoints, Ports, Times

DATA = Path(__file__).parent.parent / "data" / "vpc_flow"
KEY = (
    "AWSLogs/111122223333/vpcflowlogs/eu-west-1/2026/03/01/"
    "111122223333_vpcflowlogs_eu-west-1_fl-0a1b2c3d_20260301T1205Z_5e1f0c2d.log.gz"
)
ORIGIN = Origin(f"s3://logs/{KEY}", "logs", KEY, "111122223333", "eu-west-1")
LABEL_MS = 1_772_366_700_000
GOOD = "2 111122223333 eni-0a 203.0.113.7 10.0.0.5 51000 22 6 10 840 1772366710 1772366765 REJECT OK"


def geography(address: str) -> Mapping[str, Any] | None:
    """A database that knows one network."""
    return {"geo": {"city_name": "Malmö"}, "as": {"number": 64500}} if address.startswith("203.0.113.") else None


def whose(address: str) -> AddressFacts | None:
    """Lists of networks that know one of AWS's and one's own."""
    if address.startswith("203.0.113."):
        return AddressFacts({"provider": "aws", "service": {"name": ["ec2", "s3"]}}, internal=False)
    return AddressFacts(None, internal=True) if address.startswith("10.") else None


class Named:
    """Accounts of which one has a name."""

    version = 0

    def __call__(self, account: str) -> AccountFacts | None:
        return AccountFacts("one", "o-1", "Root/One", {"team": "a"}) if account == "1" else None


def encode(line: str | bytes, layout: tuple[str, ...] = V2, origin: Origin = ORIGIN) -> Document:
    raw = line.encode() if isinstance(line, str) else line
    schema = VpcFlowEcs("default", geography, clock=lambda: 1_800_000_000.0)
    document = schema.encoder(origin)(Record(raw, 2, layout))
    assert document is not None
    return document


def body(line: str, layout: tuple[str, ...] = V2, origin: Origin = ORIGIN) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(encode(line, layout, origin).body)
    return found


@pytest.mark.parametrize("name", sorted(path.stem for path in DATA.glob("*.log")))
def test_golden_documents(name):
    """The documents of our own example objects stay as they were reviewed."""
    header, *lines = (DATA / f"{name}.log").read_text().splitlines()
    layout = layout_from_header(header.encode())
    assert layout is not None
    expected = json.loads((DATA / f"{name}.json").read_text())
    assert [body(line, layout) for line in lines] == expected


def test_the_document_says_where_and_when():
    """Time, data stream, id and origin of a document are those of its line."""
    document = encode(GOOD)
    assert document.time_ms == 1_772_366_765_000
    assert document.index == "logs-aws.vpcflow-default"
    assert len(document.id) == 24
    assert document.id == encode(GOOD).id
    assert document.origin == ORIGIN


def test_lines_of_one_object_and_lines_of_two_have_different_ids():
    """The same line in another place is another document."""
    encoder = VpcFlowEcs("default", None).encoder(ORIGIN)
    ids = [encoder(Record(GOOD.encode(), position, V2)) for position in (2, 3, 4099, 1 << 24, (1 << 24) + 2)]
    other = encode(GOOD, origin=Origin("s3://logs/other"))
    assert len({document.id for document in [*ids, other] if document}) == 6


def test_ids_begin_with_the_time():
    """Elasticsearch finds the segment of an id fast when ids of one time begin alike."""
    later = GOOD.replace("1772366765", "1772366766")
    assert encode(GOOD).id[:8] == document_id(1_772_366_765_000)[:8]
    assert encode(later).id[:8] == document_id(1_772_366_766_000)[:8]


@pytest.mark.parametrize("status", ["NODATA", "SKIPDATA"])
def test_records_without_traffic_are_documents_too(status):
    """NODATA and SKIPDATA keep their time and status and have no source."""
    found = body(f"2 111122223333 eni-0a - - - - - - - 1772366710 1772366765 - {status}")
    assert found["aws"]["vpcflow"]["log_status"] == status
    assert found["event"]["type"] == ["connection"]
    assert "outcome" not in found["event"]
    assert not found.keys() & {"source", "destination", "network", "related"}


def test_a_layout_without_times_takes_the_time_in_the_file_name():
    """AWS's NAT example has no time at all: the window in the object's key stands in."""
    layout = ("instance-id", "interface-id", "srcaddr", "dstaddr", "pkt-srcaddr", "pkt-dstaddr")
    document = encode("- eni-0a 10.0.1.5 10.0.0.220 10.0.1.5 203.0.113.5", layout)
    assert document.time_ms == LABEL_MS
    found = json.loads(document.body)
    assert found["related"]["ip"] == ["10.0.1.5", "10.0.0.220", "203.0.113.5"]
    unnamed = encode("- eni-0a 10.0.1.5 10.0.0.220 10.0.1.5 203.0.113.5", layout, Origin("/tmp/x.log"))
    assert unnamed.time_ms == 1_800_000_000_000


def test_milliseconds_are_told_from_seconds():
    """Times in milliseconds, which AWS has been seen to write, are no dates of the far future."""
    assert encode(GOOD.replace("1772366765", "1772366765123")).time_ms == 1_772_366_765_123


def test_what_the_line_does_not_say_comes_from_the_key():
    """Account and region of the object's key fill what the layout leaves out."""
    cloud = body("10.0.0.1 1772366765", ("srcaddr", "end"))["cloud"]
    assert cloud == {"provider": "aws", "account": {"id": "111122223333"}, "region": "eu-west-1"}


def test_a_field_that_is_new_to_us_is_kept():
    """A field that AWS adds later goes into aws.vpcflow under its own name."""
    found = body("10.0.0.1 1772366765 blue", ("srcaddr", "end", "next-hop-colour"))
    assert found["aws"]["vpcflow"] == {"next_hop_colour": "blue"}


def test_a_hostile_header_writes_no_code():
    """A field name that is no name is left out, whatever it contains; the line itself is kept."""
    layout = ("srcaddr", '"};import os;{"', "{__import__('os')}", "end", "a'''+b", "x y")
    found = body("10.0.0.1 a b 1772366765 c d", layout)
    assert "vpcflow" not in found["aws"]
    assert found["event"]["original"] == "10.0.0.1 a b 1772366765 c d"


def test_text_that_json_must_escape_is_escaped():
    """Quotes, control characters and bytes that are no UTF-8 arrive as what they are, or as U+FFFD."""
    document = encode(b'2 1 eni-"\\\x01\xff 10.0.0.1 10.0.0.2 1 2 6 1 1 1772366710 1772366765 ACCEPT OK')
    assert json.loads(document.body)["aws"]["vpcflow"]["interface_id"] == 'eni-"\\\x01\ufffd'


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (" 51000 ", " 65536 "),
        (" 51000 ", " x "),
        (" 6 10 ", " 256 10 "),
        ("203.0.113.7", "203.0.113.7.9"),
        ("203.0.113.7", "::g"),
        ("1772366765", "yesterday"),
        ("1772366765", "9" * 18),
        (" 840 ", " 9223372036854775808 "),
        (" OK", ""),
        (" OK", " OK OK"),
        (" 22 ", "  "),
    ],
)
def test_a_line_that_cannot_be_a_document_is_bad_input(old, new):
    """A wrong number, address, time or count of fields is a dead letter with its reason, not a wrong document."""
    with pytest.raises(BadInputError):
        encode(GOOD.replace(old, new))


def test_renewed_geography_shows():
    """What was looked up is not kept for ever."""
    answers = [{"geo": {"city_name": "Old"}}, {"geo": {"city_name": "New"}}]
    schema = VpcFlowEcs("default", lambda _: answers[0], geo_seconds=-1.0)
    for expected in ("Old", "New"):
        document = schema.encoder(ORIGIN)(Record(GOOD.encode(), 2, V2))
        assert document is not None
        assert json.loads(document.body)["source"]["geo"]["city_name"] == expected
        answers.pop(0)


NAMES = (*V11, *TRANSIT_GATEWAY, "new-field", "sublocation", "tcp-flags-array", "Bad Name", "{x}", "a'b")
WORDS = st.sampled_from(
    [
        *(
            "-",
            "0",
            "6",
            "1",
            "17",
            "47",
            "58",
            "255",
            "256",
            "22",
            "007",
            "65535",
            "65536",
            "00",
            "12345678901234567890",
        ),
        *("10.0.0.1", "203.0.113.7", "203.0.113.8", "::1", "2001:db8::1", "999.1.1.1", "1772366765", "1772366765000"),
        *(
            "ACCEPT",
            "REJECT",
            "OTHER",
            "OK",
            "NODATA",
            "ingress",
            "us-east-1",
            "i-0a",
            'x"y',
            "b\\s",
            "ü",
            "",
            "{",
            "²",
        ),
    ]
)


@given(st.data())
def test_the_compiled_encoder_equals_the_mapping(data):
    """Whatever the layout and the line: the fast way writes what the plain way defines, or steps aside."""
    names = data.draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=30))
    layout = tuple(data.draw(st.permutations([*names, *TRAFFIC]) if data.draw(st.booleans()) else st.just(names)))
    likely = {
        **dict.fromkeys(("srcaddr", "dstaddr", "pkt-srcaddr", "pkt-dstaddr"), ("10.0.0.1", "203.0.113.7", "::1")),
        **dict.fromkeys(("srcport", "dstport", "bytes", "packets", "tcp-flags"), ("8", "22", "129")),
        **dict.fromkeys(("start", "end"), ("1772366765", "1772366710")),
        "protocol": ("6", "17", "1", "58", "47"),
        "action": ("ACCEPT", "REJECT", "-"),
    }
    odd = data.draw(st.booleans())
    values = [data.draw(WORDS if odd else st.sampled_from(likely.get(name, ("-", "a", "eni-1")))) for name in layout]
    line = " ".join(values)
    asked = data.draw(st.sampled_from([None, whose]))
    named = data.draw(st.sampled_from([None, Places(Named(), {"r": "Region"})]))
    caches = Caches(Endpoints(geography, asked), Times(), Ports(), None, named)
    account, region = data.draw(st.sampled_from([("", ""), ("1", "r")]))
    context = Context({"ecs": {"version": "8"}}, {"s3": {"x": 1}}, account, region)
    try:
        expected = LineMapping(caches.endpoints, caches.times, None, named).document(layout, line, context, 5)
    except BadInputError:
        expected = None
    compiled = compile_layout(layout, account, region, caches)
    found = compiled(line.encode(), '"ecs":{"version":"8"},', '"s3":{"x":1},') if compiled else None
    natively = native_lines(layout, account, region, caches)
    written = natively(line.encode(), b'"ecs":{"version":"8"},', b'"s3":{"x":1},') if natively else None
    if written is not None:
        assert found is not None
        assert written == (found[0], found[1].encode())
    if found is not None:
        assert expected is not None
        assert (found[0], json.loads(found[1])) == (expected[0], json.loads(orjson.dumps(expected[1])))
    else:
        own = set(expected[1]["aws"].get("vpcflow", ())) if expected else set()
        assert odd or not set(TRAFFIC) <= set(layout) or own <= {"pkt_srcaddr", "pkt_dstaddr"}


@pytest.mark.parametrize("layout", [V5, V11], ids=["V5", "V11"])
def test_addresses_of_packets_have_geography_of_their_own(layout):
    """Behind a NAT gateway the packets' addresses are no end of the flow: all three ways tell of them apart, once."""
    ends = {"srcaddr": "10.0.0.1", "dstaddr": "10.0.0.2", "protocol": "6", "log-status": "OK", "vpc-id": "vpc-1"}
    ends |= dict.fromkeys(("srcport", "dstport", "packets", "bytes"), "80") | dict.fromkeys(
        ("start", "end"), "1772366765"
    )

    def told(**more: str) -> Any:
        values = ends | {name.replace("_", "-"): value for name, value in more.items()}
        line = " ".join(values.get(name, "-") for name in layout)
        caches = Caches(Endpoints(geography, whose), Times(), Ports())
        _, expected = LineMapping(caches.endpoints, caches.times).document(layout, line, Context(), 5)
        compiled, natively = compile_layout(layout, "", "", caches), native_lines(layout, "", "", caches)
        assert compiled is not None
        written = [compiled(line.encode(), "", ""), natively(line.encode(), b"", b"") if natively else None]
        bodies = [json.loads(found[1]) for found in written if found is not None]
        assert len(bodies) == (1 if natively is None else 2)
        document = json.loads(orjson.dumps(expected))
        assert all(body == document for body in bodies)
        return document["aws"].get("addresses")

    known = {"geo": {"city_name": "Malmö"}, "as": {"number": 64500}}
    known["cloud"] = {"provider": "aws", "service": {"name": ["ec2", "s3"]}}
    assert told(pkt_srcaddr="10.0.0.1", pkt_dstaddr="203.0.113.9") == [{"ip": "203.0.113.9", **known}]
    both = told(pkt_srcaddr="203.0.113.8", pkt_dstaddr="203.0.113.9")
    assert [each["ip"] for each in both] == ["203.0.113.8", "203.0.113.9"]
    assert len(told(pkt_srcaddr="203.0.113.8", pkt_dstaddr="203.0.113.8")) == 1
    assert told(dstaddr="203.0.113.9", pkt_srcaddr="10.0.0.1", pkt_dstaddr="203.0.113.9") is None
    assert told(pkt_srcaddr="10.0.0.9", pkt_dstaddr="-") is None


@pytest.mark.skipif(native.FlowLines is None, reason="the native module is not installed")
@pytest.mark.parametrize("layout", [V2, V5, V10, V11], ids=["V2", "V5", "V10", "V11"])
@pytest.mark.parametrize("asked", [None, whose])
def test_the_native_encoder_writes_the_usual_lines(layout, asked):
    """All of an ordinary object's lines, as the compiled encoder does; those of other protocols are left to it."""
    caches = Caches(Endpoints(geography, asked), Times(), Ports())
    compiled, natively = compile_layout(layout, "1", "r", caches), native_lines(layout, "1", "r", caches)
    assert compiled is not None
    assert natively is not None
    for line in [*lines(layout, random.Random(3), 300), *lines(layout, random.Random(4), 300)]:
        expected = compiled(line, "", "")
        assert expected is not None
        assert natively(line, b"", b"") == (expected[0], expected[1].encode())
    values = line.split(b" ")
    values[layout.index("protocol")] = b"1"
    assert natively(b" ".join(values), b"", b"") is None


@given(st.binary(max_size=200), st.sampled_from([V2, TRANSIT_GATEWAY, ("end",), ("new-field",)]))
def test_any_line_is_a_document_or_bad_input(line, layout):
    """No bytes make the encoder fail in a way that would stop the process."""
    schema = VpcFlowEcs("default", None)
    try:
        document = schema.encoder(ORIGIN)(Record(line, 1, layout))
    except BadInputError:
        return
    assert document is not None
    assert json.loads(document.body)["event"]["original"] == line.decode("utf-8", "replace")
