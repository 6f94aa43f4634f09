"""CloudTrail objects, whole and damaged, taken apart into records."""

from __future__ import annotations

import gzip
import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.errors import BadInputError
from shipper.formats.cloudtrail import CloudTrailFormat
from shipper.formats.cloudtrail_scanner import RecordScanner
from shipper.model import Origin, Payload, ReadLimits, Record, Rejected

ONE = b'{"eventVersion":"1.11","eventID":"1","odd":"}]{[\\" \\\\"}'
TWO = b'{ "eventID" : "2", "requestParameters" : {"a": [1, {"b": null}]} }'


def read(data: bytes, step: int = 1 << 16, limits: ReadLimits | None = None) -> tuple[list[Record | Rejected], str]:
    """All parts of an object, and the error at its end."""
    found: list[Record | Rejected] = []
    chunks = iter([data[at : at + step] for at in range(0, len(data), step)])
    try:
        found.extend(CloudTrailFormat(limits or ReadLimits()).records(Payload(Origin("a"), chunks)))
    except BadInputError as error:
        return found, str(error)
    return found, ""


def raws(data: bytes, step: int = 1 << 16) -> list[bytes]:
    """The records of a sound object."""
    found, error = read(data, step)
    assert not error
    assert all(isinstance(part, Record) for part in found)
    return [part.raw for part in found]


@pytest.mark.parametrize(
    "data",
    [
        b'{"Records":[' + ONE + b"," + TWO + b"]}",
        b' {\n "other": [{"eventID": "no"}], "Records" : [\n' + ONE + b" ,\n" + TWO + b'\n], "more": [{}] }\n',
        b"[" + ONE + b",\r\n" + TWO + b"]",
        ONE + b"\n" + TWO + b"\n",
        ONE + b"\r\n\r\n" + TWO,
        b'{"Records":[' + ONE + b']}\n{"Records":[' + TWO + b"]}\n",
        json.dumps(json.loads(ONE), indent=1).encode() + json.dumps(json.loads(TWO), indent=1).encode(),
        b"\xef\xbb\xbf" + b'{"Records":[' + ONE + b"," + TWO + b"]}",
    ],
    ids=["object", "spaced", "array", "lines", "crlf lines", "objects a line", "indented", "byte order mark"],
)
@pytest.mark.parametrize("packed", [False, True])
def test_records_are_found_in_every_form(data, packed):
    """Records keep their own bytes, whatever stands around them, gzip or not."""
    found = raws(gzip.compress(data) if packed else data)
    assert [json.loads(raw) for raw in found] == [json.loads(ONE), json.loads(TWO)]
    assert all(raw in data.replace(b"\r", b"") or raw in data for raw in found)


def test_positions_count_from_one_and_are_line_numbers_in_lines():
    """A dead letter's position says where to look, in every form alike."""
    assert [part.position for part in read(b'{"Records":[' + ONE + b"," + TWO + b"]}")[0]] == [1, 2]
    assert [part.position for part in read(b'{"Records":[' + ONE + b",oops," + TWO + b"]}")[0]] == [1, 2, 3]
    assert [part.position for part in read(b"[" + ONE + b"," + TWO + b"]")[0]] == [1, 2]
    assert [part.position for part in read(ONE + b"\n\n" + TWO)[0]] == [1, 3]
    together = b'{"Records":[' + ONE + b"," + TWO + b"]}"
    assert [part.position for part in read(together + b"\n" + together)[0]] == [1, 2, 3, 4]


DEEP = b'{"eventID":"9","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
REASONS = [
    (b'{"eventID":"9","x":NaN}', "not JSON: NaN is no JSON value"),
    (b'{"eventID":"9","x":-Infinity}', "not JSON: -Infinity is no JSON value"),
    (DEEP, "nested too deeply"),
    (b'{"eventID":"9","x":' + b'{"y":[' * 600 + b"]}" * 600 + b"}", "nested too deeply"),
    (b'{"eventID":"9","x":oops}', "not JSON: Expecting value: line 1 column 20 (char 19)"),
]


@pytest.mark.parametrize(("bad", "reason"), [*REASONS, (b"[1]", "not a JSON object")])
@pytest.mark.parametrize("in_lines", [False, True])
def test_a_rejected_record_says_what_is_wrong_with_it(bad, reason, in_lines):
    """The reason is the true one: what JSON does not allow, what is too deep, what is of another kind."""
    data = ONE + b"\n" + bad + b"\n" + TWO if in_lines else b'{"Records":[' + ONE + b"," + bad + b"," + TWO + b"]}"
    found, error = read(data)
    assert [type(part) for part in found] == [Record, Rejected, Record]
    assert isinstance(found[1], Rejected)
    assert (found[1].reason, error) == (reason, "")


@pytest.mark.parametrize("in_lines", [False, True])
def test_a_record_with_many_brackets_is_not_deep(in_lines):
    """Only depth counts: neither lists beside each other, nor brackets in texts."""
    wide = b'{"eventID":"9","x":[' + b",".join([b'{"y":[1]}'] * 3_000) + b'],"t":"' + b"[" * 3_000 + b'"}'
    data = ONE + b"\n" + wide + b"\n" + TWO if in_lines else b'{"Records":[' + ONE + b"," + wide + b"," + TWO + b"]}"
    found, _ = read(data)
    assert [type(part) for part in found] == [Record, Record, Record]


