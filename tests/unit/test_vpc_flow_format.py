"""Flow log objects taken apart: headers, layouts without headers, bounds, and lines that are neither."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.errors import BadInputError, ConfigError
from shipper.flow_layouts import (
    NAT,
    TRANSIT_GATEWAY,
    V2,
    V5,
    V7,
    V8,
    V10,
    V11,
    layout_from_count,
    layout_from_header,
    layout_from_log_format,
)
from shipper.formats.lines import LongLine, lines
from shipper.formats.vpc_flow import VpcFlowFormat
from shipper.model import Origin, Payload, ReadLimits, Record, Rejected

GOOD = b"2 111122223333 eni-0a 203.0.113.7 10.0.0.5 51000 22 6 10 840 1772366710 1772366765 REJECT OK"


def read(data: bytes, fields=None, limits=None, *, compress=True, chunk=7):
    stored = gzip.compress(data) if compress else data
    chunks = iter([stored[i : i + chunk] for i in range(0, len(stored), chunk)])
    payload = Payload(Origin("s3://b/k.log.gz", "b", "k.log.gz"), chunks, len(stored))
    return list(VpcFlowFormat(limits or ReadLimits(), fields).records(payload))


@pytest.mark.parametrize("compress", [True, False])
def test_lines_below_a_header_have_its_layout(compress):
    """The header names the fields, in whatever order; it is no record, and positions are line numbers of the object."""
    records = read(b"dstaddr end srcaddr\n10.0.0.1 5 10.0.0.2\n10.0.0.3 6 -\n", compress=compress)
    layout = ("dstaddr", "end", "srcaddr")
    assert records == [Record(b"10.0.0.1 5 10.0.0.2", 2, layout), Record(b"10.0.0.3 6 -", 3, layout)]
    assert records[0].layout is records[1].layout


def test_a_header_may_be_written_with_underscores_and_names_of_the_future():
    """Names as Athena and Parquet write them, and names that AWS adds later, make a header too."""
    assert layout_from_header(b"account_id next_hop_colour") == ("account-id", "next-hop-colour")


@pytest.mark.parametrize(
    "line", [b"", b"-", GOOD, b"i-0a eni-0b 10.0.0.1 - - -", b"some text", b"Version", b"srcaddr  end", b"\xff"]
)
def test_data_is_no_header(line):
    """A line with anything but names of fields is data."""
    assert layout_from_header(line) is None


def test_a_header_with_too_many_columns_is_none():
    """What an attacker writes costs no memory beyond the line."""
    assert layout_from_header(b" ".join([b"srcaddr"] * 129)) is None


@pytest.mark.parametrize("layout", [V2, NAT, V5, V7, V8, V10, V11, TRANSIT_GATEWAY])
def test_lines_without_any_header_are_told_by_their_number_of_fields(layout):
    """The documented layouts are recognised without a header, each line for itself."""
    line = b" ".join([b"-"] * len(layout))
    assert read(line + b"\n" + GOOD) == [Record(line, 1, layout), Record(GOOD, 2, V2)]
    assert layout_from_count(len(layout)) == layout


def test_a_number_of_fields_that_no_layout_has_is_rejected():
    """Without a header an unknown layout is a dead letter that says so; its neighbours go on."""
    first, second = read(b"a b c\n" + GOOD)
    assert first == Rejected(b"a b c", 1, "3 fields: not a documented layout, and there is no header")
    assert second == Record(GOOD, 2, V2)


def test_a_wrong_number_of_fields_is_rejected():
    """A line that does not fit the header is a dead letter; its neighbours go on."""
    found = read(b"srcaddr end\n10.0.0.1\n10.0.0.1 5\n10.0.0.1 5 6\n")
    layout = ("srcaddr", "end")
    assert found == [
        Rejected(b"10.0.0.1", 2, "1 fields instead of 2"),
        Record(b"10.0.0.1 5", 3, layout),
        Rejected(b"10.0.0.1 5 6", 4, "3 fields instead of 2"),
    ]


def test_a_layout_given_is_used_where_there_is_no_header():
    """`--format` tells the fields of headerless lines; a header in the object counts for more."""
    assert read(b"1 2\n", ("end", "start")) == [Record(b"1 2", 1, ("end", "start"))]
    assert read(b"start end\n1 2\n", ("end", "start")) == [Record(b"1 2", 2, ("start", "end"))]


def test_joined_objects_have_many_headers():
    """Objects put together (members of one gzip file, or plain) are read each by its own header."""
    found = read(b"srcaddr end\n1 2\nsrcaddr end\n3 4\nend version interface-id\n5 2 eni-1\n")
    assert [(record.position, record.layout[-1]) for record in found] == [(2, "end"), (4, "end"), (6, "interface-id")]


def test_lines_that_begin_with_a_small_letter_are_data():
    """A layout whose first field is an id is read like any other."""
    assert read(b"interface-id end\neni-1 5\n")[0] == Record(b"eni-1 5", 2, ("interface-id", "end"))


def test_windows_ends_and_empty_lines_are_no_part_of_records():
    """CRLF and empty lines are tolerated; the numbers of lines stay those of the object."""
    found = read(b"srcaddr end\r\n\r\n1 2\r\n\n3 4")
    assert found == [Record(b"1 2", 3, ("srcaddr", "end")), Record(b"3 4", 5, ("srcaddr", "end"))]


def test_lines_wrapped_in_json_are_unwrapped():
    """Some collectors write each line as {"message":"…"}."""
    assert read(b'{"message":"' + GOOD + b'"}\n') == [Record(GOOD, 1, V2)]


def test_an_over_long_line_is_rejected_and_its_neighbours_go_on():
    """A line beyond the limit costs bounded memory and is a dead letter with its beginning."""
    limits = ReadLimits(record_bytes=200)
    found = read(b"srcaddr end\n1 2\n" + b"x y" * 5000 + b"\n3 4\n", limits=limits)
    assert [record.position for record in found] == [2, 3, 4]
    assert isinstance(found[1], Rejected)
    assert len(found[1].raw) <= 4096


def test_a_truncated_object_is_bad_input_after_its_lines():
    """What came before the damage stands."""
    stored = gzip.compress(b"srcaddr end\n" + b"1 2\n" * 100_000)[:-20]
    payload = Payload(Origin("s3://b/k"), iter([stored]))
    records = VpcFlowFormat(ReadLimits()).records(payload)
    assert next(records) == Record(b"1 2", 2, ("srcaddr", "end"))
    with pytest.raises(BadInputError):
        list(records)


def test_an_object_beyond_the_limit_is_bad_input():
    """A bomb is given up when it exceeds the limit, not when memory does."""
    with pytest.raises(BadInputError):
        read(b"srcaddr end\n" + b"1 2\n" * 100_000, limits=ReadLimits(object_bytes=10_000), chunk=1 << 16)


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("${version} ${account-id}\t${srcaddr}", ("version", "account-id", "srcaddr")),
        ("version account_id srcaddr", ("version", "account-id", "srcaddr")),
        (" ".join(f"${{{name}}}" for name in V2), V2),
    ],
)
def test_a_log_format_is_a_layout(text, layout):
    """DescribeFlowLogs' LogFormat and plain names are read alike."""
    assert layout_from_log_format(text) == layout


