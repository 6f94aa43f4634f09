"""Flow log lines as HEC envelopes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shipper.errors import BadInputError
from shipper.flow_layouts import TRANSIT_GATEWAY, V2
from shipper.model import Document, Origin, Record
from shipper.schemas.ecs.vpc_flow import VpcFlowEcs
from shipper.schemas.splunk.vpc_flow import VpcFlowSplunk

ORIGIN = Origin("s3://logs/a_20260301T1205Z_5e1f0c2d.log.gz", "logs", "a_20260301T1205Z_5e1f0c2d.log.gz")
GOOD = b"2 111122223333 eni-0a 203.0.113.7 10.0.0.5 51000 22 6 10 840 1772366710 1772366765 REJECT OK"
PLACE = {
    "geo": {
        "country_name": "Sweden",
        "country_iso_code": "SE",
        "city_name": "Malm\u00f6",
        "location": {"lat": 1.5, "lon": 2.5},
    },
    "as": {"number": 64500, "organization": {"name": "Example"}},
}


def encode(line: bytes, layout=V2, *, index="flows", host="h", geo=None) -> Document:
    schema = VpcFlowSplunk(index, host, geo, clock=lambda: 1_800_000_000.0)
    document = schema.encoder(ORIGIN)(Record(line, 2, layout))
    assert document is not None
    return document


def envelope(line: bytes, layout=V2, **settings: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(encode(line, layout, **settings).body)
    return found


def test_the_event_is_the_line_itself():
    """The add-on takes AWS's own line apart: it arrives unchanged, in an envelope of known keys only."""
    assert envelope(GOOD) == {
        "time": 1772366710.0,
        "host": "h",
        "source": ORIGIN.uri,
        "sourcetype": "aws:cloudwatchlogs:vpcflow",
        "index": "flows",
        "event": GOOD.decode(),
        "fields": {"event_uid": encode(GOOD).id},
    }


def test_addresses_of_packets_have_fields_of_their_own():
    """Where they are others than the flow's."""
    layout = (*V2, "pkt-srcaddr", "pkt-dstaddr")
    fields = envelope(GOOD + b" 203.0.113.7 198.51.100.9", layout, geo=lambda _: PLACE)["fields"]
    assert (fields["src_country"], fields["dest_country"], fields["pkt_dest_country"]) == ("Sweden",) * 3
    assert "pkt_src_country" not in fields
    assert "pkt_dest_country" not in envelope(GOOD + b" - -", layout, geo=lambda _: PLACE)["fields"]
    first = ("pkt-srcaddr", *V2)
    assert "pkt_src_country" in envelope(b"203.0.113.9", first, geo=lambda _: PLACE)["fields"]


def test_what_is_not_configured_is_no_key():
    """An empty index or host is left to the token and the server."""
    assert not envelope(GOOD, index="", host="").keys() & {"index", "host"}


def test_the_uid_is_the_id_of_the_same_line_in_elasticsearch():
    """One line has one identity, whatever the sink."""
    other = VpcFlowEcs("default", None).encoder(ORIGIN)(Record(GOOD, 2, V2))
    assert other is not None
    assert encode(GOOD).id == other.id


def test_geography_is_flat():
    """Indexed fields are flat, for each side that something is known of."""
    fields = envelope(GOOD, geo=lambda address: PLACE if address.startswith("203") else None)["fields"]
    assert fields.pop("event_uid")
    assert fields == {
        "src_country": "Sweden",
        "src_country_code": "SE",
        "src_city": "Malm\u00f6",
        "src_lat": 1.5,
        "src_lon": 2.5,
        "src_asn": 64500,
        "src_as_org": "Example",
    }


def test_transit_gateway_lines_have_their_own_sourcetype():
    """The add-on reads them with other fields."""
    line = b" ".join([b"-"] * len(TRANSIT_GATEWAY))
    assert envelope(line, TRANSIT_GATEWAY)["sourcetype"] == "aws:transitgateway:flowlogs"


def test_a_line_without_time_takes_that_of_the_file_name():
    """Time is the start of the flow, else the end, else the window in the object's name."""
    assert envelope(GOOD.replace(b"1772366710", b"-"))["time"] == 1772366765.0
    assert envelope(b"- x", ("srcaddr", "vpc-id"))["time"] == 1_772_366_700.0


@given(st.binary(min_size=1, max_size=200), st.sampled_from([V2, ("end",), ("start", "srcaddr")]))
def test_any_line_is_an_envelope_where_elasticsearch_has_a_document(line, layout):
    """What is refused is refused for both, in the same words; an envelope is always valid JSON."""
    words = []
    for schema in (VpcFlowSplunk("", "", None), VpcFlowEcs("test", None)):
        try:
            schema.encoder(ORIGIN)(Record(line, 2, layout))
        except BadInputError as error:
            words.append(str(error))
    assert words in ([], [words[0]] * 2 if words else [])
    if not words:
        found = envelope(line, layout, geo=lambda _: None)
        assert found["event"] == line.decode("utf-8", "replace")
        assert found["time"] > 0
