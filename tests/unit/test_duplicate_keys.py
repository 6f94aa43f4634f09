"""Keys that a record's JSON has twice: documents say so, and the last value counts wherever it is read."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper import native
from shipper.build.redaction import redactor
from shipper.config import Redact
from shipper.filters import read_filter
from shipper.metrics import Metrics
from shipper.model import Origin, Record
from shipper.schemas.duplicate_keys import has_duplicate_keys, in_python
from shipper.schemas.ecs.cloudtrail import CloudTrailEcs
from shipper.schemas.splunk.cloudtrail import CloudTrailSplunk

ORIGIN = Origin("s3://b/k", "b", "k")
HEAD = (
    '"eventTime":"2026-01-02T03:04:05Z","eventSource":"s3.amazonaws.com","eventID":"e",'
    '"recipientAccountId":"123456789012"'
)
MANY = ",".join(f'"{n}":1' for n in range(200))
TWICE = [
    f'{{{HEAD},"eventName":"A","eventName":"B"}}',
    f'{{{HEAD},"eventName":"B","userIdentity":{{"type":"Root","type":"IAMUser"}}}}',
    f'{{{HEAD},"eventName":"B","userIdentity":{{"type":"Root"}},"userIdentity":{{"type":"IAMUser"}}}}',
    f'{{{HEAD},"eventName":"A" , "\\u0065ventName" : "B"}}',
    f'{{{HEAD},"eventName":"B","other":1,"other":1}}',
    f'{{{HEAD},"eventName":"B","requestParameters":{{"a":[{{"b":1,"b":"\\u0022\\u0022"}}]}}}}',
    f'{{{HEAD},"eventName":"B","requestParameters":{{"a":"\\ud800","a":1}}}}',
    f'{{{HEAD},"eventName":"B","requestParameters":{{{MANY},"7":1}}}}',
]
ONCE = [
    f'{{{HEAD},"eventName":"B"}}',
    f'{{{HEAD},"eventName":"B","userIdentity":{{"type":"IAMUser","sessionContext":{{"type":"x"}}}}}}',
    f'{{{HEAD},"eventName":"B","requestParameters":{{"a\\"":"\\"a\\":1,\\"a\\":2","\\u0022":1,"a\\/":"\\/"}}}}',
    f'{{{HEAD},"eventName":"B","requestParameters":{{"a":[{{"b":1}},{{"b":1}}],"n":123456789012345678901234567890}}}}',
    f'{{{HEAD},"eventName":"B","requestParameters":{{{MANY}}}}}',
]


def ecs(raw: str, *, native_: bool) -> dict[str, Any]:
    document = CloudTrailEcs("default", None, native=native_).encoder(ORIGIN)(Record(raw.encode(), 1))
    assert document is not None
    found: dict[str, Any] = orjson.loads(document.body)
    return found


def envelope(raw: str) -> dict[str, Any]:
    document = CloudTrailSplunk("", "", None).encoder(ORIGIN)(Record(raw.encode(), 1))
    assert document is not None
    found: dict[str, Any] = json.loads(document.body)  # half of a surrogate pair stays as it was written
    return found


@pytest.mark.parametrize("native_", [False, True])
@pytest.mark.parametrize("raw", TWICE)
def test_a_key_that_comes_twice_is_told(raw, native_):
    """In any object, written in any way, in every encoder; the last value is that of the document."""
    document = ecs(raw, native_=native_)
    assert document["tags"] == ["duplicate_keys"]
    assert document["event"]["action"] == "B"
    assert document["event"]["original"] == raw
    assert document["aws"]["cloudtrail"].get("user_identity", {}).get("type", "IAMUser") == "IAMUser"
    assert envelope(raw)["fields"]["shipper_tags"] == ["duplicate_keys"]


@pytest.mark.parametrize("native_", [False, True])
@pytest.mark.parametrize("raw", ONCE)
def test_keys_that_only_look_alike_are_no_duplicates(raw, native_):
    """Of different objects, in texts, with quotes in them."""
    assert "tags" not in ecs(raw, native_=native_)
    assert "shipper_tags" not in envelope(raw)["fields"]


@pytest.mark.parametrize("raw", TWICE[:1])
def test_filters_see_the_last_value(raw):
    """The one that the document has."""
    record = Record(raw.encode(), 1)
    assert read_filter('keep eventName == "B"').on_records()(record)
    assert not read_filter('keep eventName == "A"').on_records()(record)


def test_redaction_takes_out_every_value():
    """The original is kept with both: neither may be seen."""
    raw = f'{{{HEAD},"eventName":"B","requestParameters":{{"mine":"first-secret","mine":"second-secret"}}}}'
    redact = redactor(Redact.model_validate({"rules": [{"field": "requestParameters.mine"}]}), Metrics())
    assert redact is not None
    found = redact(Record(raw.encode(), 1)).raw
    assert b"first-secret" not in found
    assert b"second-secret" not in found


_NAMES = st.sampled_from(["a", "b", '"', "\\", "é", "a\u2028"])
_TEXTS = st.text(alphabet='ab"\\:,{}é\n', max_size=6)


@st.composite
def json_texts(draw: st.DrawFn, depth: int = 2) -> tuple[str, bool]:
    """JSON of an object, and whether an object in it has a key twice."""
    pairs, twice = [], False
    names = draw(st.lists(_NAMES, max_size=4))
    for name in names:
        if depth and draw(st.booleans()):
            value, inner = draw(json_texts(depth - 1))
            twice |= inner
        else:
            value = json.dumps(draw(_TEXTS), ensure_ascii=draw(st.booleans()))
        space = draw(st.sampled_from(["", " ", "\n"]))
        pairs.append(f"{json.dumps(name, ensure_ascii=draw(st.booleans()))}{space}:{space}{value}")
    return "{" + ",".join(pairs) + "}", twice or len(set(names)) != len(names)


@given(json_texts())
def test_every_object_is_looked_at(made):
    """Python and the native module agree with a reading that knows each pair."""
    text, twice = made
    assert in_python(text.encode()) is twice
    assert has_duplicate_keys(text.encode()) is twice


@pytest.mark.skipif(native.has_duplicate_keys is None, reason="the native module is not installed")
def test_the_native_look_leaves_what_it_cannot_say():
    """It says no for sure, and leaves the rest to Python."""
    assert native.has_duplicate_keys is not None
    assert native.has_duplicate_keys(ONCE[0].encode()) is False
    assert native.has_duplicate_keys(TWICE[0].encode()) is None
    assert native.has_duplicate_keys(b"{") is None
    assert has_duplicate_keys(b"{") is False