@pytest.mark.parametrize(
    "text", ["", "hello", "${srcaddr} ${bad name}", "srcaddr ${}", "srcaddr;drop", "srcaddr " * 200]
)
def test_what_is_no_log_format_is_refused(text):
    """A format that cannot be one is a mistake of the configuration, with a hint."""
    with pytest.raises(ConfigError) as caught:
        layout_from_log_format(text)
    assert caught.value.hint


@given(st.binary(max_size=300), st.integers(1, 40), st.integers(1, 60))
def test_lines_are_those_of_the_whole_however_it_is_cut(data, cut, most):
    """The way the bytes are cut into chunks does not show; no line is longer than allowed."""
    chunks = [data[i : i + cut] for i in range(0, len(data), cut)]
    found = [line for batch in lines(chunks, most) for line in batch]
    whole = data.split(b"\n")
    if not whole[-1]:
        whole.pop()
    assert len(found) == len(whole)
    for line, expected in zip(found, whole, strict=True):
        if len(expected) > most:
            assert isinstance(line, LongLine)
            assert expected.startswith(line)
        else:
            assert line == expected.removesuffix(b"\r")


@given(
    st.lists(st.sampled_from([b"version account-id", b"2 1", b"srcaddr", b"\xff", b"- - -", GOOD, b"", b"\r", b"a b"]))
)
def test_every_line_that_is_no_header_is_a_record_or_rejected(content):
    """No line vanishes: each is a header, empty, a record or a dead letter."""
    found = read(b"\n".join(content) + b"\n")
    headers = {b"version account-id", b"srcaddr"}
    positions = [n for n, line in enumerate(content, 1) if line not in headers and line.strip(b"\r")]
    assert [record.position for record in found] == positions
