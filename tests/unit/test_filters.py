"""Filters: what rules mean, on lines and on objects, and how mistakes in them are told."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.errors import ConfigError
from shipper.filters import Filtered, read_filter
from shipper.filters.report import FilterReport
from shipper.model import Document, Origin, Record

LAYOUT = ("version", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "bytes", "action", "log-status")
LINE = b"2 203.0.113.7 10.0.0.5 51000 22 6 840 REJECT OK"
NODATA = b"2 - - - - - - - NODATA"
EVENT: dict[str, Any] = {
    "eventName": "ConsoleLogin",
    "readOnly": False,
    "eventTime": "2026-03-01T12:00:00Z",
    "userIdentity": {"type": "Root", "accountId": "111122223333"},
    "resources": [{"ARN": "arn:aws:s3:::a"}, {"ARN": "arn:aws:s3:::b"}],
    "tags": ["x", "y"],
    "none": [],
    "additionalEventData": {"bytesTransferredIn": 12.5},
}


@pytest.mark.parametrize(
    "rule",
    [
        'action == "REJECT"',
        "action == 'REJECT'",
        'keep action == "REJECT"',
        'drop action == "ACCEPT"',
        "dstport in [22, 3389]",
        'dstport in ["22"]',
        "dstport == 22.0",
        "dstport >= 22 and dstport <= 22",
        "bytes > 839.5",
        "not dstport in [80, 443]",
        "dstport not in [80, 443]",
        'srcaddr in cidr("203.0.113.0/24")',
        'srcaddr in cidr("10.0.0.0/8", "203.0.113.7", "2001:db8::/32")',
        'srcaddr not in cidr("10.0.0.0/8")',
        'log_status == "OK" and log-status == "OK"',
        'LOG-STATUS == "OK"',
        "srcport > 1024 and (dstport == 22 or dstport == 3389)",
        "dstport == 80 or dstport == 22 and bytes > 1",
        "drop not (dstport == 22)",
        'action startswith "REJ" and action endswith "ECT" and action contains "JEC"',
        'action not contains "x"',
        "missing == null",
        "missing != 5",
        "action != null",
    ],
)
def test_rules_that_keep_the_line(rule):
    """Every form of the language, on a rejected ssh connection."""
    assert read_filter(rule).on_lines(LAYOUT)(LINE)


@pytest.mark.parametrize(
    "rule",
    [
        'action == "reject"',
        'drop action == "REJECT"',
        "dstport in [80, 443]",
        "dstport < 22",
        'dstport < "2"',
        "action > 5",
        'srcaddr in cidr("10.0.0.0/8")',
        'action in cidr("10.0.0.0/8")',
        "missing == 5",
        "missing > 5",
        'missing in cidr("0.0.0.0/0")',
        "missing < 5",
        "dstport == 22 and action == 'ACCEPT'",
        "version == true",
    ],
)
def test_rules_that_leave_the_line_out(rule):
    """The same forms where they do not hold."""
    assert not read_filter(rule).on_lines(LAYOUT)(LINE)


def test_a_dash_is_no_value():
    """What AWS did not know equals null and nothing else."""
    assert read_filter("dstport == null").on_lines(LAYOUT)(NODATA)
    assert not read_filter("dstport < 1024").on_lines(LAYOUT)(NODATA)
    assert read_filter("drop dstport in [80, 443]").on_lines(LAYOUT)(NODATA)


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ('eventName == "ConsoleLogin"', True),
        ('userIdentity.type == "Root"', True),
        ("userIdentity.type.deeper == null", True),
        ("readOnly == false", True),
        ('readOnly == "false"', True),
        ("readOnly == 0", False),
        ('resources.ARN == "arn:aws:s3:::b"', True),
        ('resources.ARN != "arn:aws:s3:::b"', False),
        ('resources.ARN endswith ":c"', False),
        ('tags == "y"', True),
        ("none == null", True),
        ("tags == null", False),
        ("additionalEventData.bytesTransferredIn > 12", True),
        ("userIdentity == null", False),
        ('userIdentity == "Root"', False),
        ('eventTime >= "2026-01-01" and eventTime < "2026-04-01"', True),
        ("userIdentity.accountId == 111122223333", True),
    ],
)
def test_rules_on_objects(rule, kept):
    """Paths reach into objects and lists; one of several values is enough."""
    assert read_filter(rule).on_mappings()(EVENT) is kept


def test_records_are_told_by_their_layout():
    """A record with a layout is a line, any other a JSON object; what is neither is kept for the schema to refuse."""
    keeps = read_filter('drop action == "REJECT" or eventName == "ConsoleLogin"').on_records()
    assert not keeps(Record(LINE, 1, LAYOUT))
    assert keeps(Record(NODATA, 1, LAYOUT))
    assert not keeps(Record(json.dumps(EVENT).encode(), 0))
    assert keeps(Record(b"{", 0))
    assert keeps(Record(b"[1]", 0))


def test_a_filtered_schema_makes_no_document():
    """What is left out is None, which shipping counts as filtered."""

    class Plain:
        def encoder(self, origin):
            return lambda record: Document("i", "x", 0, record.raw, record, origin)

    encode = Filtered(Plain(), read_filter('action == "ACCEPT"').on_records()).encoder(Origin("/x"))
    assert encode(Record(LINE, 1, LAYOUT)) is None
    assert encode(Record(LINE.replace(b"REJECT", b"ACCEPT"), 1, LAYOUT)) is not None


def test_a_report_counts_what_a_rule_would_leave_out():
    """Counts, bytes and the values that decided, for people who are about to drop data."""
    report = FilterReport(read_filter('drop action == "REJECT"'))
    decided = [report.add(Record(line, 1, LAYOUT)) for line in (LINE, LINE, NODATA)]
    assert decided == [False, False, True]
    assert (report.dropped.records, report.dropped.bytes) == (2, 2 * len(LINE))
    assert list(report.lines()) == [
        'drop action == "REJECT"',
        f"dropped: 2 of 3 records (66.7%), {2 * len(LINE)} bytes",
        "  action: REJECT 2",
        f"kept: 1 of 3 records (33.3%), {len(NODATA)} bytes",
        "  action: null 1",
    ]


def test_a_report_of_objects_is_bounded():
    """Any JSON is counted, and thousands of values cost no more than a thousand."""
    report = FilterReport(read_filter("a.b == 1"))
    for n in range(1500):
        report.add(Record(b'{"a":{"b":%d}}' % n, 0))
    report.add(Record(b"{", 0))
    assert len(report.dropped.values["a.b"]) == 1001
    assert report.dropped.values["a.b"]["(others)"] == 499
    assert report.kept.values["a.b"] == {"1": 1, "null": 1}
    assert list(FilterReport(read_filter("a == 1")).lines())[1] == "dropped: 0 of 0 records (0.0%), 0 bytes"


@pytest.mark.parametrize(
    ("rule", "column", "hint"),
    [
        ("", 1, "such as"),
        ('action = "REJECT"', 8, "=="),
        ("dstport == 22 && srcport == 1", 15, "and"),
        ("dstport == 22 || srcport == 1", 15, "or"),
        ("! dstport == 22", 1, "not"),
        ("action == REJECT", 11, '"REJECT"'),
        ("srcaddr == 10.0.0.1", 12, '"10.0.0.1"'),
        ('action == "REJECT', 11, "close"),
        ('srcaddr in cidr("10.0.0.1/8")', 17, "10.0.0.0/8"),
        ('srcaddr in cidr("banana")', 17, "cidr"),
        ("srcaddr in cidr(10)", 17, ""),
        ('dstaddr in ["10.0.0.1", "10.0.0.0/8"]', 37, 'dstaddr in cidr("10.0.0.0/8")'),
        ('sourceIPAddress != "2001:db8::/32"', 20, 'in cidr("2001:db8::/32")'),
        ("srcaddr in [10.0.0.0/8]", 13, 'cidr("10.0.0.0/8")'),
        ("dstport in [22", 15, ""),
        ("dstport in []", 13, ""),
        ("dstport in 22", 12, ""),
        ("(dstport == 22", 15, ""),
        ("dstport == 22)", 14, ""),
        ("dstport", 8, ""),
        ("22 == dstport", 1, "left"),
        ("dstport > true", 11, ""),
        ("dstport == 22 dstport == 23", 15, "and"),
        ("and == 5", 1, ""),
        ("not", 4, ""),
        ("drop", 5, ""),
        ("x == " + "9" * 400, 6, ""),
        ("not " * 60 + "x == 1", 201, "fewer"),
        ("x == 1 or " * 3000 + "x == 1", None, "networks"),
        ("dstport == 22 \u20ac", 15, ""),
    ],
)
def test_mistakes_are_told_with_their_column(rule, column, hint):
    """A rule that cannot be read says where and what was probably meant."""
    with pytest.raises(ConfigError) as caught:
        read_filter(rule)
    assert column is None or f"column {column}:" in str(caught.value)
    assert hint in caught.value.hint + str(caught.value)
    assert caught.value.hint


def test_a_misspelt_field_is_a_mistake_where_the_fields_are_known():
    """A rule that would silently leave all out is refused."""
    with pytest.raises(ConfigError) as caught:
        read_filter("dst_prot == 22", known=LAYOUT)
    assert "column 1" in str(caught.value)
    assert "dstport" in caught.value.hint
    assert read_filter("dstport == 22 and log_status == 'OK'", known=LAYOUT).names == ("dstport", "log_status")
    assert read_filter("dstport == 22 and colour == 1").unknown_in(LAYOUT) == ["colour"]


@given(st.text(max_size=60))
def test_any_text_is_a_rule_or_a_mistake(text):
    """No text makes the reader fail in another way."""
    try:
        rule = read_filter(text)
    except ConfigError:
        return
    assert rule.on_lines(LAYOUT)(LINE) in {True, False}


PARTS = (
    *("drop", "keep", "dstport", "in", "cidr", "not", "and", "or"),
    *("(", ")", "[", "]", ",", "==", "<", '"10.0.0.0/8"', "22", "null"),
)


@given(st.lists(st.sampled_from(PARTS), max_size=12), st.binary(max_size=30))
def test_any_words_are_a_rule_or_a_mistake(parts, line):
    """Nor does any sequence of the language's own words, on any line."""
    try:
        rule = read_filter(" ".join(parts))
    except ConfigError:
        return
    assert rule.on_lines(LAYOUT)(line) in {True, False}
    assert rule.on_mappings()({"dstport": {"a": line}}) in {True, False}


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 32))
def test_networks_hold_what_the_standard_library_says(address, base, bits):
    """CIDR membership is that of ipaddress."""
    network = ip_network((base, bits), strict=False)
    rule = read_filter(f'srcaddr in cidr("{network}")').on_mappings()
    assert rule({"srcaddr": str(ip_address(address))}) is (ip_address(address) in network)


SIMPLE = st.sampled_from(["dstport == 22", "dstport == 80", 'action == "REJECT"', "missing == null", "bytes > 1000"])
TREES = st.recursive(
    SIMPLE.map(lambda rule: (rule, read_filter(rule).on_lines(LAYOUT)(LINE))),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: (f"({two[0][0]} and {two[1][0]})", two[0][1] and two[1][1])),
        st.tuples(inner, inner).map(lambda two: (f"({two[0][0]} or {two[1][0]})", two[0][1] or two[1][1])),
        inner.map(lambda one: (f"not {one[0]}", not one[1])),
    ),
    max_leaves=8,
)


@given(TREES)
def test_logic_is_logic(tree):
    """and, or, not and parentheses combine tests as they should, and drop is the opposite of keep."""
    text, expected = tree
    assert read_filter(text).on_lines(LAYOUT)(LINE) is expected
    assert read_filter(f"drop {text}").on_lines(LAYOUT)(LINE) is not expected
