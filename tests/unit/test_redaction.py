"""Secrets and personal data are taken out of records before anything else is done with them."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.model import Record, Rejected
from shipper.redaction import Redactor, Rule
from shipper.redaction.patterns import luhn

CARD = "4111 1111 1111 1111"


class Counted:
    """A redactor and what it counted."""

    def __init__(self, *rules: Rule, secrets: bool = False) -> None:
        self.found: Counter[str] = Counter()
        self._redact = Redactor(rules, secrets=secrets, hash_key=b"key", count=self._count)

    def _count(self, rule: str, number: int) -> None:
        self.found[rule] += number

    def text(self, raw: bytes, layout: Any = None) -> bytes:
        return self._redact(Record(raw, 0, layout)).raw

    def json(self, value: Any) -> Any:
        return json.loads(self.text(json.dumps(value).encode()))

    def rejected(self, raw: bytes) -> bytes:
        return self._redact(Rejected(raw, 0, "why")).raw


@pytest.mark.parametrize(
    ("event", "path", "secret"),
    [
        ("PutParameter", ["requestParameters", "value"], "hunter2"),
        ("PutSecretValue", ["requestParameters", "secretString"], '{"user": "a", "password": "b\\"c"}'),
        ("PutSecretValue", ["requestParameters", "secretBinary"], {"hb": [1, 2, {"a": "]}"}]}),
        ("CreateDBInstance", ["requestParameters", "masterUserPassword"], "hunter2"),
        ("ModifyDBCluster", ["responseElements", "pendingModifiedValues", "masterUserPassword"], "hunter2"),
        ("AssumeRole", ["responseElements", "credentials", "sessionToken"], "IQoJ="),
        ("GetFederationToken", ["responseElements", "credentials", "sessionToken"], "IQoJ="),
        ("CreateLoginProfile", ["requestParameters", "password"], "hunter2"),
        ("ChangePassword", ["requestParameters", "newPassword"], "hunter2"),
        ("CreateAccessKey", ["responseElements", "accessKey", "secretAccessKey"], "wJalrX"),
        ("InitiateAuth", ["responseElements", "AuthenticationResult", "RefreshToken"], "abc"),
        ("GetObject", ["requestParameters", "X-Amz-Security-Token"], "abc"),
        ("ImportSourceCredentials", ["requestParameters", "token"], "abc"),
        ("ImportCertificate", ["requestParameters", "privateKey"], "-----BEGIN"),
        ("CreateUserPoolClient", ["responseElements", "userPoolClient", "clientSecret"], "abc"),
    ],
)
def test_secrets_that_cloudtrail_leaves_are_masked(event, path, secret):
    """The secret is gone, everything else is as it was, and it is counted once."""
    inner: Any = secret
    masked: Any = "[redacted]"
    for name in reversed(path):
        inner, masked = (
            {"before": [1, "]"], name: inner, "after": None},
            {"before": [1, "]"], name: masked, "after": None},
        )
    redact = Counted(secrets=True)
    assert redact.json({"eventName": event, **inner}) == {"eventName": event, **masked}
    assert redact.found == {"secrets": 1}


@pytest.mark.parametrize(
    "record",
    [
        {
            "eventName": "DescribeParameters",
            "requestParameters": {"nextToken": "AAE", "clientToken": "x", "value": "y"},
        },
        {"responseElements": {"credentials": {"sessionToken": "HIDDEN_DUE_TO_SECURITY_REASONS"}}},
        {
            "requestParameters": {
                "masterUserPassword": "****",
                "password": None,
                "secretString": "",
                "newPassword": True,
            }
        },
        {"requestParameters": {"secretId": "arn:aws:secretsmanager:x", "passwordResetRequired": True}},
        {"requestParameters": {"note": "the sessionToken: x of it"}},
    ],
)
def test_what_is_no_secret_stays_the_same_object(record):
    """Placeholders of AWS, tokens of pages, and text about secrets are left alone, and not counted."""
    raw = json.dumps(record).encode()
    redact = Counted(secrets=True)
    assert redact.text(raw) is raw
    assert not redact.found


def test_secrets_in_json_inside_a_string_are_masked():
    """Some services hand whole documents over as text."""
    inner = json.dumps({"user": "a", "password": 'hun"ter\\2', "z": 1})
    found = Counted(secrets=True).json({"requestParameters": {"definition": inner}})
    assert json.loads(found["requestParameters"]["definition"]) == {"user": "a", "password": "[redacted]", "z": 1}


def test_secrets_in_what_is_cut_off_are_masked():
    """A dead letter of half a record holds no secret either."""
    assert Counted(secrets=True).rejected(b'{"a":1,"sessionToken":"IQoJ') == b'{"a":1,"sessionToken":"[redacted]"'


@pytest.mark.parametrize("action", ["mask", "hash", "drop"])
def test_fields_are_taken_out_by_path(action):
    """Only the path itself is meant, also through lists and wildcards; drop takes the member away."""
    record = {"a": {"b": "x", "c": 1}, "b": "x", "list": [{"b": {"d": 5}}, {"b": 7, "c": 2}], "z": {"b": 1}}
    redact = Counted(Rule("a.b", action=action), Rule("list.b", action=action), Rule("*.c", action=action))
    found = redact.json(record)
    assert redact.found == {"a.b": 1, "list.b": 2, "*.c": 2}
    assert found["b"] == "x"
    assert found["z"] == {"b": 1}
    if action == "drop":
        assert found["a"] == {}
        assert found["list"] == [{}, {}]
    else:
        texts = [found["a"]["b"], found["list"][0]["b"], found["list"][1]["b"], found["a"]["c"], found["list"][1]["c"]]
        assert all(text == "[redacted]" or text.startswith("hash:") for text in texts)
        assert len(set(texts)) == (1 if action == "mask" else 5)


def test_hashes_are_keyed_and_equal_for_equal_values():
    """The same value can be followed through records, and cannot be guessed without the key."""
    rule = Rule("user", action="hash")
    one = Redactor([rule], secrets=False, hash_key=b"one", count=lambda *_: None)
    two = Redactor([rule], secrets=False, hash_key=b"two", count=lambda *_: None)
    texts = [json.loads(redact(Record(b'{"user": "bob"}', 0)).raw)["user"] for redact in (one, one, two)]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    ("pattern", "text", "rest"),
    [
        ("access_key", "key AKIAIOSFODNN7EXAMPLE,", "key [redacted],"),
        ("access_key", "XAKIAIOSFODNN7EXAMPLE AKIAIOSFODNN7EXAMPLEX", None),
        ("email", "to alice.b+c@mail.example.com.", "to [redacted]."),
        ("email", "\nalice@example.com \u00e9bob@example.com", "\n[redacted] \u00e9[redacted]"),
        ("email", "git@host, @example.com", None),
        ("card_number", f"paid {CARD}.", "paid [redacted]."),
        ("card_number", "4111111111111111", "[redacted]"),
        ("card_number", "4111111111111112 and 12345678-1234-1234-1234-123456789012", None),
        ("token", "x eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln y", "x [redacted] y"),
        ("token", "ghp_" + "a1" * 18, "[redacted]"),
        ("token", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n", "[redacted]\n"),
    ],
)
def test_patterns_are_found_wherever_they_stand(pattern, text, rest):
    """What looks like it is replaced, in values and in lines; what only nearly does stays."""
    redact = Counted(Rule(pattern=pattern))
    record = {"a": [text], "b": {"c": text}}
    expected = text if rest is None else rest
    assert redact.json(record) == {"a": [expected], "b": {"c": expected}}
    assert redact.found == ({} if rest is None else {pattern: 2 * expected.count("[redacted]")})
    assert redact.text(text.encode(), ("message",)).decode() == expected


def test_a_card_number_that_is_a_number_becomes_text():
    """The record stays JSON."""
    redact = Counted(Rule(pattern="card_number"))
    assert redact.json({"a": 4111111111111111, "b": [4111111111111111]}) == {"a": "[redacted]", "b": ["[redacted]"]}


def test_columns_of_lines_are_taken_out():
    """A masked column reads as not there; its neighbours keep their places."""
    redact = Counted(Rule("srcaddr"), Rule("pkt_srcaddr", action="hash"))
    line = redact.text(b"2 10.0.0.1 10.0.0.2 10.0.0.3", ("version", "srcaddr", "dstaddr", "pkt-srcaddr"))
    parts = line.split(b" ")
    assert parts[:3] == [b"2", b"-", b"10.0.0.2"]
    assert parts[3].startswith(b"hash:")
    assert redact.found == {"srcaddr": 1, "pkt_srcaddr": 1}


@given(st.integers(10**11, 10**18))
def test_luhn_takes_one_check_digit_of_ten(number):
    """Exactly one last digit makes a number right."""
    assert sum(luhn(b"%d%d" % (number, digit)) for digit in range(10)) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from([CARD, "a@b.example", "x\\"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.sampled_from(["password", "sessionToken", "a", "b"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text() | st.sampled_from(["a", "b"]), JSON, max_size=5), st.booleans())
def test_any_json_stays_json(value, plain):
    """Whatever is taken out, the rest can be read, and has the same members outside of it."""
    redact = Counted(
        Rule("a.b", action="drop"),
        Rule("*.a"),
        Rule(pattern="email", action="hash"),
        Rule(pattern="card_number"),
        secrets=True,
    )
    raw = json.dumps(value, ensure_ascii=plain).encode("utf-8", "surrogatepass")
    found = json.loads(redact.text(raw).decode("utf-8", "surrogatepass"), strict=False)
    assert len(found) == len(value)


@given(st.binary(max_size=300))
def test_any_bytes_are_borne(data):
    """Nothing that comes in makes redaction fail."""
    redact = Counted(
        Rule("a.b", action="drop"), Rule("*"), *(Rule(pattern=p) for p in ("email", "token")), secrets=True
    )
    redact.text(b'{"a":{"b":' + data + b'"password":' + data)
    redact.rejected(data)