def test_a_broken_record_leaves_its_neighbours_alone():
    """One bad record in lines or in an object is rejected by itself."""
    for data in (ONE + b'\n{"eventID": oops\n' + TWO, b'{"Records":[' + ONE + b',{"eventID":oops},' + TWO + b"]}"):
        found, error = read(data)
        assert [type(part) for part in found] == [Record, Rejected, Record]
        assert not error


@pytest.mark.parametrize("junk", [b"1", b"null", b'"text"', b"[1]", b"tru"])
def test_what_is_no_object_among_records_is_rejected(junk):
    """Nothing between records disappears without a trace."""
    found, _ = read(b'{"Records":[' + ONE + b"," + junk + b"," + TWO + b"]}")
    assert [type(part) for part in found] == [Record, Rejected, Record]


def test_halves_of_surrogate_pairs_are_no_reason_to_reject():
    """JSON's grammar allows them, and S3 keys may hold them."""
    odd = rb'{"eventID":"3","k":"\ud800"}'
    assert raws(b'{"Records":[' + ONE + b"," + odd + b"]}") == [ONE, odd]


@pytest.mark.parametrize("data", [b"", b" \n", b'{"Records":[]}', b"[]", gzip.compress(b"")])
def test_empty_objects_have_no_records(data):
    """Emptiness is no error."""
    assert read(data) == ([], "")


@pytest.mark.parametrize("data", [b"text", b"12", b"null", b'"a"', b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfd"])
def test_what_is_not_json_is_a_bad_input(data):
    """Any bytes give an error with a plain reason, never a crash."""
    found, error = read(data)
    assert error
    assert not any(isinstance(part, Record) for part in found)


@pytest.mark.parametrize("data", [b'{"a":1}', b'{"Records":{}}', b'{"Records":null}', b'{"version":"0","detail":{}}'])
def test_json_that_is_no_cloudtrail_is_rejected(data):
    """Another log's object is told from a record."""
    found, _ = read(data)
    assert [part.reason for part in found if isinstance(part, Rejected)] == ["JSON, but not a CloudTrail record"]


@pytest.mark.parametrize("step", [1, 100, 1 << 16])
def test_a_cut_off_object_yields_what_came_before(step):
    """Truncation, in gzip or in JSON, loses nothing that is readable."""
    whole = b'{"Records":[' + ONE + b"," + TWO + b"," + ONE + b"]}"
    for data in (whole[:-20], gzip.compress(whole)[:-4], gzip.compress(whole[:-20])):
        found, error = read(data, step)
        assert [part.raw for part in found][:2] == [ONE, TWO]
        assert error


def test_members_and_padding_of_gzip_are_read():
    """Several members make one object, and zeros after the last are nothing."""
    data = b'{"Records":[' + ONE + b"," + TWO + b"]}"
    assert raws(gzip.compress(data[:30]) + gzip.compress(data[30:]) + b"\0" * 600) == [ONE, TWO]


def test_limits_are_kept():
    """A long record is rejected, a large object is an error after what came before."""
    data = b'{"Records":[' + ONE + b"," + TWO + b"]}"
    found, _ = read(data, limits=ReadLimits(record_bytes=len(ONE)))
    assert [type(part) for part in found] == [Record, Rejected]
    assert "bytes" in read(gzip.compress(b" " * 10_000_000), limits=ReadLimits(object_bytes=1_000_000))[1]


def test_a_large_object_is_taken_apart_in_little_memory():
    """An object beyond the size that is read at once streams, and so does a record without an end."""
    count = 40_000
    record = ONE[:-1] + b',"p":"' + b"x" * 500 + b'"}'
    pieces = [b'{"Records":[', *[record + b","] * (count - 1), record, b"]}"]
    tracemalloc.start()
    found = sum(1 for _ in CloudTrailFormat(ReadLimits()).records(Payload(Origin("a"), iter(pieces))))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == count
    assert peak < 40 << 20
    endless = [b'{"Records":[{"eventID":"', *[b"x" * (1 << 18)] * 80, b'"},', ONE, b"]}"]
    parts = list(CloudTrailFormat(ReadLimits()).records(Payload(Origin("a"), iter(endless))))
    assert [type(part) for part in parts] == [Rejected, Record]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)
events = st.lists(st.dictionaries(st.text(), json_values, max_size=4).map(lambda event: event | {"eventID": "x"}))


@settings(max_examples=60, deadline=None)
@given(made=events, escaped=st.booleans(), indent=st.sampled_from([None, 1]), step=st.integers(1, 50))
def test_the_scanner_finds_the_same_records_wherever_the_stream_is_cut(made, escaped, indent, step):
    """No border between two pieces changes what is found."""
    data = json.dumps({"x": [], "Records": made}, ensure_ascii=escaped, indent=indent).encode()
    scanner = RecordScanner(1 << 20)
    found = [raw for at in range(0, len(data), step) for raw in scanner.feed(data[at : at + step])]
    assert [json.loads(raw) for raw in found] == made
    assert scanner.complete


@settings(max_examples=150, deadline=None)
@given(
    data=st.binary(max_size=300) | st.text(alphabet='{}[]",:\\ \nRecords1e').map(str.encode), step=st.integers(1, 30)
)
def test_no_bytes_crash_the_format(data, step):
    """Whatever comes, the result is records, rejections, or a bad input."""
    assert read(data, step)[0] == read(data)[0]
