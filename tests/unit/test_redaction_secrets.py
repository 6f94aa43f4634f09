"""No secret is left, in whatever form a record holds it, and what hides one costs no more than its length."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.model import Record, Rejected
from shipper.redaction import Redactor, Rule
from shipper.redaction.patterns import PATTERNS
from shipper.redaction.secrets import mask_all, mask_secrets
from tests.fakes.secrets import Made, made_secrets

SECRETS = list(made_secrets())


def redactor(*rules: Rule) -> Redactor:
    return Redactor(rules, secrets=True, hash_key=b"key", count=lambda *_: None)


@pytest.mark.parametrize("made", SECRETS, ids=lambda made: made.form)
def test_no_made_secret_is_left(made: Made):
    """Whatever its form: gone, the record is still JSON where it was, and a second pass changes nothing."""
    raw = made.text.encode()
    after, count = mask_secrets(raw)
    assert count
    assert made.secret.encode() not in after
    assert after == mask_all(raw)[0]
    if made.json:
        assert json.loads(after).keys() == json.loads(raw).keys()
    assert mask_all(after) == (after, 0)
    line = redactor()(Rejected(raw, 1, f"cannot be read: {made.text}"))
    assert made.secret not in line.raw.decode() + line.reason


def test_there_are_enough_of_them():
    """The set holds every form; a slip that empties it would prove nothing."""
    assert len(SECRETS) > 600


@pytest.mark.parametrize(
    "text",
    [
        '{"nextToken":"abc","clientToken":"def","continuationToken":"x"}',
        '{"forwardedValues":{"cookies":{"forward":"none"}},"authorization":{"type":"NONE"}}',
        '{"volumes":[{"name":"v","secret":{"secretName":"db"}}]}',
        '{"apiKey":"a1b2c3","secretId":"arn:aws:secretsmanager:x","passwordResetRequired":true}',
        '{"tags":[{"key":"team","value":"token"}],"name":"token"}',
        "GET /b?list-type=2&continuation-token=abc&prefix=secret/ HTTP/1.1",
        "the bearer of this letter, a cookie and its password",
        "-----BEGIN CERTIFICATE-----\\nMIIB\\n-----END CERTIFICATE-----",
    ],
)
def test_what_is_none_stays(text):
    """Names that only resemble those of secrets are left alone."""
    assert mask_all(text.encode()) == (text.encode(), 0)


def test_a_decoy_event_name_does_not_save_a_secret():
    """Any `eventName` of the record counts, not the first that stands in the text."""
    record = (
        '{"userAgent":"\\"eventName\\":\\"X\\"","requestParameters":{"eventName":"ListUsers","value":"hunter2"},'
        '"eventName":"ListUsers","eventN\\u0061me":"PutParameter"}'
    )
    assert b"hunter2" not in mask_secrets(record.encode())[0]
    inner = {"detail": {"eventName": "PutParameter", "requestParameters": {"value": "hunter2"}}}
    assert b"hunter2" not in mask_secrets(json.dumps(inner).encode())[0]


def test_an_arn_keeps_its_role():
    """The part of an ARN before a session's name is no part of an e-mail address."""
    text = "arn:aws:sts::123456789012:assumed-role/deploy/alice@acme.example and /x?mail=bob@acme.example"
    after = redactor(Rule(pattern="email"))(Record(json.dumps({"arn": text}).encode(), 1)).raw
    assert json.loads(after)["arn"] == (
        "arn:aws:sts::123456789012:assumed-role/deploy/[redacted] and /x?mail=[redacted]"
    )


def test_patterns_see_through_escapes():
    """A token is one however its characters are written."""
    key = "\\u0041KIAIOSFODNN7EXAMPLE"
    after = redactor(Rule(pattern="access_key"))(Record(f'{{"a":"x {key} y"}}'.encode(), 1)).raw
    assert after == b'{"a":"x [redacted] y"}'


@pytest.mark.parametrize("gap", ["", " ", "\n "])
def test_members_in_a_row_are_dropped_with_their_commas(gap):
    """Whichever of them go, what is left is JSON."""
    for keys in ("abx", "xab", "axb", "ab", "xaby", "a", "bax"):
        text = "{" + f",{gap}".join(f'"{key}":1' for key in keys) + "}"
        after = redactor(Rule("a", action="drop"), Rule("b", action="drop"))(Record(text.encode(), 1)).raw
        assert json.loads(after) == {key: 1 for key in keys if key not in "ab"}
        assert json.loads(redactor(Rule("*", action="drop"))(Record(text.encode(), 1)).raw) == {}


HOSTILE: dict[str, str] = {
    "names in lists": '"aPassword":[',
    "names in objects": '{"clientSecret":',
    "names without values": 'password":',
    "names and blanks": '"password":' + " " * 40,
    "names": '"sessionToken',
    "quotes": '"',
    "backslashes": "\\",
    "backslashes and quotes": '\\\\\\"password\\\\\\":',
    "escapes": "\\u0070",
    "escaped slashes": "\\/",
    "brackets": "[{",
    "pairs": '{"value":"x","name":"token"},',
    "names of pairs": ',"name":"token"',
    "values of pairs": '"value":"',
    "parameters": "&token=",
    "encoded parameters": "token%3D%26",
    "equals": "=",
    "PEM": "-----BEGIN PRIVATE KEY-----",
    "headers": "authorization: bearer ",
    "tokens": "eyJaaaaaaaaa",
    "tokens with dots": "eyJaaaaaaaaa.",
    "digits": "4",
    "digits and blanks": "4 ",
    "mail": "a@",
    "mail and dots": "@a.",
    "nested fields": '{"a":',
    "events": '{"eventName":"PutParameter","requestParameters":',
}


def _steps(work: Callable[[], Any]) -> int:
    """Count the lines of ours that some work executes, and the bytes that its regular expressions are given."""
    steps = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal steps
        if "shipper/redaction" not in frame.f_code.co_filename:
            return None
        steps += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return steps


@pytest.mark.parametrize("kind", HOSTILE)
def test_twice_the_input_is_at_most_two_and_a_half_times_the_work(kind):
    """Counted in executed lines: no rule, name or form lets a record cost more than its length."""
    rules = [*(Rule(pattern=name) for name in PATTERNS), Rule("a.b", action="drop"), Rule("*.a.a"), Rule("*")]
    redact = redactor(*rules)

    def work(length: int) -> int:
        text = (HOSTILE[kind] * (length // len(HOSTILE[kind]) + 1))[:length].encode()
        return _steps(lambda: redact(Record(text, 1)))

    short, long = work(4_000), work(8_000)
    assert long < 2.5 * short + 200


@given(st.lists(st.sampled_from([*HOSTILE.values(), "x", '"', "}", "]", ",", ":", " "]), max_size=12))
def test_the_quick_answer_is_wrong_only_in_saying_yes(parts):
    """With and without the native module the same is masked."""
    raw = "".join(parts).encode()
    assert mask_secrets(raw) == mask_all(raw)
