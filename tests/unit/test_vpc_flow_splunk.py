"""Flow log lines as HEC envelopes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.build import LOG_TYPES
from shipper.errors import BadInputError
from shipper.flow_layouts import NAT, TRANSIT_GATEWAY, V2, V5
from shipper.model import Document, LogEvent, LogStream, Origin, Record
from shipper.ports import Lookups
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
    assert (
        "pkt_src_country"
        in envelope(b"203.0.113.9 " + GOOD.replace(b"203.", b"198."), first, geo=lambda _: PLACE)["fields"]
    )


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


ORDERS = [
    ("srcaddr", "dstaddr", "version", "account-id", "action", "start", "vpc-id"),
    (*V2[:13], "vpc-id"),
    tuple(reversed(V2)),
    (*V5, "reject-reason"),
    NAT,
    TRANSIT_GATEWAY,
    ("tgw-id", "srcaddr", "bytes"),
]


@pytest.mark.parametrize("layout", ORDERS)
def test_lines_of_other_formats_keep_their_names(layout):
    """The header is not shipped: each value stands under the name that the add-on gives the field."""
    values = [f"192.0.2.{n}" if name.endswith("addr") else str(100 + n) for n, name in enumerate(layout)]
    event = envelope(" ".join(values).encode(), layout)["event"]
    assert list(event.values()) == values
    theirs = {"srcaddr": "src_ip", "dstaddr": "dest_ip", "start": "start_time", "end": "end_time"}
    theirs |= {"action": "vpcflow_action", "protocol": "protocol_code", "srcport": "src_port", "dstport": "dest_port"}
    assert list(event) == [theirs.get(name, name.replace("-", "_")) for name in layout]


@pytest.mark.parametrize("layout", [V2, V5, tuple(sorted(V5))])
def test_formats_that_the_add_on_reads_stay_lines(layout):
    """The default one and both of version 5."""
    for values in (["-"] * len(layout), ["192.0.2.7" if name.endswith("addr") else "7" for name in layout]):
        line = " ".join(values)
        assert envelope(line.encode(), layout)["event"] == line


@pytest.mark.parametrize("layout", [V2, NAT, V5, TRANSIT_GATEWAY])
def test_a_line_whose_format_was_guessed_wrongly_is_refused(layout):
    """Fields in an order of their own, as many as a documented format has: they never get wrong names."""
    values = ["203.0.113.9", *["7"] * (len(layout) - 1)]
    event = LogEvent("3" * 56, 1_772_366_710_000, LogStream("1", "eu-west-1", "flows", "eni-1"), None)
    with pytest.raises(BadInputError, match="is no address"):
        VpcFlowSplunk("", "", None).encoder(ORIGIN)(Record(" ".join(values).encode(), 1, None, event))


@pytest.mark.parametrize(("line", "layout"), [(b"1 2 3", V2), (b"x", ())])
def test_a_line_with_other_than_its_number_of_fields_is_refused(line, layout):
    """As it is for Elasticsearch."""
    with pytest.raises(BadInputError, match="fields instead of"):
        encode(line, layout)


def test_a_line_with_two_fields_of_one_name_stays_as_it_is():
    """An object would lose one of the values."""
    assert envelope(b"192.0.2.1 192.0.2.2", ("srcaddr", "srcaddr"))["event"] == "192.0.2.1 192.0.2.2"


@pytest.mark.parametrize(
    ("stream", "source"),
    [
        (LogStream("1", "eu-west-1", "flows", "eni-1"), "eu-west-1:flows:eni-1"),
        (LogStream("1", "", "flows", "eni-1"), "unknown:flows:eni-1"),
        (LogStream("1", "", "flows", ""), "unknown:flows"),
        (LogStream("1", "eu-west-1", "", ""), ORIGIN.uri),
    ],
)
def test_a_log_groups_name_is_never_taken_for_the_region(stream, source):
    """The add-on takes the source's first part for the region; both schemas of log events write it alike."""
    event = LogEvent("3" * 56, 1_772_366_710_000, stream, None)
    for schema in (VpcFlowSplunk("", "", None), LOG_TYPES["cloudwatch"].splunk("", "", Lookups())):
        document = schema.encoder(ORIGIN)(Record(GOOD, 1, None, event))
        assert document is not None
        assert json.loads(document.body)["source"] == source


def test_a_line_without_time_takes_that_of_the_file_name():
    """Time is the start of the flow, else the end, else the window in the object's name."""
    assert envelope(GOOD.replace(b"1772366710", b"-"))["time"] == 1772366765.0
    assert envelope(b"- x", ("srcaddr", "vpc-id"))["time"] == 1_772_366_700.0


@given(st.binary(min_size=1, max_size=200), st.sampled_from([V2, ("end",), ("start", "srcaddr")]))
def test_any_line_is_an_envelope_where_elasticsearch_has_a_document(line, layout):
    """What is refused is refused for both, in the same words; an envelope is valid JSON that has all of the line."""
    words = []
    for schema in (VpcFlowSplunk("", "", None), VpcFlowEcs("test", None)):
        try:
            schema.encoder(ORIGIN)(Record(line, 2, layout))
        except BadInputError as error:
            words.append(str(error))
    assert words in ([], [words[0]] * 2 if words else [])
    if not words:
        found = envelope(line, layout, geo=lambda _: None)
        event = found["event"]
        assert (event if isinstance(event, str) else " ".join(event.values())) == line.decode("utf-8", "replace")
        assert found["time"] > 0
